// SPDX-License-Identifier: BSD-3-Clause

package eth

import (
	"bytes"
	"context"
	"errors"
	"sync"
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

func TestRefusal(t *testing.T) {
	w := newWire(t, 1500)
	client := w.start(t, 0, ipcp.EthLLC, noUpper)
	server := w.start(t, 1, ipcp.EthLLC, &upper{func(r *layer.Request) { r.Refuse(layer.ErrAuth) }})
	must(t, server.Register(t.Context(), op))
	must(t, client.Query(within(t, 5*time.Second), op))
	must(t, server.Unregister(t.Context(), op))
	// The IPC process itself knows.
	if _, _, err := client.Allocate(within(t, 5*time.Second), op, qos.Raw, nil); !errors.Is(err, layer.ErrNoName) {
		t.Errorf("unregistered name: %v", err)
	}
	// The answer of before is forgotten.
	if err := client.Query(within(t, 20*time.Millisecond), op); !errors.Is(err, layer.ErrNoName) {
		t.Errorf("query for it: %v", err)
	}
	must(t, server.Register(t.Context(), op))
	for range 100 { // more than there are SAPs (ETH-14)
		if _, _, err := client.Allocate(within(t, 5*time.Second), op, qos.Raw, nil); !errors.Is(err, layer.ErrAuth) {
			if errors.Is(err, layer.ErrNoMemory) {
				time.Sleep(minQuarantine / 10) // all rest
				continue
			}
			t.Fatalf("refused by the upper side: %v", err)
		}
	}
	if c, s := client.Stats(), server.Stats(); c.Flows+s.Flows != 0 || s.Unregistered != 1 {
		t.Errorf("%+v %+v", c, s)
	}
}

// Replies from a wrong source, for a wrong endpoint, accepting without one, and
// second ones change nothing.
func TestReplies(t *testing.T) {
	w := newWire(t, 1500)
	client := w.start(t, 0, ipcp.EthDIX, noUpper)
	server := w.dial(t, 1, dix, client)
	got := allocating(within(t, 5*time.Second), client, []byte("ask"))
	server.serve()
	r := server.wanted()
	if !bytes.Equal(r.data, []byte("ask")) || r.dst != op || r.qos != qos.Raw || r.eid < 64 || r.eid > 4095 {
		t.Fatalf("%+v", r)
	}
	stranger := mac{2, 0, 0, 0, 0, 0x66}
	server.raw(buildMessage(dix, server.to, stranger, reply{eid: r.eid, peerEID: 66, data: []byte("evil")}))
	server.raw(build(dix, server.to, stranger, r.eid, 0, []byte("evil")))
	server.send(reply{eid: r.eid ^ 1, peerEID: 66})
	server.send(reply{eid: r.eid, peerEID: 0, data: []byte("evil")})
	server.send(teardown{peerEID: 66, eid: r.eid})
	server.send(reply{eid: r.eid, peerEID: 66, data: []byte("yes")})
	server.send(reply{eid: r.eid, response: -1008})
	server.send(reply{eid: r.eid, peerEID: 67})
	server.data(r.eid, 0, []byte("late"))
	o := <-got
	if o.err != nil || string(o.data) != "yes" {
		t.Fatalf("%q, %v", o.data, o.err)
	}
	in := newSink(o.port)
	if p := in.packets(t, 1); string(p[0]) != "late" {
		t.Errorf("got %q", p)
	}
	o.port.Send(buffers([]byte("data")))
	if b := server.recv(); !bytes.Equal(b, build(dix, server.self, server.to, 66, 0, []byte("data"))) {
		t.Errorf("sent % x", b)
	}
	if s := client.Stats(); s.DropSource != 2 || s.DropStray != 4 || s.DropMalformed != 1 || s.Replies != 1 {
		t.Errorf("%+v", s)
	}
	o.port.Close()
	if b := server.read(time.Millisecond); b != nil {
		t.Errorf("notice to a peer that announced nothing: % x", b)
	}
}

func TestTimeoutFreesTheFlow(t *testing.T) {
	w := newWire(t, 1500)
	client := w.start(t, 0, ipcp.EthDIX, noUpper)
	server := w.dial(t, 1, dix, client)
	got := allocating(within(t, 500*time.Millisecond), client, nil)
	server.serve()
	r := server.wanted()
	if o := <-got; !errors.Is(o.err, layer.ErrTimedOut) {
		t.Errorf("got %v", o.err)
	}
	if b := server.read(time.Millisecond); b != nil { // one request, never again
		t.Errorf("sent % x", b)
	}
	server.send(reply{eid: r.eid, peerEID: 66})
	eventually(t, "late reply", func() bool { return client.Stats().DropStray == 1 })
	if n := client.Stats().Flows; n != 0 {
		t.Errorf("%d flows left", n)
	}
	ctx, cancel := context.WithCancel(t.Context())
	got = allocating(ctx, client, nil)
	server.serve() // the silent device was forgotten
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
	w := newWire(t, 1500)
	client := w.start(t, 0, ipcp.EthDIX, noUpper)
	client.answerWait = 50 * time.Millisecond
	server := w.dial(t, 1, dix, client)
	got := allocating(t.Context(), client, nil)
	server.serve()
	server.wanted()
	if o := <-got; !errors.Is(o.err, layer.ErrNoAnswer) {
		t.Errorf("got %v", o.err)
	}
	client.answerWait = defaultAnswerWait
	// Asked again, it is as if nothing had happened: the name is asked for,
	// and the flow.
	got = allocating(t.Context(), client, nil)
	server.serve()
	server.send(reply{eid: server.wanted().eid, peerEID: 66})
	if o := <-got; o.err != nil {
		t.Error(o.err)
	}
}

func TestRequestDataLimits(t *testing.T) {
	w := newWire(t, 1500)
	client := w.start(t, 0, ipcp.EthDIX, noUpper)
	answers := make(chan func(*layer.Request), 1)
	server := w.start(t, 1, ipcp.EthDIX, &upper{func(r *layer.Request) { (<-answers)(r) }})
	must(t, server.Register(t.Context(), op))
	if _, _, err := client.Allocate(t.Context(), op, qos.Raw, make([]byte, 1426)); !errors.Is(err, layer.ErrInvalid) {
		t.Errorf("got %v", err)
	}
	answers <- func(r *layer.Request) {
		r.Accept(make([]byte, 1457))
		if _, err := r.Accept(nil); err == nil {
			t.Error("accepted twice")
		}
		r.Refuse(layer.ErrAuth) // too late: nothing is sent
	}
	_, answer, err := client.Allocate(within(t, 5*time.Second), op, qos.Raw, make([]byte, 1425))
	if err != nil || len(answer) != 1457 {
		t.Errorf("%d bytes, %v", len(answer), err)
	}
	answers <- func(r *layer.Request) {
		if _, err := r.Accept(make([]byte, 1458)); err == nil {
			t.Error("reply that fits no frame")
		}
	}
	if _, _, err := client.Allocate(within(t, 5*time.Second), op, qos.Raw, nil); !errors.Is(err, layer.ErrInvalid) {
		t.Errorf("got %v", err)
	}
	eventually(t, "end of the requests", func() bool { return server.Stats().Flows == 1 && server.waiting.Load() == 0 })
}

// Replies wait for a C requester to be ready, but not for ours; answers to name
// queries always do (ETH-11).
func TestReplyDelay(t *testing.T) {
	w := newWire(t, 1500)
	for _, caps := range []layer.Caps{0, layer.CapTeardown} {
		client := w.start(t, 0, ipcp.EthDIX, noUpper)
		var server *IPCP
		var atOnce atomic.Int32 // replies that were sent when Accept returned
		server = w.start(t, 1, ipcp.EthDIX, &upper{func(r *layer.Request) {
			r.Answerer.(layer.PeerAware).SetPeerCaps(caps)
			before := server.Stats().Sent
			if _, err := r.Accept(nil); err != nil {
				t.Error(err)
			}
			if server.Stats().Sent > before {
				atOnce.Add(1)
			}
		}})
		must(t, server.Register(t.Context(), op))
		began := time.Now()
		must(t, client.Query(within(t, 5*time.Second), op))
		if d := time.Since(began); d < replyDelay {
			t.Errorf("name reply after %v", d)
		}
		for range 20 {
			began := time.Now()
			_, _, err := client.Allocate(within(t, 5*time.Second), op, qos.Raw, nil)
			must(t, err)
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

// A thousand flows come and go, and nothing is left.
func TestThousandAllocations(t *testing.T) {
	w := newWire(t, 1500)
	client, server, ports := w.pair(t, ipcp.EthDIX, layer.CapTeardown)
	seen := make(map[uint16]bool)
	for range 1000 {
		a, _ := connect(t, client, server, ports, qos.Raw)
		if eid := a.(*flow).eid; eid < firstEID || eid > lastEID || seen[eid] {
			t.Fatalf("endpoint %d", eid)
		} else {
			seen[eid] = true
		}
		a.(layer.PeerAware).SetPeerCaps(layer.CapTeardown)
		a.Close() // the notice ends the other side
	}
	eventually(t, "end of all flows", func() bool { return server.Stats().Flows == 0 })
	if c, s := client.Stats(), server.Stats(); c.Flows != 0 || s.Teardowns != 1000 || s.Superseded != 0 || c.Queries != 1 {
		t.Errorf("%+v %+v", c, s)
	}
	if client.waiting.Load()+server.waiting.Load() != 0 || len(server.flows.remotes)+len(client.flows.remotes) != 0 {
		t.Error("something is left of them")
	}
}

func TestManyAllocationsAtOnce(t *testing.T) {
	w := newWire(t, 1500)
	client, server, ports := w.pair(t, ipcp.EthDIX, 0)
	must(t, server.Register(t.Context(), op))
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				p, _, err := client.Allocate(within(t, 5*time.Second), op, qos.Voice, nil)
				if err != nil {
					t.Error(err)
					return
				}
				p.Send(buffers([]byte("x")))
			}
		})
	}
	wg.Wait()
	if n := client.Stats().Flows; n != 400 {
		t.Errorf("%d flows", n)
	}
	for range 400 {
		newSink(<-ports).packets(t, 1)
	}
}

