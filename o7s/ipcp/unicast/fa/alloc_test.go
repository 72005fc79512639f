// SPDX-License-Identifier: BSD-3-Clause

package fa

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"o7gw/o7s/bubble"
	"o7gw/o7s/ipcp/unicast/ca"
	"o7gw/o7s/layer"
	"o7gw/o7s/packet"
	"o7gw/o7s/qos"
)

// lose returns a fate that drops the messages of the given numbers, counted from
// 1 over both directions, and delays others by a millisecond.
func lose(numbers ...int) func(parcel) []time.Duration {
	n := 0
	return func(p parcel) []time.Duration {
		if p.eid == manageEID {
			n++
			if slices.Contains(numbers, n) {
				return nil
			}
		}
		return []time.Duration{time.Millisecond}
	}
}

// Between members of ours an allocation outlives the loss of any messages, and
// is handed up once.
func TestAllocateWithLoss(t *testing.T) {
	for _, c := range []struct {
		lost []int
		took time.Duration // at most
	}{
		{nil, 3 * time.Millisecond},
		{[]int{1}, 260 * time.Millisecond}, // request
		{[]int{2}, 260 * time.Millisecond}, // reply
		{[]int{1, 2}, 760 * time.Millisecond},
		{[]int{2, 4}, 760 * time.Millisecond},
		{[]int{1, 3, 5}, 1760 * time.Millisecond},
	} {
		t.Run(fmt.Sprint(c.lost), func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				n := newNetwork()
				s := &server{caps: layer.CapTeardown, data: []byte("welcome")}
				a, b := n.join(alice, ca.MBECN, nil), n.join(bob, ca.MBECN, s)
				a.Ours(bob)
				n.fate = lose(c.lost...)
				start := time.Now()
				client, accepted := dial(t, a, s, qos.Raw)
				if d := time.Since(start); d > c.took {
					t.Errorf("took %v", d)
				}
				time.Sleep(time.Second)
				if len(s.requests) != 1 {
					t.Errorf("%d requests were handed up", len(s.requests))
				}
				if r := a.Stats().Repeats; int(r) != len(c.lost) {
					t.Errorf("%d requests repeated", r)
				}
				var k sink
				accepted.Receive(&k)
				client.Send(buffers("x"))
				time.Sleep(time.Second)
				if got := k.packets(); len(got) != 1 {
					t.Errorf("received %q", got)
				}
				a.Close()
				b.Close()
			})
		})
	}
}

// A prototype, or one not known better, is asked once: a copy would be
// a new request to it.
func TestAllocateUnknownOnce(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		n := newNetwork()
		n.members[bob] = silent{}
		a := n.join(alice, ca.MBECN, nil)
		start := time.Now()
		_, _, err := a.Allocate(t.Context(), bob, oping, qos.Raw, nil)
		if !errors.Is(err, layer.ErrNoAnswer) || time.Since(start) != answerTime {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		if m := n.messages(t, alice); len(m) != 1 || a.Stats().Flows != 0 {
			t.Errorf("sent %+v; %+v", m, a.Stats())
		}
		a.Close()
	})
}

