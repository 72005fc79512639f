// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"o7gw/integration/lab"
)

// playTCPEcho echoes TCP connections at an address, and at as many ports behind
// it as playTCPConns needs.
func playTCPEcho(ctx context.Context, args []string) error {
	return lab.EchoTCP(ctx, args[0], connsAtOnce)
}

const (
	// pongs is how many bytes go there and back, after some that warm up.
	pongs     = 5000
	warmPongs = 500
)

// playTCPPong prints the median time of a byte there and back, in µs.
func playTCPPong(_ context.Context, args []string) error {
	c, err := net.Dial("tcp", args[0])
	if err != nil {
		return err
	}
	defer c.Close()
	var p [1]byte
	times := make([]float64, 0, pongs)
	for i := range warmPongs + pongs {
		begin := time.Now()
		if _, err := c.Write(p[:]); err != nil {
			return err
		}
		if _, err := c.Read(p[:]); err != nil {
			return err
		}
		if i >= warmPongs {
			times = append(times, float64(time.Since(begin).Nanoseconds())/1000)
		}
	}
	slices.Sort(times)
	fmt.Println(times[len(times)/2])
	return nil
}

const (
	// connsFor is how long connections are made, by connsAtOnce clients.
	connsFor    = 5 * time.Second
	connsAtOnce = 16
)

// playTCPConns prints how many connections per second it made: connect, a byte
// there and back, close.
func playTCPConns(_ context.Context, args []string) error {
	at, err := netip.ParseAddrPort(args[0])
	if err != nil {
		return err
	}
	var done atomic.Int64
	var failed atomic.Pointer[error]
	begin := time.Now()
	var wg sync.WaitGroup
	for i := range connsAtOnce {
		to := lab.PortBehind(at, i).String()
		wg.Go(func() {
			var p [1]byte
			for time.Since(begin) < connsFor {
				err := func() error {
					c, err := net.Dial("tcp", to)
					if err != nil {
						return err
					}
					defer c.Close()
					if _, err := c.Write(p[:]); err != nil {
						return err
					}
					_, err = io.ReadFull(c, p[:])
					return err
				}()
				if err != nil {
					failed.Store(&err)
					return
				}
				done.Add(1)
			}
		})
	}
	wg.Wait()
	if err := failed.Load(); err != nil {
		return *err
	}
	fmt.Println(float64(done.Load()) / time.Since(begin).Seconds())
	return nil
}

// playTCPIdle opens connections, tries each with a byte, and holds them.
func playTCPIdle(ctx context.Context, args []string) error {
	n, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	var p [1]byte
	for range n {
		c, err := net.Dial("tcp", args[0])
		if err != nil {
			return err
		}
		defer c.Close()
		if _, err := c.Write(p[:]); err != nil {
			return err
		}
		if _, err := io.ReadFull(c, p[:]); err != nil {
			return err
		}
	}
	fmt.Println("open")
	<-ctx.Done()
	return nil
}

// playUDPCount counts datagrams, and answers one of a single byte with the
// number since the last such answer.
func playUDPCount(ctx context.Context, args []string) error {
	c, err := net.ListenPacket("udp", args[0])
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { c.Close() })()
	if err := forceReadBuffer(c.(*net.UDPConn), udpBuffer); err != nil {
		return err
	}
	fmt.Println("listening")
	buf := make([]byte, 2048)
	var n uint64
	for {
		size, from, err := c.ReadFrom(buf)
		if err != nil {
			return nil
		}
		if size > 1 {
			n++
			continue
		}
		c.WriteTo(binary.BigEndian.AppendUint64(nil, n), from)
		n = 0
	}
}

// forceReadBuffer sets the room of a socket beyond what the system allows
// everybody, which is 300 of our datagrams.
func forceReadBuffer(c *net.UDPConn, bytes int) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var inner error
	err = raw.Control(func(fd uintptr) {
		inner = os.NewSyscallError("setsockopt", unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, bytes))
	})
	return errors.Join(err, inner)
}

const (
	udpRate  = 100_000 // datagrams per second
	udpSize  = 200     // bytes
	udpFor   = 3 * time.Second
	udpTick  = time.Millisecond
	udpAsk   = 500 * time.Millisecond
	udpTries = 10
	// udpBuffer is that of the receiving socket, bytes: what is lost there is
	// not the proxy's loss.
	udpBuffer = 4 << 20
)

// playUDPLoad sends datagrams at a rate and prints which part of them did not
// arrive, in percent.
func playUDPLoad(_ context.Context, args []string) error {
	c, err := net.Dial("udp", args[0])
	if err != nil {
		return err
	}
	defer c.Close()
	if _, err := askCount(c); err != nil { // begins the session, and the count
		return err
	}
	data := make([]byte, udpSize)
	begin := time.Now()
	sent := 0
	for tick := time.NewTicker(udpTick); ; <-tick.C {
		due := int(time.Since(begin).Seconds() * udpRate)
		for ; sent < min(due, int(udpFor.Seconds()*udpRate)); sent++ {
			if _, err := c.Write(data); err != nil {
				return err
			}
		}
		if time.Since(begin) > udpFor {
			tick.Stop()
			break
		}
	}
	time.Sleep(udpAsk)
	got, err := askCount(c)
	if err != nil {
		return err
	}
	fmt.Println(100 * float64(sent-int(got)) / float64(sent))
	return nil
}

// askCount asks for the count; the question or the answer may be lost.
func askCount(c net.Conn) (uint64, error) {
	var err error
	for range udpTries {
		if _, err = c.Write([]byte{0}); err != nil {
			return 0, err
		}
		c.SetReadDeadline(time.Now().Add(udpAsk))
		var p [8]byte
		if _, err = io.ReadFull(c, p[:]); err == nil {
			return binary.BigEndian.Uint64(p[:]), nil
		}
	}
	return 0, err
}
