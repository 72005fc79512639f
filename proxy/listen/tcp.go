// SPDX-License-Identifier: BSD-3-Clause

// Package listen takes local TCP connections and UDP datagrams for what
// forwards, SOCKS and HTTP proxies do with them.
//
// Start with NewTCP and ListenUDP; Sessions are for UDP sessions that are told
// apart in another way than by their client.
package listen

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"o7gw/proxy/ledger"
	"o7gw/proxy/session"
)

const (
	// acceptPause is the wait after an error of accept, such as too many
	// descriptors.
	acceptPause = 50 * time.Millisecond
	// Clients that vanish are noticed by keepalives: the first after
	// keepaliveIdle, then one every keepaliveEvery.
	keepaliveIdle  = time.Minute
	keepaliveEvery = 30 * time.Second
)

// TCP takes connections at several addresses.
type TCP struct {
	log   *slog.Logger
	book  *ledger.Book
	serve func(ctx context.Context, c *net.TCPConn)
	gate  *Gate

	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu        sync.Mutex
	drained   bool
	listeners map[netip.AddrPort]*net.TCPListener // by the address that was asked for
}

// NewTCP returns a TCP that calls serve for each connection, at most max at a
// time, each on a goroutine of its own; serve closes the connection, and ends
// with ctx. Connections above the limit (Gate) are reset, and entered into the
// book.
func NewTCP(log *slog.Logger, book *ledger.Book, max int, serve func(ctx context.Context, c *net.TCPConn)) *TCP {
	t := &TCP{log: log, book: book, serve: serve, gate: NewGate(max), listeners: map[netip.AddrPort]*net.TCPListener{}}
	t.ctx, t.cancel = context.WithCancel(context.Background())
	return t
}

// SetMax changes how many connections there may be; those that are open stay.
func (t *TCP) SetMax(max int) { t.gate.Set(max) }

// Listen opens the addresses and closes those that were open before and are
// not among them. If one cannot be opened all stays as it was.
func (t *TCP) Listen(at []netip.AddrPort) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.drained {
		return net.ErrClosed
	}
	opened := map[netip.AddrPort]*net.TCPListener{}
	for _, a := range at {
		if t.listeners[a] != nil || opened[a] != nil {
			continue
		}
		l, err := net.ListenTCP(family("tcp", a), net.TCPAddrFromAddrPort(a))
		if err != nil {
			for _, o := range opened {
				o.Close()
			}
			return fmt.Errorf("listen at tcp %v: %w", a, err)
		}
		opened[a] = l
	}
	for a, l := range t.listeners {
		if !slices.Contains(at, a) {
			l.Close()
			delete(t.listeners, a)
		}
	}
	for _, l := range opened {
		t.wg.Go(func() { t.accept(l) })
	}
	maps.Copy(t.listeners, opened)
	return nil
}

// Addrs returns the addresses that are open.
func (t *TCP) Addrs() (out []netip.AddrPort) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, l := range t.listeners {
		out = append(out, l.Addr().(*net.TCPAddr).AddrPort())
	}
	slices.SortFunc(out, netip.AddrPort.Compare)
	return out
}

func (t *TCP) accept(l *net.TCPListener) {
	for {
		c, err := l.AcceptTCP()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			t.log.Warn("accepting a connection failed", "at", l.Addr(), "err", err)
			select {
			case <-t.ctx.Done():
			case <-time.After(acceptPause):
			}
			continue
		}
		from := Source(c)
		if !t.gate.Enter(from.Addr()) {
			t.book.Refused(ledger.Info{Proto: session.TCP, Source: from.String()}, session.Busy)
			Reset(c)
			continue
		}
		c.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: keepaliveIdle, Interval: keepaliveEvery})
		t.wg.Go(func() {
			defer t.gate.Leave(from.Addr())
			t.serve(t.ctx, c)
		})
	}
}

// Drain closes the addresses; connections go on.
func (t *TCP) Drain() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.drained = true
	for a, l := range t.listeners {
		l.Close()
		delete(t.listeners, a)
	}
}

// Close ends everything and returns when nothing is left.
func (t *TCP) Close() {
	t.Drain()
	t.cancel()
	t.wg.Wait()
}

// family returns the network for an address: 0.0.0.0 shall not listen at
// addresses of IPv6, too.
func family(network string, a netip.AddrPort) string {
	if a.Addr().Is4() {
		return network + "4"
	}
	return network
}

// Source returns the address of the client.
func Source(c *net.TCPConn) netip.AddrPort {
	a, ok := c.RemoteAddr().(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	return plain(a.AddrPort())
}

// plain returns an address as sessions name it: IPv4 as such, without zone.
func plain(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap().WithZone(""), a.Port())
}

// Reset aborts a connection: its client sees that it was refused, not that it
// has ended.
func Reset(c *net.TCPConn) {
	c.SetLinger(0)
	c.Close()
}

// WarnOpen logs a warning for each address at which a proxy serves everybody
// who can reach it.
func WarnOpen(log *slog.Logger, at []netip.AddrPort, open bool) {
	for _, a := range at {
		if open && !a.Addr().Unmap().IsLoopback() {
			log.Warn("this proxy serves everybody who can reach it: set users, or listen at a loopback address", "at", a)
		}
	}
}
