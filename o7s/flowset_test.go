// SPDX-License-Identifier: BSD-3-Clause

package o7s_test

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"o7gw/o7s"
	"o7gw/o7s/layer"
	"o7gw/o7s/qos"
)

// group is a set with both ends of some flows.
func group(t *testing.T, rings bool, n int) (set *o7s.FlowSet, in, out []*o7s.Flow) {
	t.Helper()
	x := newExchange(rings)
	client, server := x.stack(), x.stack()
	t.Cleanup(func() { client.Close(); server.Close() })
	ctx := context.Background()
	l, err := server.Listen(ctx, "svc")
	if err != nil {
		t.Fatal(err)
	}
	if set, err = server.NewFlowSet(); err != nil {
		t.Fatal(err)
	}
	qs := qos.Raw
	qs.Timeout = 0
	for range n {
		f, err := client.Dial(ctx, "svc", o7s.WithQoS(qs))
		if err != nil {
			t.Fatal(err)
		}
		g, err := l.AcceptFlow(ctx)
		if err != nil {
			t.Fatal(err)
		}
		in, out = append(in, g), append(out, f)
	}
	return set, in, out
}

// expect waits until the events have come, in this order, and no other.
func expect(t *testing.T, set *o7s.FlowSet, want ...o7s.Event) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for len(want) > 0 {
		evs, err := set.Wait(ctx, nil)
		if err != nil {
			t.Fatalf("%v, still want %v", err, want)
		}
		for _, e := range evs {
			if len(want) == 0 || e != want[0] {
				t.Fatalf("got %v of %d, want %v", e.Kind, e.Flow.ID(), want)
			}
			want = want[1:]
		}
	}
}

func TestFlowSet(t *testing.T) {
	for _, rings := range []bool{true, false} {
		set, in, out := group(t, rings, 2)
		a, b := in[0], in[1]
		if err := set.Add(a); err != nil {
			t.Fatal(err)
		}
		expect(t, set, o7s.Event{Flow: a, Kind: o7s.Alloc})
		out[1].Write([]byte("early"))
		if err := set.Add(b); err != nil {
			t.Fatal(err)
		}
		if set.Add(b) == nil {
			t.Error("added twice")
		}
		expect(t, set, o7s.Event{Flow: b, Kind: o7s.Alloc}, o7s.Event{Flow: b, Kind: o7s.Packet})
		expect(t, set, o7s.Event{Flow: b, Kind: o7s.Packet}) // still unread
		buf := make([]byte, 10)
		b.Read(buf)
		go out[0].Write([]byte("later"))
		expect(t, set, o7s.Event{Flow: a, Kind: o7s.Packet})
		a.Read(buf)
		if rings {
			go out[0].SetDown(true)
			expect(t, set, o7s.Event{Flow: a, Kind: o7s.Down})
			go out[0].SetDown(false)
			expect(t, set, o7s.Event{Flow: a, Kind: o7s.Up})
		}
		set.Remove(a)
		if set.Has(a) || !set.Has(b) {
			t.Error("wrong members")
		}
		out[0].Write([]byte("unseen"))
		out[1].Write([]byte("last"))
		out[1].Close()
		// Packet and end may show together or one after the other.
		kinds := map[o7s.Kind]int{}
		for kinds[o7s.Dealloc] == 0 || kinds[o7s.Packet] == 0 {
			evs, err := set.Wait(context.Background(), nil)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range evs {
				if e.Flow != b {
					t.Fatalf("event %v of a flow that was removed", e.Kind)
				}
				kinds[e.Kind]++
			}
		}
		if n, err := b.Read(buf); string(buf[:n]) != "last" || err != nil {
			t.Errorf("%q %v", buf[:n], err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Millisecond)
		if evs, err := set.Wait(ctx, nil); !errors.Is(err, context.DeadlineExceeded) || len(evs) > 0 {
			t.Errorf("quiet set: %v %v", evs, err)
		}
		cancel()
		time.AfterFunc(time.Millisecond, func() { set.Close() })
		if _, err := set.Wait(context.Background(), nil); !errors.Is(err, net.ErrClosed) {
			t.Errorf("closed set: %v", err)
		}
		// The flows go on, and can be read in the usual way.
		if n, err := a.Read(buf); string(buf[:n]) != "unseen" || err != nil {
			t.Errorf("%q %v", buf[:n], err)
		}
	}
}

// Many flows echo through one set.
func TestFlowSetEcho(t *testing.T) {
	for _, rings := range []bool{true, false} {
		const flows, rounds = 50, 20
		set, in, out := group(t, rings, flows)
		for _, f := range in {
			f.SetNonblock(true)
			if err := set.Add(f); err != nil {
				t.Fatal(err)
			}
		}
		ended := make(chan error, 1)
		go func() {
			buf := make([]byte, 10)
			var evs []o7s.Event
			for {
				var err error
				if evs, err = set.Wait(context.Background(), evs); err != nil {
					ended <- err
					return
				}
				for _, e := range evs {
					if e.Kind != o7s.Packet {
						continue
					}
					if n, _, err := e.Flow.ReadPacket(buf); err == nil {
						e.Flow.Write(buf[:n])
					}
				}
			}
		}()
		buf := make([]byte, 10)
		for r := range rounds {
			for i, f := range out {
				f.Write([]byte{byte(i), byte(r)})
			}
			for i, f := range out {
				f.SetReadDeadline(time.Now().Add(10 * time.Second))
				if n, err := f.Read(buf); n != 2 || buf[0] != byte(i) || buf[1] != byte(r) || err != nil {
					t.Fatalf("flow %d round %d: %v %v", i, r, buf[:n], err)
				}
			}
		}
		set.Close()
		if err := <-ended; !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
	}
}

func TestFlowSetPeerTimeout(t *testing.T) {
	x := newExchange(true)
	s := x.stack()
	defer s.Close()
	l, err := s.Listen(context.Background(), "svc")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	qs := qos.Raw
	qs.Timeout = 50
	f, err := s.Dial(context.Background(), "svc", o7s.WithQoS(qs)) // nobody accepts
	if err != nil {
		t.Fatal(err)
	}
	set, err := s.NewFlowSet()
	if err != nil {
		t.Fatal(err)
	}
	set.Add(f)
	expect(t, set, o7s.Event{Flow: f, Kind: o7s.Alloc}, o7s.Event{Flow: f, Kind: o7s.Peer})
	if _, err := f.Read(make([]byte, 1)); !errors.Is(err, layer.ErrFlowPeer) {
		t.Errorf("got %v", err)
	}
	// The end that nobody accepted.
	a := <-x.queue("svc")
	a.Ring.Close()
}