// Many allocations at once over a network that loses, doubles and reorders.
func TestAllocateManyUnderStress(t *testing.T) {
	for seed := range uint64(5) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				r := rand.New(rand.NewPCG(seed, 1))
				n := newNetwork()
				s := &server{caps: layer.CapTeardown}
				a, b := n.join(alice, ca.MBECN, nil), n.join(bob, ca.MBECN, s)
				a.Ours(bob)
				b.Ours(alice)
				n.fate = func(parcel) []time.Duration {
					var d []time.Duration
					for range 1 + r.IntN(2) {
						if r.IntN(10) > 0 {
							d = append(d, time.Duration(r.IntN(20_000))*time.Microsecond)
						}
					}
					return d
				}
				const flows = 200
				var wg sync.WaitGroup
				var mu sync.Mutex
				opened := 0
				for range flows {
					wg.Go(func() {
						p, _, err := a.Allocate(t.Context(), bob, oping, qos.Raw, nil)
						if err != nil {
							if !errors.Is(err, layer.ErrNoAnswer) {
								t.Error(err)
							}
							return
						}
						mu.Lock()
						opened++
						mu.Unlock()
						p.(layer.PeerAware).SetPeerCaps(layer.CapTeardown)
						p.Close()
					})
				}
				wg.Wait()
				if opened < flows-1 {
					t.Errorf("seed %d: %d of %d opened", seed, opened, flows)
				}
				if len(s.requests) > flows {
					t.Errorf("seed %d: %d requests were handed up", seed, len(s.requests))
				}
				time.Sleep(time.Second)
				a.Close()
				b.Close()
			})
		})
	}
}

func TestRefused(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		n := newNetwork()
		a := n.join(alice, ca.MBECN, nil)
		b := n.join(bob, ca.MBECN, upper(func(req *layer.Request) {
			time.AfterFunc(time.Second, func() { req.Refuse(layer.ErrAuth) })
		}))
		start := time.Now()
		_, _, err := a.Allocate(t.Context(), bob, other, qos.Raw, nil)
		if !errors.Is(err, layer.ErrNoName) || time.Since(start) != replyDelay {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		start = time.Now()
		_, _, err = a.Allocate(t.Context(), bob, oping, qos.Raw, nil)
		if !errors.Is(err, layer.ErrAuth) || time.Since(start) != time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		if b.Stats().Unregistered != 1 || b.Stats().Requests != 1 || a.Stats().Flows != 0 || b.Stats().Flows != 0 {
			t.Errorf("%+v\n%+v", a.Stats(), b.Stats())
		}
		a.Close()
		b.Close()
	})
}

// One request that nobody answers keeps nothing else waiting (FA-5).
func TestPendingRequestBlocksNobody(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		n := newNetwork()
		var first *layer.Request
		s := &server{caps: layer.CapTeardown}
		a := n.join(alice, ca.MBECN, nil)
		b := n.join(bob, ca.MBECN, upper(func(req *layer.Request) {
			if first == nil {
				first = req
				return
			}
			s.FlowRequested(req)
		}))
		done := make(chan error)
		go func() {
			_, _, err := a.Allocate(t.Context(), bob, oping, qos.Raw, nil)
			done <- err
		}()
		synctest.Wait()
		dial(t, a, s, qos.Raw)
		if err := <-done; !errors.Is(err, layer.ErrNoAnswer) {
			t.Errorf("unanswered: %v", err)
		}
		first.Ignore()
		first.Refuse(layer.ErrAuth) // once only
		if b.requests.waiting.Load() != 0 {
			t.Error("still waiting")
		}
		a.Close()
		b.Close()
	})
}

// The reply to a prototype leaves when it has recorded its request (FA-3); data of the
// flow follow it.
func TestReplyDelay(t *testing.T) {
	for _, caps := range []layer.Caps{0, layer.CapTeardown} {
		bubble.Test(t, func(t *testing.T) {
			n := newNetwork()
			n.members[alice] = silent{}
			s := &server{caps: caps}
			b := n.join(bob, ca.MBECN, s)
			start := time.Now()
			b.Manage(buffers(string(request{source: alice, eid: 1 << 40, qos: qos.Raw, dst: oping}.append(nil))))
			port := s.accepted()[0]
			port.Send(buffers("at once"))
			time.Sleep(time.Second)
			got := n.parcels(bob)
			if len(got) != 2 || got[0].eid != manageEID || got[1].eid != 1<<40 {
				t.Fatalf("sent %+v", got)
			}
			want := replyDelay
			if caps != 0 {
				want = 0
			}
			for _, p := range got {
				if d := p.at.Sub(start); d != want {
					t.Errorf("caps %d: sent after %v", caps, d)
				}
			}
			b.Close()
		})
	}
}