// The last SAP is given away: the next request is refused, not left alone.
func TestAllSAPsInUse(t *testing.T) {
	w := newWire(t, 1500)
	server := w.start(t, 1, ipcp.EthLLC, &upper{func(r *layer.Request) {
		if _, err := r.Accept(nil); err != nil && !errors.Is(err, layer.ErrNoMemory) {
			t.Error(err)
		}
	}})
	must(t, server.Register(t.Context(), op))
	c := w.dial(t, 0, llc, server)
	for i := range 63 {
		// Each from another node, so that none supersedes another.
		c.raw(buildMessage(llc, c.to, mac{2, 0, 0, 0, 1, byte(i)}, request{eid: 2, qos: qos.Raw, dst: op}))
	}
	eventually(t, "answers", func() bool { return server.Stats().Sent == 63 })
	if s := server.Stats(); s.Flows != 62 {
		t.Errorf("%+v", s)
	}
}

// Closing an IPC process ends its flows on both sides.
func TestCloseEndsFlows(t *testing.T) {
	w := newWire(t, 1500)
	client, server, ports := w.pair(t, ipcp.EthDIX, layer.CapTeardown)
	a, b := connect(t, client, server, ports, qos.Data)
	sa, sb := newSink(a), newSink(b)
	b.Send(buffers([]byte("last words")))
	must(t, server.Close())
	sb.closed(t)
	sa.closed(t)
	if got := sa.packets(t, 1); string(got[0]) != "last words" {
		t.Errorf("got %q", got)
	}
	if server.State() != ipcp.Null || server.Query(t.Context(), op) == nil {
		t.Error("still serves")
	}
	if _, _, err := server.Allocate(t.Context(), op, qos.Raw, nil); !errors.Is(err, layer.ErrIPCPState) {
		t.Errorf("allocate after close: %v", err)
	}
	b.Send(buffers([]byte("nobody")))
	b.Close()
}

