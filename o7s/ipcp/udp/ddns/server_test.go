// SPDX-License-Identifier: BSD-3-Clause

package ddns

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	"go.uber.org/goleak"

	"o7gw/o7s/ipcp/udp/ddns/knottest"
	"o7gw/o7s/layer"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	name  = Owner(layer.MD5.Sum("oping"))
	local = netip.MustParseAddr("127.0.0.1")
)

func within(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

// fake is a server whose answers a test makes.
func fake(t *testing.T, answer func(w dns.ResponseWriter, q *dns.Msg, tcp bool)) Server {
	t.Helper()
	var at netip.AddrPort
	var pc net.PacketConn
	var l net.Listener
	for range 10 { // the port may be in use for TCP
		var err error
		if pc, err = net.ListenPacket("udp", "127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
		at = pc.LocalAddr().(*net.UDPAddr).AddrPort()
		if l, err = net.Listen("tcp", at.String()); err == nil {
			break
		}
		pc.Close()
	}
	if l == nil {
		t.Fatal("no port is free for UDP and TCP")
	}
	for _, s := range []*dns.Server{{PacketConn: pc}, {Listener: l}} {
		tcp := s.Listener != nil
		s.Handler = dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) { answer(w, q, tcp) })
		s.MsgAcceptFunc = func(dns.Header) dns.MsgAcceptAction { return dns.MsgAccept } // updates, too
		up, ended := make(chan struct{}), make(chan struct{})
		s.NotifyStartedFunc = func() { close(up) }
		go func() {
			defer close(ended)
			s.ActivateAndServe()
		}()
		<-up
		t.Cleanup(func() {
			s.Shutdown()
			<-ended
		})
	}
	return Server{Addr: at}
}

func reply(q *dns.Msg, rcode int, answer ...string) *dns.Msg {
	r := new(dns.Msg).SetRcode(q, rcode)
	for _, s := range answer {
		rr, err := dns.NewRR(s)
		if err != nil {
			panic(err)
		}
		r.Answer = append(r.Answer, rr)
	}
	return r
}

func addrs(s ...string) (as []netip.Addr) {
	for _, a := range s {
		as = append(as, netip.MustParseAddr(a))
	}
	return as
}

func TestOwner(t *testing.T) {
	if name != "7862c6fec5ecaef4aa2e3934725e23b3." { // spec 10 §2.9
		t.Error(name)
	}
}

// The real server: two members of one name, then one, then none.
func TestKnot(t *testing.T) {
	for _, c := range []struct{ server, members, one, two string }{
		{"127.0.0.1", "127.0.0.0/8", "192.0.2.1", "192.0.2.2"},
		{"::1", "::1/128", "2001:db8::1", "2001:db8::2"},
	} {
		t.Run(c.server, func(t *testing.T) {
			at := netip.MustParseAddr(c.server)
			s := Server{netip.AddrPortFrom(at, knottest.FreePort(t, at))}
			dir := t.TempDir()
			stop := knottest.Start(t, dir, s.Addr, netip.MustParsePrefix(c.members))
			ctx := within(t, 20*time.Second)
			one, two := netip.MustParseAddr(c.one), netip.MustParseAddr(c.two)
			expect := func(want ...netip.Addr) {
				t.Helper()
				got, ttl, err := s.Lookup(ctx, name, one.Is4())
				slices.SortFunc(got, netip.Addr.Compare)
				if err != nil || !slices.Equal(got, want) || len(want) > 0 && ttl != recordTTL*time.Second {
					t.Errorf("%v, %v, %v; want %v", got, ttl, err, want)
				}
				if got, _, err := s.Lookup(ctx, name, !one.Is4()); len(got) != 0 || err != nil {
					t.Errorf("of the other family: %v, %v", got, err)
				}
			}
			expect()
			if err := errors.Join(s.Add(ctx, name, one), s.Add(ctx, name, two), s.Add(ctx, name, one)); err != nil {
				t.Fatal(err)
			}
			expect(one, two)
			stop()
			knottest.Start(t, dir, s.Addr, netip.MustParsePrefix(c.members))
			expect(one, two)
			if err := errors.Join(s.Remove(ctx, name, one), s.Remove(ctx, name, one)); err != nil {
				t.Fatal(err)
			}
			expect(two)
			if err := s.Remove(ctx, name, two); err != nil {
				t.Fatal(err)
			}
			expect()
		})
	}
}

func TestKnotRefuses(t *testing.T) {
	s := Server{netip.AddrPortFrom(local, knottest.FreePort(t, local))}
	knottest.Start(t, t.TempDir(), s.Addr, netip.MustParsePrefix("192.0.2.0/24"))
	err := s.Add(within(t, 20*time.Second), name, netip.MustParseAddr("192.0.2.1"))
	var r *Refusal
	if !errors.As(err, &r) || r.Rcode != dns.RcodeNotAuth && r.Rcode != dns.RcodeRefused || !errors.Is(err, layer.ErrPermission) {
		t.Fatalf("got %v", err)
	}
	if want := fmt.Sprintf("DNS server %v refuses to update %s in zone \".\": ", s.Addr, name); !strings.HasPrefix(err.Error(), want) {
		t.Errorf("got %v", err)
	}
}

