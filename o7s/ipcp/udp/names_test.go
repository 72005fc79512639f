// SPDX-License-Identifier: BSD-3-Clause

package udp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"o7gw/o7s/ipcp"
	"o7gw/o7s/ipcp/udp/ddns"
	"o7gw/o7s/ipcp/udp/ddns/knottest"
	"o7gw/o7s/layer"
	"o7gw/o7s/qos"
)

// startNamed is start with a DNS server.
func startNamed(t *testing.T, addr string, server netip.AddrPort, u layer.Upper) *IPCP {
	t.Helper()
	return startLogged(t, addr, server, u, slog.DiscardHandler)
}

func startLogged(t *testing.T, addr string, server netip.AddrPort, u layer.Upper, log slog.Handler) *IPCP {
	t.Helper()
	typ, a := ipcp.UDP6, netip.MustParseAddr(addr)
	if a.Is4() {
		typ = ipcp.UDP4
	}
	x, err := New(typ, ipcp.Env{Name: "u", Upper: u, Log: slog.New(log)})
	if err != nil {
		t.Fatal(err)
	}
	p := x.(*IPCP)
	p.dnsPort = server.Port()
	if err := p.Bootstrap(t.Context(), ipcp.Config{Type: typ, Layer: "test", UDP: ipcp.UDPConfig{
		Addr: a, Port: testPort, DNS: server.Addr(), HostsFile: filepath.Join(t.TempDir(), "hosts"),
	}}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

// nameServer returns an address for a DNS server on this host, and what
// starts it there.
func nameServer(t *testing.T, addr, members string) (at netip.AddrPort, start func() (stop func())) {
	t.Helper()
	a, dir := netip.MustParseAddr(addr), t.TempDir()
	at = netip.AddrPortFrom(a, knottest.FreePort(t, a))
	return at, func() func() { return knottest.Start(t, dir, at, netip.MustParsePrefix(members)) }
}

// inDNS returns the addresses that the server has for "op".
func inDNS(t *testing.T, at netip.AddrPort) []string {
	t.Helper()
	addrs, _, err := ddns.Server{Addr: at}.Lookup(within(t, 10*time.Second), ddns.Owner(op), at.Addr().Is4())
	if err != nil {
		t.Fatal(err)
	}
	var s []string
	for _, a := range addrs {
		s = append(s, a.String())
	}
	slices.Sort(s)
	return s
}

func TestNamesByDNS(t *testing.T) {
	at, run := nameServer(t, "127.0.0.1", "127.0.0.0/8")
	run()
	u, ports := acceptor(layer.CapTeardown)
	one, two := startNamed(t, "127.0.0.2", at, u), startNamed(t, "127.0.0.3", at, u)
	client := startNamed(t, "127.0.0.4", at, noUpper)
	ctx := within(t, 20*time.Second)

	if err := client.Query(ctx, op); !errors.Is(err, layer.ErrNoName) {
		t.Fatalf("before registration: %v", err)
	}
	if _, _, err := client.Allocate(ctx, op, qos.Raw, nil); !errors.Is(err, layer.ErrNoName) {
		t.Fatalf("before registration: %v", err)
	}
	for _, p := range []*IPCP{one, two, one} {
		if err := p.Register(ctx, op); err != nil {
			t.Fatal(err)
		}
	}
	if got := inDNS(t, at); !slices.Equal(got, []string{"127.0.0.2", "127.0.0.3"}) {
		t.Fatalf("in DNS: %v", got)
	}
	eventually(t, "answer to a query", func() bool { return client.Query(ctx, op) == nil })
	exchange(t, client, one, ports)
	if n := len(known(client)); n != 2 {
		t.Errorf("%d members known", n)
	}

	if err := one.Unregister(ctx, op); err != nil {
		t.Fatal(err)
	}
	if got := inDNS(t, at); !slices.Equal(got, []string{"127.0.0.3"}) {
		t.Fatalf("in DNS: %v", got)
	}
	// The one that left refuses; the other is tried.
	if p, _, err := client.Allocate(ctx, op, qos.Raw, nil); err != nil {
		t.Errorf("with one server left: %v", err)
	} else {
		p.Close()
		(<-ports).Close()
	}
	// Close takes names with it.
	if err := two.Close(); err != nil {
		t.Error(err)
	}
	if got := inDNS(t, at); len(got) != 0 {
		t.Errorf("in DNS after all: %v", got)
	}
	if err := one.Unregister(ctx, op); err != nil {
		t.Error(err)
	}
}

func known(p *IPCP) []endpoint {
	p.dir.dns.mu.Lock()
	defer p.dir.dns.mu.Unlock()
	return p.dir.dns.names[op].addrs
}

// In udp6 layers the type is AAAA (UDP-13). There is but one loopback
// address: the flow goes from the IPC process to itself.
func TestNamesByDNS6(t *testing.T) {
	at, run := nameServer(t, "::1", "::1/128")
	run()
	u, ports := acceptor(layer.CapTeardown)
	p := startNamed(t, "::1", at, u)
	exchange(t, p, p, ports)
	if got := inDNS(t, at); !slices.Equal(got, []string{"::1"}) {
		t.Errorf("in DNS: %v", got)
	}
}

// A server that is not there stops nobody, and learns everything when it is.
func TestDNSDownAndBack(t *testing.T) {
	at, run := nameServer(t, "127.0.0.1", "127.0.0.0/8")
	u, _ := acceptor(0)
	server, client := startNamed(t, "127.0.0.2", at, u), startNamed(t, "127.0.0.3", at, noUpper)
	ctx := within(t, 30*time.Second)
	if err := server.Register(ctx, op); err != nil || !server.names.Has(op) {
		t.Fatalf("register: %v", err)
	}
	if err := client.Query(ctx, op); !errors.Is(err, layer.ErrTimedOut) {
		t.Fatalf("query: %v", err)
	}
	stop := run()
	eventually(t, "record", func() bool { return len(inDNS(t, at)) == 1 })
	eventually(t, "answer to a query", func() bool { return client.Query(ctx, op) == nil })

	stop()
	expire(client)
	if err := client.Query(ctx, op); err != nil {
		t.Errorf("what was known is forgotten: %v", err)
	}
	if err := server.Unregister(ctx, op); err != nil {
		t.Errorf("unregister: %v", err)
	}
	run()
	eventually(t, "end of the record", func() bool { return len(inDNS(t, at)) == 0 })
}

// expire makes the client ask again for "op".
func expire(p *IPCP) {
	p.dir.dns.mu.Lock()
	defer p.dir.dns.mu.Unlock()
	p.dir.dns.names[op].expires = time.Time{}
}

// notes is a slog.Handler that keeps the messages.
type notes struct {
	slog.Handler
	mu   sync.Mutex
	said []string
}

func (n *notes) Enabled(context.Context, slog.Level) bool { return true }
func (n *notes) WithAttrs([]slog.Attr) slog.Handler       { return n }
func (n *notes) Handle(_ context.Context, r slog.Record) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if r.Level >= slog.LevelInfo {
		n.said = append(n.said, r.Level.String()+" "+r.Message)
	}
	return nil
}

func (n *notes) all() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.said)
}

