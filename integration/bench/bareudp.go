// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

// A ping over bare UDP, every ms, is the reference for latencies on this
// machine: two processes that sleep in recvfrom, two wake-ups on the way. What
// an idle processor costs to wake differs by the hour on a virtual machine.

const (
	barePort  = 9000
	bareCount = 1000
)

// bareUDP returns the median round trip between the hosts, µs.
func (p *pair) bareUDP(ctx context.Context) (float64, error) {
	server, err := startRole(p.hosts[1], p.dir, "bare-echo", p.outer[1].String())
	if err != nil {
		return 0, err
	}
	defer server.Kill()
	if err := server.WaitFor(ctx, "ready"); err != nil {
		return 0, err
	}
	client, err := startRole(p.hosts[0], p.dir, "bare-ping", p.outer[1].String())
	if err != nil {
		return 0, err
	}
	var times []float64
	if err := result(ctx, client, &times); err != nil {
		return 0, err
	}
	return median(times), nil
}

// bareSocket opens a blocking UDP socket and the address of the server.
func bareSocket(args []string) (int, unix.Sockaddr, error) {
	if len(args) != 1 {
		return 0, nil, fmt.Errorf("want the server's address, got %q", args)
	}
	addr, err := netip.ParseAddr(args[0])
	if err != nil {
		return 0, nil, err
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	return fd, &unix.SockaddrInet4{Addr: addr.As4(), Port: barePort}, err
}

// playBareEcho answers until it is killed.
func playBareEcho(_ context.Context, args []string) error {
	fd, addr, err := bareSocket(args)
	if err != nil {
		return err
	}
	if err := unix.Bind(fd, addr); err != nil {
		return err
	}
	fmt.Println("ready")
	var buf [64]byte
	for {
		n, from, err := unix.Recvfrom(fd, buf[:], 0)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return err
		}
		if err := unix.Sendto(fd, buf[:n], 0, from); err != nil {
			return err
		}
	}
}

// playBarePing reports round trips in µs.
func playBarePing(_ context.Context, args []string) error {
	fd, addr, err := bareSocket(args)
	if err != nil {
		return err
	}
	limit := unix.Timeval{Sec: 1} // a lost packet must not hang it
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &limit); err != nil {
		return err
	}
	var buf [64]byte
	times := make([]float64, 0, bareCount)
	for len(times) < bareCount {
		time.Sleep(time.Millisecond)
		begin := time.Now()
		if err := unix.Sendto(fd, buf[:], 0, addr); err != nil {
			return err
		}
		for {
			_, _, err := unix.Recvfrom(fd, buf[:], 0)
			if err == nil {
				break
			}
			if err != unix.EINTR {
				return err
			}
		}
		times = append(times, float64(time.Since(begin).Nanoseconds())/1e3)
	}
	return report(times)
}
