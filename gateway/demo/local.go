// SPDX-License-Identifier: BSD-3-Clause

//go:build linux

package demo

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"o7gw/o7s"
	node "o7gw/o7s/irm/config"
	o7snode "o7gw/o7s/node"
)

// The small demo forwards HTTP, not any TCP: raw flows lose packets if they
// must, and this version of the stack has no recovery. A request for a small
// page and its answer fit one packet each, and may be asked again.
const (
	askAgain = time.Second // until the same request is sent again
	askTimes = 5
	webName  = "demo.web"
	echoName = "demo.echo"
)

// runLocal is the demo without root.
func runLocal(ctx context.Context, o Options) error {
	web, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	srv := &http.Server{Handler: http.HandlerFunc(servePage), ReadHeaderTimeout: 5 * time.Second}
	var wg sync.WaitGroup
	wg.Go(func() { srv.Serve(web) })
	defer wg.Wait()
	defer srv.Close()

	port, err := freePort()
	if err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	a, err := startNode(ctx, o.Log, fmt.Sprintf("[udp4.loopback]\nbootstrap = \"loopback\"\nip = \"127.0.0.1\"\nport = %d\n", port))
	if err != nil {
		return err
	}
	defer a.Close()
	b, err := startNode(ctx, o.Log, fmt.Sprintf("[udp4.loopback]\nbootstrap = \"loopback\"\nip = \"127.0.0.2\"\nport = %d\nhosts = { %q = \"127.0.0.1\", %q = \"127.0.0.1\" }\n", port, webName, echoName))
	if err != nil {
		return err
	}
	defer b.Close()
	run, cancel := context.WithCancel(ctx)
	stopServing, err := serveFlows(run, a.Stack(), web.Addr().String())
	if err != nil {
		cancel()
		return err
	}
	defer stopServing()
	defer cancel()
	local, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	wg.Go(func() { forward(run, local, b.Stack()) })
	defer local.Close()

	w := o.Out
	fmt.Fprintf(w, "  node A: udp4 127.0.0.1:%d, serves the Ouroboros name %s: a web server\n", port, webName)
	fmt.Fprintf(w, "  node B: udp4 127.0.0.2:%d, forwards http://%s/ to that name\n", port, local.Addr())
	fmt.Fprintf(w, "The forward carries one request and one answer of one packet each over a raw\n")
	fmt.Fprintf(w, "(unreliable) flow, and asks again if none comes; it is no general TCP forward.\n\n")
	if err := localSteps(ctx, w, "http://"+local.Addr().String()+"/", b.Stack()); err != nil || o.Once {
		return err
	}
	fmt.Fprintf(w, "\nStill running; stop it with Ctrl-C. To try:\n  curl http://%s/\n  sudo o7gw demo\n", local.Addr())
	<-ctx.Done()
	return nil
}

// freePort returns a UDP port that is free on both addresses at the moment.
func freePort() (uint16, error) {
	c, err := net.ListenUDP("udp4", &net.UDPAddr{})
	if err != nil {
		return 0, err
	}
	defer c.Close()
	return c.LocalAddr().(*net.UDPAddr).AddrPort().Port(), nil
}

func startNode(ctx context.Context, log *slog.Logger, conf string) (*o7snode.Node, error) {
	file, err := node.Parse([]byte(conf), "demo")
	if err != nil {
		return nil, fmt.Errorf("demo: %w", err)
	}
	n, err := o7snode.New(ctx, o7snode.Config{Log: log})
	if err != nil {
		return nil, fmt.Errorf("demo: %w", err)
	}
	if err := file.Apply(ctx, n.IRM(), log); err != nil {
		n.Close()
		return nil, fmt.Errorf("demo: %w", err)
	}
	return n, nil
}

// serveFlows serves both names of node A.
func serveFlows(ctx context.Context, s *o7s.Stack, web string) (stop func(), err error) {
	var wg sync.WaitGroup
	var listeners []*o7s.Listener
	stop = func() {
		for _, l := range listeners {
			l.Close()
		}
		wg.Wait()
	}
	for name, answer := range map[string]func([]byte) []byte{
		webName:  func(req []byte) []byte { return relay(ctx, req, web) },
		echoName: slices.Clone[[]byte],
	} {
		l, err := s.Listen(ctx, name)
		if err != nil {
			stop()
			return nil, fmt.Errorf("demo: %w", err)
		}
		listeners = append(listeners, l)
		wg.Go(func() {
			var flows sync.WaitGroup
			defer flows.Wait()
			for {
				f, err := l.AcceptFlow(ctx)
				if err != nil {
					return
				}
				flows.Go(func() { answerPackets(ctx, f, answer) })
			}
		})
	}
	return stop, nil
}

