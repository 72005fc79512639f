// SPDX-License-Identifier: BSD-3-Clause

package exit

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"o7gw/o7s/packet"
	"o7gw/o7s/qos"
	"o7gw/proxy"
	"o7gw/proxy/policy"
	"o7gw/proxy/proxytest"
	"o7gw/proxy/session"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var quiet = slog.New(slog.DiscardHandler)

// echo is a TCP echo server.
func echo(t testing.TB, at string) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp", at)
	if err != nil {
		t.Skip(err) // no IPv6
	}
	proxytest.Serve(t, l, proxytest.Echo)
	return l.Addr().(*net.TCPAddr).AddrPort()
}

// silent is an address that does not answer those who connect: its queue is
// full.
func silent(t testing.TB) netip.AddrPort {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err := errors.Join(unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}), unix.Listen(fd, 0)); err != nil {
		t.Fatal(err)
	}
	sa, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	at := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(sa.(*unix.SockaddrInet4).Port))
	for range 100 {
		c, err := net.DialTimeout("tcp", at.String(), 100*time.Millisecond)
		if err != nil {
			return at
		}
		t.Cleanup(func() { c.Close() })
	}
	t.Fatal("the queue is never full")
	return at
}

// zone is a DNS server for some hosts.
type zone struct {
	mu    sync.Mutex
	addrs map[string][]string // by host, what it is now
	asked atomic.Int32
}

func (z *zone) set(host string, addrs ...string) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.addrs[host] = addrs
}

// ServeDNS answers a query. The host silent.test gets no answer.
func (z *zone) ServeDNS(w dns.ResponseWriter, q *dns.Msg) {
	z.asked.Add(1)
	z.mu.Lock()
	defer z.mu.Unlock()
	m := new(dns.Msg).SetReply(q)
	m.RecursionAvailable = true
	name := q.Question[0].Name
	addrs, ok := z.addrs[strings.ToLower(name[:len(name)-1])]
	switch {
	case name == "silent.test.":
		return
	case name == "broken.test.":
		m.Rcode = dns.RcodeServerFailure
	case !ok:
		m.Rcode = dns.RcodeNameError
	}
	for _, s := range addrs {
		h := dns.RR_Header{Name: name, Rrtype: dns.TypeA, Class: dns.ClassINET}
		a := netip.MustParseAddr(s)
		switch {
		case a.Is4() && q.Question[0].Qtype == dns.TypeA:
			m.Answer = append(m.Answer, &dns.A{Hdr: h, A: a.AsSlice()})
		case a.Is6() && q.Question[0].Qtype == dns.TypeAAAA:
			h.Rrtype = dns.TypeAAAA
			m.Answer = append(m.Answer, &dns.AAAA{Hdr: h, AAAA: a.AsSlice()})
		}
	}
	w.WriteMsg(m)
}

// serveDNS starts the server of a zone.
func serveDNS(t testing.TB) (*zone, netip.AddrPort) {
	t.Helper()
	z := &zone{addrs: map[string][]string{}}
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	up := make(chan struct{})
	s := &dns.Server{PacketConn: c, Handler: z, NotifyStartedFunc: func() { close(up) }}
	done := make(chan error, 1)
	go func() { done <- s.ActivateAndServe() }()
	<-up
	t.Cleanup(func() {
		s.Shutdown()
		<-done
	})
	return z, c.LocalAddr().(*net.UDPAddr).AddrPort()
}

// allow is a policy of one rule with those targets.
func allow(targets ...string) policy.Policy {
	var r policy.Rule
	for _, s := range targets {
		r.Targets = append(r.Targets, netip.MustParsePrefix(s))
	}
	return policy.Policy{Allow: []policy.Rule{r}}
}

func config(p policy.Policy, servers ...netip.AddrPort) Config {
	c := Defaults()
	c.Name, c.Service, c.Policy, c.Servers = "test", "exit", p, servers
	return c
}

func start(t testing.TB, cfg Config, s proxy.Stack) *Exit {
	t.Helper()
	e := New(cfg, s, quiet)
	if err := e.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	return e
}