// Whatever else comes before the answer is passed over.
func TestForgedAnswers(t *testing.T) {
	evil := name + " 60 A 192.0.2.66"
	s := fake(t, func(w dns.ResponseWriter, q *dns.Msg, _ bool) {
		for _, change := range []func(*dns.Msg){
			func(r *dns.Msg) { r.Id++ },
			func(r *dns.Msg) { r.Question[0].Name = "other." },
			func(r *dns.Msg) { r.Question[0].Qtype = dns.TypeAAAA },
			func(r *dns.Msg) { r.Question = nil },
			func(r *dns.Msg) { r.Question = append(r.Question, r.Question[0]) },
			func(r *dns.Msg) { r.Response = false },
			func(r *dns.Msg) { r.Opcode = dns.OpcodeNotify },
		} {
			r := reply(q, dns.RcodeSuccess, evil)
			r.Question = slices.Clone(r.Question)
			change(r)
			w.WriteMsg(r)
		}
		raw, _ := reply(q, dns.RcodeSuccess, evil).Pack()
		w.Write(raw[:3])
		w.Write(raw[:len(raw)-2])
		w.Write(nil)
		w.WriteMsg(reply(q, dns.RcodeSuccess, name+" 7 A 192.0.2.1"))
	})
	got, ttl, err := s.Lookup(within(t, 10*time.Second), name, true)
	if err != nil || !slices.Equal(got, addrs("192.0.2.1")) || ttl != 7*time.Second {
		t.Errorf("%v %v %v", got, ttl, err)
	}
}

// Answers too large for UDP come over TCP, and no number of addresses is too
// large.
func TestHugeAnswer(t *testing.T) {
	s := fake(t, func(w dns.ResponseWriter, q *dns.Msg, tcp bool) {
		r := reply(q, dns.RcodeSuccess)
		if r.Truncated = !tcp; tcp {
			for i := range 4000 {
				r.Answer = append(r.Answer, record(name, netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})))
			}
			r.Compress = true
		}
		w.WriteMsg(r)
	})
	got, _, err := s.Lookup(within(t, 10*time.Second), name, true)
	if err != nil || len(got) != maxAddresses || got[15] != netip.MustParseAddr("10.0.0.15") {
		t.Errorf("%v %v", got, err)
	}
}

// shorten makes attempts short.
func shorten(t *testing.T) {
	old := attempts
	t.Cleanup(func() { attempts = old })
	attempts = []attempt{{"udp", 20 * time.Millisecond}, {"udp", 20 * time.Millisecond}, {"tcp", 5 * time.Second}}
}

func TestOnlyTCP(t *testing.T) {
	shorten(t)
	s := fake(t, func(w dns.ResponseWriter, q *dns.Msg, tcp bool) {
		if tcp {
			w.WriteMsg(reply(q, dns.RcodeSuccess, name+" 60 A 192.0.2.1"))
		}
	})
	if got, _, err := s.Lookup(within(t, 10*time.Second), name, true); err != nil || len(got) != 1 {
		t.Errorf("%v %v", got, err)
	}
}

func TestUnanswered(t *testing.T) {
	shorten(t)
	nobody := Server{netip.AddrPortFrom(local, knottest.FreePort(t, local))}
	ailing := fake(t, func(w dns.ResponseWriter, q *dns.Msg, _ bool) { w.WriteMsg(reply(q, dns.RcodeServerFailure)) })
	// Over TCP the answer to another question is an answer no more than over UDP.
	mad := fake(t, func(w dns.ResponseWriter, q *dns.Msg, tcp bool) {
		r := reply(q, dns.RcodeSuccess)
		r.Id++
		w.WriteMsg(r)
		if tcp {
			w.Close()
		}
	})
	for what, s := range map[string]Server{"nobody": nobody, "ailing": ailing, "mad": mad} {
		ctx := within(t, 10*time.Second)
		_, _, err := s.Lookup(ctx, name, true)
		for op, err := range map[string]error{"lookup": err, "add": s.Add(ctx, name, local), "remove": s.Remove(ctx, name, local)} {
			if !errors.Is(err, ErrUnanswered) {
				t.Errorf("%s: %s: %v", what, op, err)
			}
		}
	}
}

func TestCancel(t *testing.T) {
	asked := make(chan struct{}, 10)
	s := fake(t, func(dns.ResponseWriter, *dns.Msg, bool) { asked <- struct{}{} })
	ctx, cancel := context.WithCancel(context.Background())
	result := make(chan error)
	go func() {
		_, _, err := s.Lookup(ctx, name, true)
		result <- err
	}()
	<-asked
	cancel()
	if err := <-result; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// A zone below the root is found by asking for parents, if the server does
// not say it at once.
func TestZone(t *testing.T) {
	owner := "x.y.example."
	for what, c := range map[string]struct {
		soa  map[string]string // question: owner of the SOA record
		want string
	}{
		"at once":   {map[string]string{owner: "example."}, "example."},
		"by parent": {map[string]string{"y.example.": "Y.example."}, "y.example."},
		"root":      {map[string]string{".": "."}, "."},
		"elsewhere": {map[string]string{owner: "evil.", "y.example.": "z.y.example."}, ""},
		"nowhere":   {nil, ""},
	} {
		updated := make(chan string, 10)
		s := fake(t, func(w dns.ResponseWriter, q *dns.Msg, _ bool) {
			if q.Opcode == dns.OpcodeUpdate {
				updated <- q.Question[0].Name
				r := reply(q, dns.RcodeSuccess)
				r.Question = nil
				w.WriteMsg(r)
				return
			}
			r := reply(q, dns.RcodeNameError)
			if soa := c.soa[q.Question[0].Name]; soa != "" {
				r.Ns = reply(q, 0, soa+" 60 SOA ns. admin. 1 2 3 4 5").Answer
			}
			w.WriteMsg(r)
		})
		err := s.Add(within(t, 10*time.Second), owner, local)
		if c.want == "" {
			var r *Refusal
			if !errors.As(err, &r) || len(updated) != 0 {
				t.Errorf("%s: %v, %d updates", what, err, len(updated))
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", what, err)
		} else if got := <-updated; got != c.want {
			t.Errorf("%s: updated zone %q", what, got)
		}
	}
}