// answerPackets answers each packet of the flow with one.
func answerPackets(ctx context.Context, f *o7s.Flow, answer func([]byte) []byte) {
	defer f.Close()
	stop := context.AfterFunc(ctx, func() { f.Close() })
	defer stop()
	buf := make([]byte, f.MTU())
	for {
		n, _, err := f.ReadPacket(buf)
		if err != nil {
			return
		}
		reply := answer(buf[:n])
		if len(reply) > f.MTU() {
			reply = tooLarge
		}
		if _, err := f.Write(reply); err != nil {
			return
		}
	}
}

var (
	tooLarge = []byte("HTTP/1.0 502 Bad Gateway\r\n\r\nThe answer does not fit one packet of this demo.\n")
	noAnswer = []byte("HTTP/1.0 504 Gateway Timeout\r\n\r\nNo answer came over the flow.\n")
)

// relay asks the web server.
func relay(ctx context.Context, req []byte, web string) []byte {
	c, err := new(net.Dialer).DialContext(ctx, "tcp", web)
	if err != nil {
		return noAnswer
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(askAgain))
	if _, err := c.Write(req); err != nil {
		return noAnswer
	}
	reply, err := io.ReadAll(io.LimitReader(c, 1<<16))
	if err != nil {
		return noAnswer
	}
	return reply
}

// forward takes connections on l and sends each request over a flow of its
// own.
func forward(ctx context.Context, l net.Listener, s *o7s.Stack) {
	var wg sync.WaitGroup
	defer wg.Wait()
	for {
		c, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue
		}
		wg.Go(func() {
			defer c.Close()
			stop := context.AfterFunc(ctx, func() { c.Close() })
			defer stop()
			c.SetDeadline(time.Now().Add((askTimes + 1) * askAgain))
			req, err := http.ReadRequest(bufio.NewReader(io.LimitReader(c, 1<<14)))
			if err != nil {
				return
			}
			c.Write(ask(ctx, s, req.URL.RequestURI()))
		})
	}
}

// ask sends a request over a flow of its own until an answer comes.
func ask(ctx context.Context, s *o7s.Stack, uri string) []byte {
	f, err := s.Dial(ctx, webName)
	if err != nil {
		return noAnswer
	}
	defer f.Close()
	req := []byte("GET " + uri + " HTTP/1.0\r\nHost: demo\r\n\r\n")
	buf := make([]byte, f.MTU())
	for range askTimes {
		if _, err := f.Write(req); err != nil {
			return noAnswer
		}
		f.SetReadDeadline(time.Now().Add(askAgain))
		if n, _, err := f.ReadPacket(buf); err == nil {
			return buf[:n]
		}
	}
	return noAnswer
}

// localSteps fetches the page and measures round trips.
func localSteps(ctx context.Context, w io.Writer, url string, s *o7s.Stack) error {
	start := time.Now()
	c := http.Client{Timeout: 10 * time.Second}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := c.Do(req)
	if err != nil {
		return fmt.Errorf("demo: fetch the page: %w", err)
	}
	body, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if err != nil || string(body) != page {
		return fmt.Errorf("demo: fetch the page: %w: got %q", err, body)
	}
	took := time.Since(start)
	fmt.Fprintf(w, "GET %s\n", url)
	for line := range strings.Lines(string(body)) {
		fmt.Fprint(w, "  "+line)
	}
	fmt.Fprintf(w, "  -> %d bytes in %.1f ms\n\n", len(body), took.Seconds()*1000)
	return roundTrips(ctx, w, s)
}

// roundTrips measures packets there and back over a flow, one at a time.
func roundTrips(ctx context.Context, w io.Writer, s *o7s.Stack) error {
	start := time.Now()
	f, err := s.Dial(ctx, echoName)
	if err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	defer f.Close()
	fmt.Fprintf(w, "Flow to %s allocated in %.1f ms, MTU %d bytes.\n", echoName, time.Since(start).Seconds()*1000, f.MTU())
	const n = 2000
	var rtts []time.Duration
	payload := bytes.Repeat([]byte("o"), 64)
	buf := make([]byte, f.MTU())
	for range n {
		sent := time.Now()
		if _, err := f.Write(payload); err != nil {
			return fmt.Errorf("demo: %w", err)
		}
		f.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
		if _, _, err := f.ReadPacket(buf); err == nil {
			rtts = append(rtts, time.Since(sent))
		}
	}
	if len(rtts) == 0 {
		return errors.New("demo: no packet came back")
	}
	slices.Sort(rtts)
	fmt.Fprintf(w, "%d of %d packets came back, median round trip %.0f µs.\n", len(rtts), n, float64(rtts[len(rtts)/2].Nanoseconds())/1000)
	return nil
}
