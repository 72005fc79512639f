// SPDX-License-Identifier: BSD-3-Clause

package udp

import (
	"bytes"
	"context"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"o7gw/o7s/ipcp"
	"o7gw/o7s/layer"
	"o7gw/o7s/qos"
)

// outcome is what Allocate returned.
type outcome struct {
	port layer.Port
	data []byte
	err  error
}

// allocating calls Allocate in the background.
func allocating(ctx context.Context, p *IPCP, data []byte) chan outcome {
	c := make(chan outcome, 1)
	go func() {
		port, answer, err := p.Allocate(ctx, op, qos.Raw, data)
		c <- outcome{port, answer, err}
	}()
	return c
}

// wanted reads the flow request that a foreign responder gets.
func (f *foreign) wanted() request {
	f.t.Helper()
	m, err := parseManagement(f.recv())
	if err != nil {
		f.t.Fatal(err)
	}
	r, ok := m.(request)
	if !ok {
		f.t.Fatalf("got %T, want a request", m)
	}
	return r
}

func TestRefusal(t *testing.T) {
	client := start(t, "127.0.0.1", noUpper, serves("127.0.0.2"))
	server := start(t, "127.0.0.2", &upper{func(r *layer.Request) { r.Refuse(layer.ErrAuth) }}, nil)
	// Not registered there: the IPC process itself knows.
	if _, _, err := client.Allocate(within(t, 5*time.Second), op, qos.Raw, nil); !errors.Is(err, layer.ErrNoName) {
		t.Errorf("unregistered name: %v", err)
	}
	server.Register(t.Context(), op)
	_, _, err := client.Allocate(within(t, 5*time.Second), op, qos.Raw, nil)
	if e := layer.Errno(0); !errors.As(err, &e) || e != layer.ErrAuth {
		t.Errorf("refused by the upper side: %v", err)
	}
	server.Unregister(t.Context(), op)
	if _, _, err := client.Allocate(within(t, 5*time.Second), op, qos.Raw, nil); !errors.Is(err, layer.ErrNoName) {
		t.Errorf("unregistered again: %v", err)
	}
	if s := server.Stats(); s.Unregistered != 2 || s.Requests != 1 || s.Flows != 0 {
		t.Errorf("server %+v", s)
	}
	if n := client.Stats().Flows; n != 0 {
		t.Errorf("client keeps %d flows", n)
	}
}

// Replies from a wrong source, for a wrong EID, accepting without an EID, and
// second ones change nothing; data may come before the reply.
func TestReplies(t *testing.T) {
	client := start(t, "127.0.0.1", noUpper, serves("127.0.0.2"))
	server := dial(t, "127.0.0.2", testPort, client)
	other := dial(t, "127.0.0.3", testPort, client)
	otherPort := dial(t, "127.0.0.2", 0, client)
	got := allocating(within(t, 5*time.Second), client, []byte("ask"))
	r := server.wanted()
	if !bytes.Equal(r.data, []byte("ask")) || r.dst != op || r.qos != qos.Raw {
		t.Fatalf("%+v", r)
	}
	for _, f := range []*foreign{other, otherPort} {
		f.send(reply{eid: r.eid, peerEID: 66, data: []byte("evil")}.append(nil))
		f.send(eidBytes(r.eid), []byte("evil"))
	}
	server.send(reply{eid: r.eid ^ 1, peerEID: 66}.append(nil))
	server.send(reply{eid: r.eid, peerEID: 0, data: []byte("evil")}.append(nil))
	server.send(teardown{peerEID: 66, eid: r.eid}.append(nil))
	server.send(eidBytes(r.eid), []byte("early"))
	server.send(reply{eid: r.eid, peerEID: 66, data: []byte("yes")}.append(nil))
	server.send(reply{eid: r.eid, response: -1008}.append(nil))
	server.send(reply{eid: r.eid, peerEID: 67}.append(nil))
	server.send(eidBytes(r.eid), []byte("late"))
	o := <-got
	if o.err != nil || string(o.data) != "yes" {
		t.Fatalf("%q, %v", o.data, o.err)
	}
	in := newSink(o.port)
	if p := in.packets(t, 2); string(p[0]) != "early" || string(p[1]) != "late" {
		t.Errorf("got %q", p)
	}
	o.port.Send(buffers([]byte("data")))
	if b := server.recv(); !bytes.Equal(b, append(eidBytes(66), "data"...)) {
		t.Errorf("sent % x", b)
	}
	if s := client.Stats(); s.DropSource != 4 || s.DropStray != 4 || s.DropMalformed != 1 || s.Replies != 1 {
		t.Errorf("%+v", s)
	}
	o.port.Close()
	server.silent() // no notice to a peer that announced nothing
}