// A flow that was accepted and closed before the reply could leave is refused.
func TestClosedBeforeReply(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		n := newNetwork()
		a := n.join(alice, ca.MBECN, nil)
		b := n.join(bob, ca.MBECN, upper(func(req *layer.Request) {
			p, err := req.Accept(nil)
			if err != nil {
				t.Error(err)
			}
			p.Close()
		}))
		_, _, err := a.Allocate(t.Context(), bob, oping, qos.Raw, nil)
		if !errors.Is(err, layer.ErrNotAllocated) || b.Stats().Flows != 0 {
			t.Errorf("%v, %+v", err, b.Stats())
		}
		a.Close()
		b.Close()
	})
}

// A member of ours that accepts a request which was given up hears of it.
func TestLateReply(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		n := newNetwork()
		var late *layer.Request
		a := n.join(alice, ca.MBECN, nil)
		b := n.join(bob, ca.MBECN, upper(func(req *layer.Request) { late = req }))
		a.Ours(bob)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, _, err := a.Allocate(ctx, bob, oping, qos.Raw, nil)
		if !errors.Is(err, layer.ErrTimedOut) {
			t.Errorf("%v", err)
		}
		port, err := late.Accept(nil)
		if err != nil {
			t.Fatal(err)
		}
		var k sink
		port.Receive(&k)
		synctest.Wait()
		if got := k.seen(); !slices.Equal(got, []layer.Event{layer.Closed}) || b.Stats().Flows != 0 {
			t.Errorf("events %v, %+v", got, b.Stats())
		}
		a.Close()
		b.Close()
	})
}

func TestAllocateEnds(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		n := newNetwork()
		n.members[bob] = silent{}
		a := n.join(alice, ca.MBECN, nil)
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		if _, _, err := a.Allocate(ctx, bob, oping, qos.Raw, nil); !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled: %v", err)
		}
		for _, c := range []struct {
			addr uint64
			dst  layer.Hash
			data int
			want error
		}{
			{alice, oping, 0, layer.ErrIPCP},
			{0, oping, 0, layer.ErrIPCP},
			{carol, oping, 0, errNoRoute},
			{carol, oping, 0, layer.ErrIPCP},
			{bob, "short", 0, layer.ErrInvalid},
			{bob, oping, 1956, layer.ErrInvalid},
			{bob, oping, 1955, layer.ErrNoAnswer},
		} {
			if _, _, err := a.Allocate(t.Context(), c.addr, c.dst, qos.Raw, make([]byte, c.data)); !errors.Is(err, c.want) {
				t.Errorf("%+v: %v", c, err)
			}
		}
		if a.Stats().Flows != 0 {
			t.Errorf("%+v", a.Stats())
		}
		a.Close()
	})
}

// What the requester sends behind a lost reply... is a copy of its request, and
// the copy of a request whose flow has ended meanwhile is refused.
func TestCopyAfterEnd(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		n := newNetwork()
		n.members[alice] = silent{}
		s := &server{caps: layer.CapTeardown, data: []byte("data")}
		b := n.join(bob, ca.MBECN, s)
		req := request{source: alice, eid: 1 << 40, qos: qos.Raw, dst: oping}.append(nil)
		b.Manage(buffers(string(req), string(req)))
		s.accepted()[0].Close()
		b.Manage(buffers(string(req)))
		m := n.messages(t, bob)
		if len(m) != 4 {
			t.Fatalf("sent %+v", m)
		}
		for i, want := range []int32{0, 0} {
			if r := m[i].(reply); r.response != want || string(r.data) != "data" {
				t.Errorf("%+v", r)
			}
		}
		if _, ok := m[2].(teardown); !ok {
			t.Errorf("%+v", m[2])
		}
		if r := m[3].(reply); r.response != -int32(layer.ErrNotAllocated) || len(r.data) != 0 {
			t.Errorf("%+v", r)
		}
		// Forgotten after a while: it is a new request then.
		time.Sleep(2 * memory)
		b.Manage(buffers(string(req)))
		if len(s.accepted()) != 2 {
			t.Error("the request was remembered for too long")
		}
		b.Close()
	})
}