func to(at netip.AddrPort) session.Request { return session.Request{Addr: at.Addr(), Port: at.Port()} }

func host(name string, port uint16) session.Request { return session.Request{Host: name, Port: port} }

// open begins a TCP session.
func open(t testing.TB, s proxy.Stack, req session.Request) (*proxy.Conn, error) {
	d := proxy.Dialer{Stack: s}
	c, err := d.DialTCP(t.Context(), "exit", qos.Spec{}, req)
	if err == nil {
		t.Cleanup(c.Reset)
	}
	return c, err
}

// works sends something through a session and wants it back.
func works(t testing.TB, c net.Conn) {
	t.Helper()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	got := make([]byte, 5)
	if _, err := c.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(c, got); err != nil || string(got) != "hello" {
		t.Fatalf("%q, %v", got, err)
	}
}

// over waits until a session ends.
func over(t testing.TB, c net.Conn) {
	t.Helper()
	c.SetReadDeadline(time.Now().Add(10 * time.Second))
	if n, err := c.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("%d bytes, %v", n, err)
	}
}

// udp is one end of a UDP session.
type udp struct {
	t   testing.TB
	p   *proxy.Packets
	got chan datagram
	end chan error
}

type datagram struct {
	from netip.AddrPort
	data string
}

// openUDPSession begins a UDP session.
func openUDPSession(t testing.TB, s proxy.Stack, req session.Request) (*udp, error) {
	d := proxy.Dialer{Stack: s}
	p, err := d.DialUDP(t.Context(), "exit", qos.Spec{}, req)
	if err != nil {
		return nil, err
	}
	u := &udp{t: t, p: p, got: make(chan datagram, 1000), end: make(chan error, 1)}
	p.Receive(func(d []proxy.Datagram) {
		for i := range d {
			u.got <- datagram{d[i].Addr, string(d[i].Buf.Bytes())}
			d[i].Buf.Release()
		}
	}, func(err error) { u.end <- err })
	t.Cleanup(func() { p.Close() })
	return u, nil
}

// send sends a datagram; the zero address is the target of the request.
func (u *udp) send(to netip.AddrPort, data string) {
	u.t.Helper()
	b := packet.Get(len(data))
	b.Append([]byte(data))
	if err := u.p.Send([]proxy.Datagram{{Addr: to, Buf: b}}); err != nil {
		u.t.Fatal(err)
	}
}

// receive returns the next datagram.
func (u *udp) receive() datagram {
	u.t.Helper()
	select {
	case d := <-u.got:
		return d
	case <-time.After(10 * time.Second):
		u.t.Fatal("no datagram")
		return datagram{}
	}
}

// party is a UDP socket out there.
type party struct {
	*net.UDPConn
	t testing.TB
}

func newParty(t testing.TB, at string) *party {
	t.Helper()
	c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.MustParseAddrPort(at)))
	if errors.Is(err, syscall.EADDRNOTAVAIL) || errors.Is(err, syscall.EAFNOSUPPORT) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return &party{c, t}
}

func (p *party) addr() netip.AddrPort { return p.LocalAddr().(*net.UDPAddr).AddrPort() }

// receive returns the next datagram and where it comes from.
func (p *party) receive() datagram {
	p.t.Helper()
	p.SetReadDeadline(time.Now().Add(10 * time.Second))
	buf := make([]byte, 65536)
	n, from, err := p.ReadFromUDPAddrPort(buf)
	if err != nil {
		p.t.Fatal(err)
	}
	return datagram{netip.AddrPortFrom(from.Addr().Unmap(), from.Port()), string(buf[:n])}
}

func (p *party) send(to netip.AddrPort, data string) {
	p.t.Helper()
	if _, err := p.WriteToUDPAddrPort([]byte(data), to); err != nil {
		p.t.Fatal(err)
	}
}

// eventually waits for something that takes time.
func eventually(t testing.TB, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal(what)
		}
	}
}
