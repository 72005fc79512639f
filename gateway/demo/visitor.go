// SPDX-License-Identifier: BSD-3-Clause

//go:build linux

package demo

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"o7gw/gateway/echo"
	"o7gw/gateway/ip"
)

const (
	speedTime  = time.Second // of a measurement
	speedChunk = 128 << 10   // bytes per write
	speedUp    = 'u'         // the client sends
	speedDown  = 'd'         // the server sends
	pings      = 20
	pingEvery  = 20 * time.Millisecond
)

// runVisitor is a user on host B.
func runVisitor(ctx context.Context, w io.Writer) error {
	for _, step := range []func(context.Context, io.Writer) error{fetch, ping, fullSize, speed} {
		if err := step(ctx, w); err != nil {
			return err
		}
	}
	return nil
}

// fetch gets the page with curl, if there is one.
func fetch(ctx context.Context, w io.Writer) error {
	url := "http://" + innerA + "/"
	start := time.Now()
	var body string
	if path, err := exec.LookPath("curl"); err == nil {
		fmt.Fprintf(w, "$ curl %s\n", url)
		out, err := command(ctx, path, "-sS", "--max-time", "10", url)
		if err != nil {
			return fmt.Errorf("fetch the page: %w: %s", err, out)
		}
		body = out
	} else {
		fmt.Fprintf(w, "GET %s\n", url)
		c := http.Client{Timeout: 10 * time.Second}
		resp, err := c.Get(url)
		if err != nil {
			return fmt.Errorf("fetch the page: %w", err)
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if err != nil {
			return fmt.Errorf("fetch the page: %w", err)
		}
		body = string(b)
	}
	took := time.Since(start)
	if body != page {
		return fmt.Errorf("fetch the page: got something else: %q", body)
	}
	for line := range strings.Lines(body) {
		fmt.Fprint(w, "  "+line)
	}
	fmt.Fprintf(w, "  -> %d bytes in %.1f ms\n\n", len(body), took.Seconds()*1000)
	return nil
}

// command runs a program that dies with us and returns its output.
func command(ctx context.Context, path string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// ping uses the system's program, if there is one, for IPv4, and our own echo
// for IPv6 too.
func ping(ctx context.Context, w io.Writer) error {
	if path, err := exec.LookPath("ping"); err == nil {
		args := []string{"-c", strconv.Itoa(pings), "-i", fmt.Sprint(pingEvery.Seconds()), "-q", innerA}
		fmt.Fprintf(w, "$ ping %s\n", strings.Join(args, " "))
		out, err := command(ctx, path, args...)
		if err != nil {
			return fmt.Errorf("ping: %w: %s", err, out)
		}
		for line := range strings.Lines(out) {
			if strings.Contains(line, "packets transmitted") || strings.Contains(line, "min/avg") {
				fmt.Fprint(w, "  "+line)
			}
		}
	} else if err := echoes(ctx, w, innerA); err != nil {
		return err
	}
	return echoes(ctx, w, innerA6)
}

func echoes(ctx context.Context, w io.Writer, to string) error {
	var rtts []time.Duration
	for i := range pings {
		c, cancel := context.WithTimeout(ctx, time.Second)
		rtt, err := echo.Ping(c, netip.MustParseAddr(to), 56, i)
		cancel()
		if err == nil {
			rtts = append(rtts, rtt)
		}
		time.Sleep(pingEvery)
	}
	if len(rtts) == 0 {
		return fmt.Errorf("ping %s: no answer", to)
	}
	slices.Sort(rtts)
	fmt.Fprintf(w, "  -> %s: %d of %d answered, median %.0f µs\n\n", to, len(rtts), pings, float64(rtts[len(rtts)/2].Nanoseconds())/1000)
	return nil
}

// fullSize sends the largest packets that fit the tunnel and may not be
// fragmented: had the tunnel a wrong MTU, they would vanish.
func fullSize(ctx context.Context, w io.Writer) error {
	dev, err := net.InterfaceByName("vpn0")
	if err != nil {
		return fmt.Errorf("full-size packet: %w", err)
	}
	c, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	for _, to := range []string{innerA, innerA6} {
		a := netip.MustParseAddr(to)
		headers := ip.IPv4Len + 8
		if a.Is6() {
			headers = ip.IPv6Len + 8
		}
		if _, err := echo.Ping(c, a, dev.MTU-headers, 1); err != nil {
			return fmt.Errorf("full-size packet: %w", err)
		}
		if _, err := echo.Ping(c, a, dev.MTU-headers+1, 2); !errors.Is(err, syscall.EMSGSIZE) {
			return fmt.Errorf("packet above the MTU: %w", err)
		}
	}
	fmt.Fprintf(w, "Packets of the full %d bytes pass, IPv4 and IPv6, not fragmented.\n\n", dev.MTU)
	return nil
}

// speed measures one TCP connection each way.
func speed(ctx context.Context, w io.Writer) error {
	fmt.Fprintf(w, "One TCP connection, %v each way:\n", speedTime)
	for _, way := range []struct {
		b    byte
		text string
	}{{speedUp, "B to A"}, {speedDown, "A to B"}} {
		rate, err := measure(ctx, way.b)
		if err != nil {
			return fmt.Errorf("measure %s: %w", way.text, err)
		}
		fmt.Fprintf(w, "  %s  %.2f Gbit/s\n", way.text, rate/1e9)
	}
	return nil
}

// measure returns bits per second as the receiver saw them.
func measure(ctx context.Context, way byte) (float64, error) {
	c, err := new(net.Dialer).DialContext(ctx, "tcp", net.JoinHostPort(innerA, strconv.Itoa(speedPort)))
	if err != nil {
		return 0, err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(5 * speedTime))
	if _, err := c.Write([]byte{way}); err != nil {
		return 0, err
	}
	buf := make([]byte, speedChunk)
	n := 0
	start := time.Now()
	for time.Since(start) < speedTime {
		var k int
		if way == speedUp {
			k, err = c.Write(buf)
		} else {
			k, err = c.Read(buf)
		}
		if err != nil {
			return 0, err
		}
		n += k
	}
	if way == speedUp {
		c.(*net.TCPConn).CloseWrite()
		line, err := bufio.NewReader(c).ReadString('\n')
		if err != nil {
			return 0, err
		}
		if n, err = strconv.Atoi(strings.TrimSpace(line)); err != nil {
			return 0, err
		}
	}
	return float64(n) * 8 / time.Since(start).Seconds(), nil
}
