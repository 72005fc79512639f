// SPDX-License-Identifier: BSD-3-Clause

//go:build linux

package demo

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"time"

	"github.com/vishvananda/netlink"

	"o7gw/gateway"
	"o7gw/gateway/config"
)

// roleVariable tells a process which part it plays.
const roleVariable = "O7GW_DEMO_ROLE"

// IsHost reports whether this process was started by a demo.
func IsHost() bool { return os.Getenv(roleVariable) != "" }

// RunHost plays the part and returns the exit code.
func RunHost() int {
	role := os.Getenv(roleVariable)
	os.Unsetenv(roleVariable)
	var err error
	switch {
	case role == "host" && len(os.Args) == 4:
		if err = runHost(os.Args[1], os.Args[2], os.Args[3]); err != nil {
			fmt.Println(err) // instead of "ready"
		}
	case role == "visitor":
		if err = runVisitor(context.Background(), os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, "o7gw demo:", err)
		}
	default:
		err = fmt.Errorf("unknown role %q", role)
	}
	if err != nil {
		return 1
	}
	return 0
}

// runHost is one host: its interface, its gateway, and on A the servers. It
// lasts until standard input ends.
func runHost(name, outer, path string) error {
	in := bufio.NewReader(os.Stdin)
	if _, err := in.ReadString('\n'); err != nil {
		return err
	}
	if err := configure(outer); err != nil {
		return err
	}
	file, err := config.Load(path)
	if err != nil {
		return err
	}
	ctx := context.Background()
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError}))
	g := gateway.New(file, log.With("host", name))
	status, err := g.ServeStatus()
	if err != nil {
		return err
	}
	defer status.Close()
	if err := g.Start(ctx); err != nil {
		return err
	}
	defer g.Close()
	if name == "A" {
		stop, err := serve()
		if err != nil {
			return err
		}
		defer stop()
	} else if err := connected(g); err != nil {
		return err
	}
	fmt.Println("ready")
	io.Copy(io.Discard, in)
	return nil
}

// configure brings the host's interfaces up.
func configure(outer string) error {
	for _, name := range []string{"lo", "eth0"} {
		link, err := netlink.LinkByName(name)
		if err != nil {
			return fmt.Errorf("find %s: %w", name, err)
		}
		if name == "eth0" {
			addr, err := netlink.ParseAddr(outer + "/24")
			if err != nil {
				return err
			}
			if err := netlink.AddrAdd(link, addr); err != nil {
				return fmt.Errorf("add address %s: %w", outer, err)
			}
		}
		if err := netlink.LinkSetUp(link); err != nil {
			return fmt.Errorf("bring %s up: %w", name, err)
		}
	}
	return nil
}

// connected waits until the tunnel has its peer.
func connected(g *gateway.Gateway) error {
	for start := time.Now(); time.Since(start) < startLimit; time.Sleep(5 * time.Millisecond) {
		for _, t := range g.Status().Tunnels {
			for _, p := range t.Peers {
				if p.Exchanged {
					return nil
				}
			}
		}
	}
	return fmt.Errorf("the tunnel did not connect: %s", g.Status().Tunnels[0].LastError)
}

// page is what the web server shows.
const page = `<!doctype html>
<title>o7gw demo</title>
<h1>Hello from host A</h1>
<p>This page came over an Ouroboros flow.</p>
`

func servePage(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	io.WriteString(w, page)
}

// serve starts the web server and the server of the measurement.
func serve() (stop func(), err error) {
	web, err := net.Listen("tcp", netip.AddrPortFrom(netip.IPv6Unspecified(), webPort).String())
	if err != nil {
		return nil, err
	}
	speed, err := net.Listen("tcp", netip.AddrPortFrom(netip.IPv6Unspecified(), speedPort).String())
	if err != nil {
		web.Close()
		return nil, err
	}
	srv := &http.Server{Handler: http.HandlerFunc(servePage), ReadHeaderTimeout: 5 * time.Second}
	done := make(chan struct{}, 2)
	go func() { srv.Serve(web); done <- struct{}{} }()
	go func() { serveSpeed(speed); done <- struct{}{} }()
	return func() {
		srv.Close()
		speed.Close()
		<-done
		<-done
	}, nil
}

// serveSpeed takes one measurement at a time: the first byte says which way
// the data goes; of what it gets it returns the number of bytes.
func serveSpeed(l net.Listener) {
	for {
		c, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue
		}
		c.SetDeadline(time.Now().Add(10 * speedTime))
		var way [1]byte
		io.ReadFull(c, way[:])
		buf := make([]byte, speedChunk)
		if way[0] == speedDown {
			for err == nil {
				_, err = c.Write(buf)
			}
		} else {
			n := 0
			for err == nil {
				var k int
				k, err = c.Read(buf)
				n += k
			}
			fmt.Fprintf(c, "%d\n", n)
		}
		c.Close()
	}
}
