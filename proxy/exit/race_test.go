// SPDX-License-Identifier: BSD-3-Clause

package exit

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"o7gw/o7s/bubble"
	"o7gw/proxy/session"
)

// net6 is the network of a test: what becomes of attempts to connect.
type net6 struct {
	t0   time.Time
	fate map[string]fate

	mu    sync.Mutex
	tried []string // "address@ms"
	left  int      // connections that nobody has closed
}

// fate is what becomes of one attempt, after a time.
type fate struct {
	after time.Duration
	err   error
}

// link is a connection of net6.
type link struct {
	net.Conn
	n  *net6
	to netip.AddrPort
}

func (l *link) Close() error {
	l.n.mu.Lock()
	defer l.n.mu.Unlock()
	l.n.left--
	return nil
}

func (n *net6) dial(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
	n.mu.Lock()
	n.tried = append(n.tried, fmt.Sprintf("%v@%d", to.Addr(), time.Since(n.t0).Milliseconds()))
	n.mu.Unlock()
	f, known := n.fate[to.Addr().String()]
	if !known {
		f.after = time.Hour
	}
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-time.After(f.after):
	}
	if f.err != nil {
		return nil, f.err
	}
	n.mu.Lock()
	n.left++
	n.mu.Unlock()
	return &link{n: n, to: to}, nil
}

// reply is an answer that comes after a time.
type reply struct {
	after time.Duration
	addrs string // separated by spaces
	err   error
}

// TestRace: who is tried when, and what comes of it (RFC 8305).
func TestRace(t *testing.T) {
	const ms = time.Millisecond
	refused := os.NewSyscallError("connect", syscall.ECONNREFUSED)
	noRoute := os.NewSyscallError("connect", syscall.ENETUNREACH)
	notFound := &net.DNSError{IsNotFound: true}
	for _, c := range []struct {
		name    string
		replies []reply
		fate    map[string]fate
		tried   string
		winner  string
		status  session.Status
	}{
		{"one address", []reply{{0, "192.0.2.1", nil}, {0, "", notFound}}, map[string]fate{"192.0.2.1": {ms, nil}},
			"192.0.2.1@0", "192.0.2.1", 0},
		{"IPv6 is first", []reply{{0, "192.0.2.1", nil}, {10 * ms, "2001:db8::1", nil}}, map[string]fate{"2001:db8::1": {ms, nil}},
			"2001:db8::1@10", "2001:db8::1", 0},
		{"IPv4 does not wait long", []reply{{0, "192.0.2.1", nil}, {time.Second, "2001:db8::1", nil}}, map[string]fate{"192.0.2.1": {ms, nil}},
			"192.0.2.1@50", "192.0.2.1", 0},
		{"late IPv6 is tried, too", []reply{{0, "192.0.2.1", nil}, {100 * ms, "2001:db8::1", nil}}, map[string]fate{"2001:db8::1": {ms, nil}},
			"192.0.2.1@50 2001:db8::1@300", "2001:db8::1", 0},
		{"families alternate", []reply{{0, "2001:db8::1 2001:db8::2", nil}, {0, "192.0.2.1 192.0.2.2", nil}}, map[string]fate{"192.0.2.2": {ms, nil}},
			"2001:db8::1@0 192.0.2.1@250 2001:db8::2@500 192.0.2.2@750", "192.0.2.2", 0},
		{"a failure starts the next at once", []reply{{0, "2001:db8::1 2001:db8::2", nil}, {0, "192.0.2.1", nil}},
			map[string]fate{"2001:db8::1": {ms, noRoute}, "192.0.2.1": {20 * ms, refused}, "2001:db8::2": {ms, nil}},
			"2001:db8::1@0 192.0.2.1@1 2001:db8::2@21", "2001:db8::2", 0},
		{"the first may win late", []reply{{0, "2001:db8::1", nil}, {0, "192.0.2.1", nil}}, map[string]fate{"2001:db8::1": {300 * ms, nil}},
			"2001:db8::1@0 192.0.2.1@250", "2001:db8::1", 0},
		{"refused says more than unreachable", []reply{{0, "2001:db8::1", nil}, {0, "192.0.2.1", nil}},
			map[string]fate{"2001:db8::1": {ms, noRoute}, "192.0.2.1": {0, refused}},
			"2001:db8::1@0 192.0.2.1@1", "", session.Refused},
		{"unreachable", []reply{{0, "2001:db8::1", nil}, {0, "", notFound}}, map[string]fate{"2001:db8::1": {0, noRoute}},
			"2001:db8::1@0", "", session.Unreachable},
		{"no answer", []reply{{0, "192.0.2.1", nil}, {0, "", notFound}}, nil, "192.0.2.1@0", "", session.TimedOut},
		{"no such host", []reply{{0, "", notFound}, {0, "", notFound}}, nil, "", "", session.NotFound},
		{"no server for one family", []reply{{0, "", notFound}, {0, "", &net.DNSError{IsTimeout: true}}}, nil, "", "", session.TimedOut},
		{"no server answers", []reply{{time.Hour, "", nil}}, nil, "", "", session.TimedOut},
		{"what is denied is not tried", []reply{{0, "127.0.0.1 192.0.2.1 ::ffff:127.0.0.1", nil}, {0, "::1", nil}}, map[string]fate{"192.0.2.1": {ms, nil}},
			"192.0.2.1@0", "192.0.2.1", 0},
		{"all is denied", []reply{{0, "127.0.0.1", nil}, {0, "::1", nil}}, nil, "", "", session.Denied},
		{"not all of many", []reply{{0, strings.TrimSpace(strings.Repeat("192.0.2.1 ", 100)), nil}, {0, "", notFound}}, map[string]fate{"192.0.2.1": {0, refused}},
			strings.TrimSpace(strings.Repeat("192.0.2.1@0 ", attemptsMost)), "", session.Refused},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				n := &net6{t0: time.Now(), fate: c.fate}
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				defer cancel()
				answers := make(chan answer, len(c.replies))
				var wg sync.WaitGroup
				for _, r := range c.replies {
					wg.Go(func() {
						select {
						case <-time.After(r.after):
						case <-ctx.Done():
							return
						}
						a := answer{err: r.err}
						for _, s := range strings.Fields(r.addrs) {
							a.addrs = append(a.addrs, netip.MustParseAddr(s))
						}
						answers <- a
					})
				}
				go func() {
					wg.Wait()
					close(answers)
				}()
				r := race{port: 80, dial: n.dial, allowed: func(a netip.Addr) bool { return !a.IsLoopback() }}
				conn, err := r.run(ctx, answers)
				if got := session.StatusOf(err); got != c.status {
					t.Errorf("%v (%v), want %v", got, err, c.status)
				}
				want := strings.Fields(c.tried)
				if !slices.Equal(n.tried, want) {
					t.Errorf("tried %v, want %v", n.tried, want)
				}
				switch {
				case c.winner == "":
					if conn != nil || n.left != 0 {
						t.Errorf("%v, %d connections are left", conn, n.left)
					}
				case err == nil:
					if got := conn.(*link).to; got.Addr().String() != c.winner || got.Port() != 80 || n.left != 1 {
						t.Errorf("%v has won, %d connections are left", got, n.left)
					}
				}
				if c.status == session.TimedOut && ctx.Err() == nil && !errors.As(err, new(*net.DNSError)) {
					t.Errorf("gave up early: %v", err)
				}
				cancel()
			})
		})
	}
}
