// SPDX-License-Identifier: BSD-3-Clause

// Package listen takes local TCP connections and UDP datagrams for what
// forwards, SOCKS and HTTP proxies do with them.
//
// Start with NewTCP and ListenUDP.
package listen

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"
)

// acceptPause is the wait after an error of accept, such as too many
// descriptors.
const acceptPause = 50 * time.Millisecond

// TCP takes connections at several addresses.
type TCP struct {
	log    *slog.Logger
	serve  func(ctx context.Context, c *net.TCPConn)
	tokens chan struct{} // one for each connection

	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu        sync.Mutex
	listeners []*net.TCPListener
}

// NewTCP returns a TCP that calls serve for each connection, at most max at a
// time, each on a goroutine of its own; serve closes the connection, and ends
// with ctx.
func NewTCP(log *slog.Logger, max int, serve func(ctx context.Context, c *net.TCPConn)) *TCP {
	t := &TCP{log: log, serve: serve, tokens: make(chan struct{}, max)}
	t.ctx, t.cancel = context.WithCancel(context.Background())
	return t
}

// Listen opens the addresses, all or none.
func (t *TCP) Listen(at []netip.AddrPort) error {
	var opened []*net.TCPListener
	for _, a := range at {
		l, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(a))
		if err != nil {
			for _, o := range opened {
				o.Close()
			}
			return err
		}
		opened = append(opened, l)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.listeners = opened
	for _, l := range opened {
		t.wg.Go(func() { t.accept(l) })
	}
	return nil
}

// Addrs returns the addresses that are open.
func (t *TCP) Addrs() (out []netip.AddrPort) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, l := range t.listeners {
		out = append(out, l.Addr().(*net.TCPAddr).AddrPort())
	}
	return out
}

func (t *TCP) accept(l *net.TCPListener) {
	for {
		// Before accept: clients beyond the limit wait in the kernel's queue.
		select {
		case t.tokens <- struct{}{}:
		case <-t.ctx.Done():
			return
		}
		c, err := l.AcceptTCP()
		if err != nil {
			<-t.tokens
			if errors.Is(err, net.ErrClosed) {
				return
			}
			t.log.Warn("accepting a connection failed", "at", l.Addr(), "err", err)
			select {
			case <-t.ctx.Done():
			case <-time.After(acceptPause):
			}
			continue
		}
		c.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: time.Minute, Interval: 30 * time.Second})
		t.wg.Go(func() {
			defer func() { <-t.tokens }()
			t.serve(t.ctx, c)
		})
	}
}

// Drain closes the addresses; connections go on.
func (t *TCP) Drain() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, l := range t.listeners {
		l.Close()
	}
}

// Close ends everything and returns when nothing is left.
func (t *TCP) Close() {
	t.Drain()
	t.cancel()
	t.wg.Wait()
}