func TestTimeoutFreesTheFlow(t *testing.T) {
	client := start(t, "127.0.0.1", noUpper, serves("127.0.0.2"))
	server := dial(t, "127.0.0.2", testPort, client)
	_, _, err := client.Allocate(within(t, 20*time.Millisecond), op, qos.Raw, nil)
	if !errors.Is(err, layer.ErrTimedOut) {
		t.Errorf("got %v", err)
	}
	r := server.wanted()
	server.silent() // one request, never again
	server.send(reply{eid: r.eid, peerEID: 66}.append(nil))
	eventually(t, "late reply", func() bool { return client.Stats().DropStray == 1 })
	if n := client.Stats().Flows; n != 0 {
		t.Errorf("%d flows left", n)
	}
	ctx, cancel := context.WithCancel(t.Context())
	got := allocating(ctx, client, nil)
	server.wanted()
	cancel()
	if o := <-got; !errors.Is(o.err, context.Canceled) {
		t.Errorf("got %v", o.err)
	}
	got = allocating(t.Context(), client, nil)
	server.wanted()
	client.Close()
	if o := <-got; !errors.Is(o.err, layer.ErrIPCPState) {
		t.Errorf("got %v", o.err)
	}
}

// The caller is told when nothing came back, so that he can ask again.
func TestNoAnswer(t *testing.T) {
	client := start(t, "127.0.0.1", noUpper, serves("127.0.0.2", "127.0.0.3"))
	client.answerWait = 50 * time.Millisecond
	dead := dial(t, "127.0.0.2", testPort, client)
	other := dial(t, "127.0.0.3", testPort, client)
	got := allocating(t.Context(), client, nil)
	dead.wanted()
	other.wanted()
	if o := <-got; !errors.Is(o.err, layer.ErrNoAnswer) {
		t.Errorf("both silent: %v", o.err)
	}
	client.answerWait = defaultAnswerWait
	// Asked again, it is as if nothing had happened.
	got = allocating(t.Context(), client, nil)
	dead.wanted()
	r := other.wanted()
	other.send(reply{eid: r.eid, peerEID: 66}.append(nil))
	if o := <-got; o.err != nil {
		t.Error(o.err)
	}
}

// A refusal is an answer, whatever the other addresses do.
func TestRefusedAndSilent(t *testing.T) {
	client := start(t, "127.0.0.1", noUpper, serves("127.0.0.2", "127.0.0.3"))
	client.answerWait = 500 * time.Millisecond
	refusing := dial(t, "127.0.0.2", testPort, client)
	dead := dial(t, "127.0.0.3", testPort, client)
	got := allocating(t.Context(), client, nil)
	refusing.send(reply{eid: refusing.wanted().eid, response: -int32(layer.ErrAuth)}.append(nil))
	dead.wanted()
	if o := <-got; !errors.Is(o.err, layer.ErrAuth) {
		t.Errorf("got %v", o.err)
	}
}