// A server that takes no updates from us stops nobody. It is tried until it
// does, which is said once when it begins and once when it ends.
func TestDNSRefuses(t *testing.T) {
	a, dir := netip.MustParseAddr("127.0.0.1"), t.TempDir()
	at := netip.AddrPortFrom(a, knottest.FreePort(t, a))
	stop := knottest.Start(t, dir, at, netip.MustParsePrefix("192.0.2.0/24"))
	log := new(notes)
	p := startLogged(t, "127.0.0.2", at, noUpper, log)
	ctx := within(t, 20*time.Second)
	if err := p.Register(ctx, op); err != nil || !p.names.Has(op) {
		t.Fatalf("register: %v", err)
	}
	// What the server never had needs no removal.
	if err := p.Unregister(ctx, op); err != nil || p.names.Has(op) {
		t.Fatalf("unregister: %v", err)
	}
	if err := p.Register(ctx, op); err != nil {
		t.Fatalf("register again: %v", err)
	}
	stop()
	knottest.Start(t, dir, at, netip.MustParsePrefix("127.0.0.0/8"))
	eventually(t, "record", func() bool { return len(inDNS(t, at)) == 1 })
	const bad, good = "WARN DNS server was not updated, will try again", "INFO DNS server was updated after all"
	eventually(t, "good news", func() bool { return slices.Equal(log.all(), []string{bad, bad, good}) })
}

// slowServer answers each query with 127.0.0.2, after it was let go.
func slowServer(t *testing.T) (at netip.AddrPort, asked <-chan struct{}, release func()) {
	t.Helper()
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	questions, gate := make(chan struct{}, 100), make(chan struct{})
	up, ended := make(chan struct{}), make(chan struct{})
	s := &dns.Server{PacketConn: pc, NotifyStartedFunc: func() { close(up) }, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		questions <- struct{}{}
		<-gate
		r := new(dns.Msg).SetReply(q)
		rr, _ := dns.NewRR(fmt.Sprintf("%s 1 A 127.0.0.2", q.Question[0].Name))
		r.Answer = append(r.Answer, rr)
		w.WriteMsg(r)
	})}
	go func() {
		defer close(ended)
		s.ActivateAndServe()
	}()
	<-up
	let := make(chan struct{}, 1)
	let <- struct{}{}
	release = func() {
		select {
		case <-let:
			close(gate)
		default:
		}
	}
	t.Cleanup(func() {
		release()
		s.Shutdown()
		<-ended
	})
	return pc.LocalAddr().(*net.UDPAddr).AddrPort(), questions, release
}

// Nobody waits longer than he likes, yet the answer is there for the next.
func TestSlowDNS(t *testing.T) {
	at, asked, release := slowServer(t)
	p := startNamed(t, "127.0.0.3", at, noUpper)
	for range 2 {
		if err := p.Query(within(t, 10*time.Millisecond), op); !errors.Is(err, layer.ErrTimedOut) {
			t.Fatalf("query: %v", err)
		}
	}
	<-asked
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.Query(cancelled, op); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled query: %v", err)
	}
	release()
	eventually(t, "answer", func() bool { return p.Query(within(t, 10*time.Millisecond), op) == nil })
}

// An IPC process that waits for a silent server can be closed.
func TestCloseDuringLookup(t *testing.T) {
	at, asked, _ := slowServer(t)
	p := startNamed(t, "127.0.0.3", at, noUpper)
	result := make(chan error)
	go func() { result <- p.Query(context.Background(), op) }()
	<-asked
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	if err := <-result; err == nil {
		t.Error("query succeeded")
	}
}

// What the address map has is not asked for.
func TestMapBeforeDNS(t *testing.T) {
	at, asked, _ := slowServer(t)
	p := startNamed(t, "127.0.0.3", at, noUpper)
	p.dir.static[op] = []endpoint{p.self}
	if err := p.Query(t.Context(), op); err != nil || len(asked) != 0 {
		t.Errorf("%v; %d questions", err, len(asked))
	}
}