// Closing while others send, ask, allocate and answer neither hangs nor loses
// a goroutine or a buffer twice.
func TestCloseWhileBusy(t *testing.T) {
	w := newWire(t, 1500)
	for range 10 {
		client, server, ports := w.pair(t, ipcp.EthDIX, layer.CapTeardown)
		a, b := connect(t, client, server, ports, qos.Raw)
		b.Receive(echo{b})
		in := newSink(a)
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() {
				for range 50 {
					a.Send(numbers(0, 20))
				}
			})
		}
		wg.Go(func() {
			for range 20 {
				ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
				if p, _, err := client.Allocate(ctx, op, qos.Raw, nil); err == nil {
					p.Close()
				}
				cancel()
			}
		})
		in.packets(t, 1)
		server.Close()
		client.Close()
		wg.Wait()
		in.closed(t)
	}
}

func TestStartStopLeavesNothing(t *testing.T) {
	w := newWire(t, 1500)
	before := descriptors(t)
	for range 100 {
		p, err := w.try(t, 0, ipcp.EthDIX, noUpper)
		must(t, err)
		p.Close()
	}
	if after := descriptors(t); after > before {
		t.Errorf("%d descriptors, before %d", after, before)
	}
}

func TestDirectory(t *testing.T) {
	var d directory
	now := time.Now()
	if d.answer(op, mac{2}, now) {
		t.Error("an answer that nobody asked for")
	}
	q, send := d.ask(op, now)
	q2, again := d.ask(op, now)
	if !send || again || q != q2 {
		t.Error("two askers need one query")
	}
	if _, late := d.ask(op, now.Add(askAgain)); !late {
		t.Error("the query of long ago counts")
	}
	now = now.Add(askAgain)
	for i := range maxAddrs + 5 {
		for range 2 { // a second answer is no second device
			if !d.answer(op, mac{2, byte(i)}, now) {
				t.Fatal("answer not taken")
			}
		}
	}
	<-q.answered
	at := d.lookup(op, now)
	if len(at) != maxAddrs || at[0] != (mac{2, maxAddrs + 4}) {
		t.Errorf("%v", at)
	}
	if d.answer(op, mac{9}, now.Add(askFor+1)) {
		t.Error("an answer that comes too late")
	}
	for _, a := range at {
		d.failed(op, a)
	}
	if len(d.lookup(op, now)) != 0 || len(d.entries) != 0 {
		t.Error("failed devices are kept")
	}
	if q3, send := d.ask(op, now); !send || q3 == q {
		t.Error("the old question is taken for the new one")
	}
	d.answer(op, mac{2}, now)
	if len(d.lookup(op, now.Add(entryTTL))) != 0 {
		t.Error("entries do not expire")
	}
	for i := range 3 * sweepAbove {
		name := layer.SHA3_256.Sum(string(rune('a' + i)))
		d.ask(name, now)
		d.answer(name, mac{2}, now)
		now = now.Add(entryTTL)
	}
	if len(d.asked) > sweepAbove+1 || len(d.entries) > sweepAbove+1 {
		t.Errorf("%d questions, %d entries", len(d.asked), len(d.entries))
	}
}