// Requests that nobody answers are bounded, as is the memory for those that
// were.
func TestRequestFlood(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		n := newNetwork()
		n.members[alice] = silent{}
		handed := 0
		b := n.join(bob, ca.MBECN, upper(func(*layer.Request) { handed++ }))
		for i := range uint64(maxWaiting + 100) {
			b.Manage(buffers(string(request{source: alice, eid: 100 + i, qos: qos.Raw, dst: oping}.append(nil))))
		}
		if handed != maxWaiting || b.Stats().DropBusy != 100 {
			t.Errorf("%d handed up, %d dropped", handed, b.Stats().DropBusy)
		}
		b.requests.waiting.Store(0)
		for i := range uint64(maxRecent - maxWaiting + 100) {
			b.Manage(buffers(string(request{source: alice, eid: 1<<32 + i, qos: qos.Raw, dst: other}.append(nil))))
		}
		if l := len(b.requests.seen); l > maxRecent {
			t.Errorf("%d requests are remembered", l)
		}
		b.Close()
	})
}

// A prototype that answers before it has recorded anything, or after.
type prototype struct {
	door
	reply func(req request) []reply
	got   []message
}

func (p *prototype) Manage(pkts []*packet.Buffer) {
	for _, b := range pkts {
		m, err := parse(b.Bytes(), len(oping))
		b.Release()
		if err != nil {
			continue
		}
		p.got = append(p.got, m)
		if req, ok := m.(request); ok {
			for _, r := range p.reply(req) {
				p.Send(req.source, manageEID, buffers(string(r.append(nil))))
			}
		}
	}
}

func (p *prototype) Deliver(eid uint64, ecn uint8, pkts []*packet.Buffer) { release(pkts) }

// What a responder may answer, and what comes of it.
func TestReplies(t *testing.T) {
	const eid = 0xf000_0000_42
	for _, c := range []struct {
		name    string
		replies []reply
		want    error
	}{
		{"accepted", []reply{{peerEID: eid, data: []byte("ok")}}, nil},
		{"twice", []reply{{peerEID: eid}, {peerEID: eid + 1}}, nil},
		{"then refused", []reply{{peerEID: eid}, {response: -1}}, nil},
		{"refused", []reply{{response: -1007}}, layer.ErrNoName},
		{"refused then accepted", []reply{{response: -1}, {peerEID: eid}}, layer.ErrPermission},
		{"positive", []reply{{peerEID: eid, response: 5}}, layer.Errno(5)},
		{"EID 0", []reply{{peerEID: 0}}, layer.ErrNoAnswer},
		{"EID of a component", []reply{{peerEID: 63}}, layer.ErrNoAnswer},
		{"EID none", []reply{{peerEID: noEID}}, layer.ErrNoAnswer},
		{"EID 0 then good", []reply{{peerEID: 0}, {peerEID: eid}}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				n := newNetwork()
				n.members[bob] = &prototype{door: door{n, bob}, reply: func(req request) []reply {
					var all []reply
					for _, r := range c.replies {
						r.eid = req.eid
						all = append(all, r)
					}
					return all
				}}
				a := n.join(alice, ca.MBECN, nil)
				port, _, err := a.Allocate(t.Context(), bob, oping, qos.Raw, nil)
				if !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
					t.Fatalf("%v, want %v", err, c.want)
				}
				if err == nil {
					if r := port.(*flow).remote.Load(); r != eid {
						t.Errorf("remote endpoint %x", r)
					}
				} else if a.Stats().Flows != 0 {
					t.Errorf("%+v", a.Stats())
				}
				a.Close()
			})
		})
	}
}