// The first address is dead, the second refuses, the third accepts. Next time
// the first two are not tried.
func TestAddressesInOrder(t *testing.T) {
	client := start(t, "127.0.0.1", noUpper, serves("127.0.0.2", "127.0.0.3", "127.0.0.4", "::1"))
	dead := dial(t, "127.0.0.2", testPort, client)
	start(t, "127.0.0.3", noUpper, nil)
	u, ports := acceptor(0)
	server := start(t, "127.0.0.4", u, nil)
	server.Register(t.Context(), op)
	for range 2 {
		p, _, err := client.Allocate(within(t, 900*time.Millisecond), op, qos.Raw, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := p.(*flow).peer.at.addr().String(); got != "127.0.0.4" {
			t.Errorf("flow to %s", got)
		}
		<-ports
	}
	dead.wanted()
	dead.silent()
}

func TestRequestDataLimits(t *testing.T) {
	client := start(t, "127.0.0.1", noUpper, serves("127.0.0.2"))
	server := start(t, "127.0.0.2", &upper{func(r *layer.Request) {
		if _, err := r.Accept(make([]byte, maxReplyData+1)); err == nil {
			t.Error("reply that a C node does not survive")
		}
		r.Accept(make([]byte, maxReplyData))
		if _, err := r.Accept(nil); err == nil {
			t.Error("accepted twice")
		}
		r.Refuse(layer.ErrAuth) // too late: nothing is sent
	}}, nil)
	server.Register(t.Context(), op)
	if _, _, err := client.Allocate(t.Context(), op, qos.Raw, make([]byte, maxRequestData+1)); !errors.Is(err, layer.ErrInvalid) {
		t.Errorf("got %v", err)
	}
	_, answer, err := client.Allocate(within(t, 5*time.Second), op, qos.Raw, make([]byte, maxRequestData))
	if err != nil || len(answer) != maxReplyData {
		t.Errorf("%d bytes, %v", len(answer), err)
	}
	server.Close() // all is sent and counted
	if s := server.Stats(); s.Sent != 1 {
		t.Errorf("%d datagrams in answer", s.Sent)
	}
}

// A reply waits for a C requester to be ready (UDP-7), but not for ours.
func TestReplyDelay(t *testing.T) {
	for _, caps := range []layer.Caps{0, layer.CapTeardown} {
		client := start(t, "127.0.0.1", noUpper, serves("127.0.0.2"))
		var server *IPCP
		var atOnce atomic.Int32 // replies that were sent when Accept returned
		server = start(t, "127.0.0.2", &upper{func(r *layer.Request) {
			r.Answerer.(layer.PeerAware).SetPeerCaps(caps)
			before := server.Stats().Sent
			if _, err := r.Accept(nil); err != nil {
				t.Error(err)
			}
			if server.Stats().Sent > before {
				atOnce.Add(1)
			}
		}}, nil)
		server.Register(t.Context(), op)
		for range 20 {
			began := time.Now()
			if _, _, err := client.Allocate(within(t, 5*time.Second), op, qos.Raw, nil); err != nil {
				t.Fatal(err)
			}
			if d := time.Since(began); caps == 0 && d < replyDelay {
				t.Errorf("reply to a C node after %v", d)
			}
		}
		// Another goroutine may be sending just then, and takes one with it.
		if n := atOnce.Load(); caps != 0 && n == 0 {
			t.Error("no reply to our kind was sent at once")
		}
		client.Close()
		server.Close()
	}
}

// A flow closed before its delayed reply left is refused.
func TestClosedBeforeReply(t *testing.T) {
	client := start(t, "127.0.0.1", noUpper, serves("127.0.0.2"))
	server := start(t, "127.0.0.2", &upper{func(r *layer.Request) {
		if p, err := r.Accept(nil); err == nil {
			p.Close()
		}
	}}, nil)
	server.Register(t.Context(), op)
	if _, _, err := client.Allocate(within(t, 5*time.Second), op, qos.Raw, nil); !errors.Is(err, layer.ErrNotAllocated) {
		t.Errorf("got %v", err)
	}
}

func TestNames(t *testing.T) {
	hosts := filepath.Join(t.TempDir(), "hosts")
	p := start(t, "127.0.0.1", noUpper, map[string][]netip.Addr{"static": {netip.MustParseAddr("127.0.0.9")}}, func(c *ipcp.Config) { c.UDP.HostsFile = hosts })
	query := func(name string) error { return p.Query(t.Context(), layer.MD5.Sum(name)) }
	if err := query("static"); err != nil {
		t.Error(err)
	}
	if err := query("oping"); !errors.Is(err, layer.ErrNoName) {
		t.Error(err)
	}
	p.Register(t.Context(), layer.MD5.Sum("oping"))
	if err := query("oping"); !errors.Is(err, layer.ErrNoName) {
		t.Error("own registrations do not count")
	}
	if _, _, err := p.Allocate(t.Context(), layer.MD5.Sum("oping"), qos.Raw, nil); !errors.Is(err, layer.ErrNoName) {
		t.Error(err)
	}
	write := func(text string) {
		if err := os.WriteFile(hosts, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("127.0.0.8 7862c6fec5ecaef4aa2e3934725e23b3\n::1 098f6bcd4621d373cade4e832627b4f6\n")
	if err := query("oping"); err != nil {
		t.Error(err)
	}
	if err := query("test"); !errors.Is(err, layer.ErrNoName) {
		t.Error("an IPv6 address in an IPv4 layer")
	}
	write("# nothing left")
	if err := query("oping"); !errors.Is(err, layer.ErrNoName) {
		t.Error(err)
	}
	if err := os.Remove(hosts); err != nil {
		t.Fatal(err)
	}
	if err := query("static"); err != nil {
		t.Error(err)
	}
	if err := p.Query(t.Context(), "short"); !errors.Is(err, layer.ErrInvalid) {
		t.Error(err)
	}
}

func TestDirectoryEntries(t *testing.T) {
	self, _ := newEndpoint(netip.MustParseAddrPort("127.0.0.1:1"))
	d, err := newDirectory(ipcp.UDPConfig{Hosts: serves("127.0.0.2", "127.0.0.3"), HostsFile: "/nonexistent"}, self)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	look := func() int {
		a, err := d.lookup(context.Background(), op, now)
		if err != nil {
			t.Fatal(err)
		}
		return len(a)
	}
	first, _ := d.lookup(context.Background(), op, now)
	d.failed(op, first[0])
	if n := look(); n != 1 {
		t.Errorf("%d addresses after one failed", n)
	}
	if first[0].addr().String() != "127.0.0.2" || len(first) != 2 {
		t.Errorf("the slice handed out changed: %v", first)
	}
	now = now.Add(entryTTL)
	if n := look(); n != 2 {
		t.Errorf("%d addresses after the entry expired", n)
	}
	d.failed(op, first[0])
	d.failed(op, first[1])
	d.failed(op, first[1])
	if n := look(); n != 2 {
		t.Errorf("%d addresses after all failed", n)
	}
}

func TestParseHosts(t *testing.T) {
	got := parseHosts([]byte("\n# comment 7862c6fec5ecaef4aa2e3934725e23b3\n192.0.2.1 localhost 7862c6fec5ecaef4aa2e3934725e23b3#x\n" +
		"192.0.2.2\t7862c6fec5ecaef4aa2e3934725e23b3 7862c6fec5ecaef4aa2e3934725e23b3\nrubbish 7862c6fec5ecaef4aa2e3934725e23b3\n" +
		"fe80::1%lo 7862c6fec5ecaef4aa2e3934725e23b3\n192.0.2.3 7862c6fec5ecaef4aa2e3934725e23bX\n192.0.2.4"))
	a := got[layer.MD5.Sum("oping")]
	if len(got) != 1 || len(a) != 3 || a[0].String() != "192.0.2.1" || a[1].String() != "192.0.2.2" || a[2].String() != "fe80::1%lo" {
		t.Errorf("got %v", got)
	}
}
