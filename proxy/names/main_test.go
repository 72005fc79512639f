// SPDX-License-Identifier: BSD-3-Clause

package names

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

var loopback = netip.MustParseAddrPort("127.0.0.1:0")

// layers are services that exist: the directory that the server asks.
type layers struct {
	mu     sync.Mutex
	exist  map[string]bool
	broken bool // gives no answer
	asked  map[string]int
	gate   chan struct{} // if set, answers wait for it
}

func having(services ...string) *layers {
	l := &layers{exist: map[string]bool{}, asked: map[string]int{}}
	for _, s := range services {
		l.exist[s] = true
	}
	return l
}

func (l *layers) known(ctx context.Context, service string) (bool, error) {
	l.mu.Lock()
	gate := l.gate
	l.asked[service]++
	l.mu.Unlock()
	if gate != nil {
		select {
		case <-gate:
		case <-ctx.Done():
			return false, ctx.Err()
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.broken {
		return true, errors.New("the directory is silent")
	}
	return l.exist[service], nil
}

// set changes what the layers are.
func (l *layers) set(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f()
}

func (l *layers) times(service string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.asked[service]
}

// serve starts a server on loopback; change may alter its configuration, prepare
// the server before it starts.
func serve(t testing.TB, l *layers, change func(*Config), prepare ...func(*Server)) *Server {
	t.Helper()
	cfg := Defaults()
	cfg.Listen = []netip.AddrPort{loopback}
	if change != nil {
		change(&cfg)
	}
	pool, err := NewPool(cfg.V4, cfg.V6, cfg.Max)
	if err != nil {
		t.Fatal(err)
	}
	var known Known
	if l != nil {
		known = l.known
	}
	s := New(cfg, pool, known, nil, quiet)
	for _, f := range prepare {
		f(s)
	}
	if err := s.Start(context.Background()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// limit changes the limits of a server.
func limit(s *Server, change func(*limits)) {
	s.guard.mu.Lock()
	defer s.guard.mu.Unlock()
	change(&s.guard.limits)
}

// waits returns how many queries wait.
func waits(s *Server) int {
	s.guard.mu.Lock()
	defer s.guard.mu.Unlock()
	return s.guard.waits
}

// ask asks a server for a name with an ordinary client.
func ask(t testing.TB, s *Server, network, name string, typ uint16) *dns.Msg {
	t.Helper()
	m := new(dns.Msg)
	m.SetQuestion(name, typ)
	return exchange(t, s, network, m)
}

func exchange(t testing.TB, s *Server, network string, m *dns.Msg) *dns.Msg {
	t.Helper()
	c := dns.Client{Net: network, Timeout: 10 * time.Second}
	r, _, err := c.Exchange(m, s.Addrs()[0].String())
	if err != nil {
		t.Fatalf("ask for %v over %s: %v", m.Question, network, err)
	}
	return r
}

// short writes what an answer says: the code, the data, and for negative
// answers the zone.
func short(m *dns.Msg) string {
	out := []string{dns.RcodeToString[m.Rcode]}
	for _, rr := range m.Answer {
		out = append(out, strings.ReplaceAll(rr.String(), "\t", " "))
	}
	for _, rr := range m.Ns {
		out = append(out, "("+rr.Header().Name+" "+dns.TypeToString[rr.Header().Rrtype]+")")
	}
	return strings.Join(out, " ")
}

// upstreamServer is a DNS server of the world outside; handle answers.
func upstreamServer(t testing.TB, handle dns.HandlerFunc) netip.AddrPort {
	t.Helper()
	var pc net.PacketConn
	var l net.Listener
	for l == nil { // until a port is free for both
		var err error
		if pc, err = net.ListenPacket("udp4", "127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
		if l, err = net.Listen("tcp4", pc.LocalAddr().String()); err != nil {
			pc.Close()
		}
	}
	for _, s := range []*dns.Server{{PacketConn: pc, Handler: handle}, {Listener: l, Handler: handle}} {
		started, ended := make(chan struct{}), make(chan struct{})
		s.NotifyStartedFunc = func() { close(started) }
		go func() {
			defer close(ended)
			s.ActivateAndServe()
		}()
		<-started
		t.Cleanup(func() {
			s.Shutdown()
			<-ended
		})
	}
	return pc.LocalAddr().(*net.UDPAddr).AddrPort()
}
