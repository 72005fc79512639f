// SPDX-License-Identifier: BSD-3-Clause

package cep_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"o7gw/o7s/ipcp"
	"o7gw/o7s/ipcp/cep"
	"o7gw/o7s/ipcp/cep/lower"
	"o7gw/o7s/ipcp/sim"
	"o7gw/o7s/layer"
	"o7gw/o7s/packet"
	"o7gw/o7s/qos"
)

var background = context.Background()

// Two of ours: everything that one announced is known to the other, and what is
// sent right behind the messages arrives in order.
func TestExchange(t *testing.T) {
	in(t, sim.Params{Delay: 5 * time.Millisecond}, func(t *testing.T, w *world) {
		a, b := w.member("a", mgmt(1)), w.member("b", mgmt(2))
		b.onAccept(func(c *cep.Conn) {
			lower.Send(c, "1", "2")
			lower.Send(c, "3")
			b.keep(c)
		})
		start := time.Now()
		c, err := a.Dial(background, "b", cep.Management, qos.Video)
		if err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took != 10*time.Millisecond {
			t.Errorf("took %v, want one round trip", took)
		}
		time.Sleep(time.Second) // the packets have come long before Receive
		var r lower.Reader
		c.Receive(&r)
		equal(t, r.Got(), []string{"1", "2", "3"})

		p := b.taken(cep.Management, 1)[0]
		want := mgmt(2)
		want.Ours = true
		if c.Peer() != want || !c.Ours() || !c.Initiated() || c.Dst() != "b" || c.QoS() != qos.Video {
			t.Errorf("initiated: %+v, %q, %v", c.Peer(), c.Dst(), c.QoS())
		}
		want.Address = 1
		if p.Peer() != want || !p.Ours() || p.Initiated() || p.Dst() != "" || p.QoS() != qos.Video {
			t.Errorf("accepted: %+v, %q, %v", p.Peer(), p.Dst(), p.QoS())
		}
		for _, c := range []*cep.Conn{c, p} {
			if i, o := a.liveness(c); i != time.Second/2 || o != 2500*time.Millisecond {
				t.Errorf("liveness %v, %v", i, o)
			}
			if c.MTU() != sim.DefaultMTU {
				t.Errorf("MTU %d", c.MTU())
			}
		}
		lower.Send(c, "x", "y")
		time.Sleep(time.Second)
		equal(t, b.reader(p).Got(), []string{"x", "y"})
		if len(a.all()) != 0 {
			t.Error("component got the connection of Dial")
		}
		c.Close()
		time.Sleep(time.Second)
		if !b.reader(p).Ended() {
			t.Error("the peer did not see the end")
		}
		if names := b.RIB().Names(); len(names) != 0 {
			t.Errorf("ended connection is listed: %q", names)
		}
	})
}

// SetLiveness replaces what was agreed.
func TestSetLiveness(t *testing.T) {
	in(t, sim.Params{}, func(t *testing.T, w *world) {
		a := w.member("a", mgmt(1))
		w.member("b", mgmt(2))
		c, err := a.Dial(background, "b", cep.Management, qos.Raw)
		if err != nil {
			t.Fatal(err)
		}
		c.SetLiveness(time.Minute, time.Hour)
		if i, o := a.liveness(c); i != time.Minute || o != time.Hour {
			t.Errorf("liveness %v, %v", i, o)
		}
		c.Close()
	})
}

// Events of the flow pass, and so does how much waits in front of the wire.
func TestPortBelow(t *testing.T) {
	in(t, sim.Params{}, func(t *testing.T, w *world) {
		a := w.member("a", mgmt(1))
		w.member("b", mgmt(2))
		c, err := a.Dial(background, "b", cep.Management, qos.Raw)
		if err != nil {
			t.Fatal(err)
		}
		r := &events{}
		c.Receive(r)
		if n := c.Queued(); n != 0 {
			t.Errorf("%d packets wait", n)
		}
		link := cep.FlowOf(c).(*lower.Flow).Link
		link.SetUp(false)
		synctest.Wait()
		link.SetUp(true)
		synctest.Wait()
		if want := []layer.Event{layer.Down, layer.Up}; !slices.Equal(r.got, want) {
			t.Errorf("events %v, want %v", r.got, want)
		}
		link.Set(sim.Params{Rate: 8000}) // 1000 bytes/s
		lower.Send(c, strings.Repeat("x", 1000), "y", "z")
		if n := c.Queued(); n < 2 {
			t.Errorf("%d packets wait, want 2 or more", n)
		}
		c.Close()
		if r := cep.NewOn(plain{}).Queued(); r != 0 {
			t.Errorf("%d packets wait in a flow that does not know", r)
		}
	})
}

// plain is a flow that does nothing.
type plain struct{ ipcp.Flow }

func (plain) Receive(layer.Receiver) {}

type events struct {
	releaser
	got []layer.Event
}

func (e *events) Event(v layer.Event) { e.got = append(e.got, v) }

// Keepalives are agreed on only if both want them.
func TestKeepaliveNeedsBoth(t *testing.T) {
	in(t, sim.Params{}, func(t *testing.T, w *world) {
		a, b := w.member("a", mgmt(1)), w.member("b", mgmt(2))
		without := mgmt(2)
		without.Caps = cep.CapWithdraw
		b.announce(without)
		c, err := a.Dial(background, "b", cep.Management, qos.Raw)
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		for _, c := range []*cep.Conn{c, b.taken(cep.Management, 1)[0]} {
			if i, o := a.liveness(c); i != 0 || o != 0 || !c.Ours() {
				t.Errorf("liveness %v, %v; ours: %v", i, o, c.Ours())
			}
		}
		c.Close()
	})
}

// answers are what a peer may say to our Management component that is no agreement.
func answers() map[string][]byte {
	good := mgmt(2)
	with := func(change func(*cep.Info)) []byte {
		i := good
		change(&i)
		return i.Append(nil)
	}
	return map[string][]byte{
		"other component": with(func(i *cep.Info) { i.Component = cep.DataTransfer }),
		"lower case":      with(func(i *cep.Info) { i.Component = "management" }),
		"other protocol":  with(func(i *cep.Info) { i.Protocol = "dtp" }),
		"other version":   with(func(i *cep.Info) { i.Version = 2 }),
		"other syntax":    with(func(i *cep.Info) { i.Syntax = 2 }),
		"prototype's no":  cep.Info{}.Append(nil), // BC-7
		"garbage":         []byte("hello there, this is no message"),
		"one byte":        {0},
		"too long":        append(good.Append(nil), bytes.Repeat([]byte{0x20, 0x01}, 60)...),
		"huge":            bytes.Repeat([]byte{0xff}, 1400),
	}
}

func TestDialRefusesAnswer(t *testing.T) {
	list := answers()
	list["silence"] = nil
	for name, answer := range list {
		t.Run(name, func(t *testing.T) {
			in(t, sim.Params{}, func(t *testing.T, w *world) {
				a := w.member("a", mgmt(1))
				there := w.layer.Host("b")
				var r lower.Reader
				go func() {
					f, _ := there.Accept(background)
					f.Receive(&r)
					if answer != nil {
						lower.Send(f, answer)
					}
				}()
				start := time.Now()
				c, err := a.Dial(background, "b", cep.Management, qos.Raw)
				if err == nil {
					t.Fatalf("connected to %+v", c.Peer())
				}
				took := time.Since(start)
				if answer == nil && (took != time.Second || !errors.Is(err, layer.ErrTimedOut)) || answer != nil && took != 0 {
					t.Errorf("%v after %v", err, took)
				}
				synctest.Wait()
				if !r.Ended() {
					t.Error("the flow is still there")
				}
				if got := r.Got(); len(got) != 1 {
					t.Errorf("sent %d messages on one flow", len(got))
				}
			})
		})
	}
}

// A flow that ends before or behind the message.
func TestDialFlowEnds(t *testing.T) {
	for _, says := range []bool{false, true} {
		in(t, sim.Params{}, func(t *testing.T, w *world) {
			a := w.member("a", mgmt(1))
			there := w.layer.Host("b")
			go func() {
				f, _ := there.Accept(background)
				if says {
					lower.Send(f, mgmt(2).Append(nil))
				}
				f.Close()
			}()
			c, err := a.Dial(background, "b", cep.Management, qos.Raw)
			if says != (err == nil) {
				t.Fatalf("says %v: %v", says, err)
			}
			if c != nil {
				r := lower.Reader{}
				c.Receive(&r)
				synctest.Wait()
				if !r.Ended() {
					t.Error("the end of the flow was not heard")
				}
			}
		})
	}
}

// The acceptor compares what the prototype does not (CM-1), and lets nobody
// believe in a success.
func TestAcceptorRefuses(t *testing.T) {
	list := answers()
	list["no name"] = (cep.Info{Protocol: "LSP", Version: 1}).Append(nil) // BC-6
	list["unknown, as broadcast"] = (cep.Info{Component: "Data Transfer"}).Append(nil)
	list["long name"] = (cep.Info{Component: string(bytes.Repeat([]byte("n"), 115))}).Append(nil)
	delete(list, "other component")
	list["component that there is not"] = (cep.Info{Component: "Directory", Protocol: "LSP", Version: 1}).Append(nil)
	for name, message := range list {
		t.Run(name, func(t *testing.T) {
			in(t, sim.Params{}, func(t *testing.T, w *world) {
				b := w.member("b", mgmt(2))
				f, err := w.layer.Host().Allocate(background, "b", qos.Raw)
				if err != nil {
					t.Fatal(err)
				}
				var r lower.Reader
				f.Receive(&r)
				lower.Send(f, message)
				synctest.Wait()
				if !r.Ended() || len(b.all()) != 0 {
					t.Errorf("flow ended: %v, accepted: %d", r.Ended(), len(b.all()))
				}
				asked, err := cep.Parse(message)
				for _, answer := range r.Got() {
					got, perr := cep.Parse([]byte(answer))
					if err != nil || perr != nil || got.Component == "" {
						t.Errorf("answered % x", answer)
					}
					// What a prototype compares.
					if got.Protocol == asked.Protocol && got.Version == asked.Version && got.Syntax == asked.Syntax && name != "lower case" {
						t.Errorf("a prototype takes %+v for agreement", got)
					}
				}
			})
		})
	}
}

// A packet is lost: the attempt ends within its limit, and another one
// works.
func TestDropNth(t *testing.T) {
	for n := range int64(3) {
		in(t, sim.Params{Delay: time.Millisecond}, func(t *testing.T, w *world) {
			a, b := w.member("a", mgmt(1)), w.member("b", mgmt(2))
			w.layer.Set(sim.Params{Delay: time.Millisecond, Drop: lower.Drop(n)})
			start := time.Now()
			_, err := a.Dial(background, "b", cep.Management, qos.Raw)
			if n > 0 != errors.Is(err, layer.ErrTimedOut) {
				t.Errorf("packet %d lost: %v", n, err)
			}
			if took := time.Since(start); took > time.Second+10*time.Millisecond {
				t.Errorf("packet %d lost: %v", n, took)
			}
			if n == 0 {
				return
			}
			c, err := a.Dial(background, "b", cep.Management, qos.Raw)
			if err != nil {
				t.Fatalf("second attempt: %v", err)
			}
			time.Sleep(10 * time.Millisecond)
			// Where the answer was lost, the acceptor had a connection. It hears
			// that it is gone.
			conns := b.taken(cep.Management, int(n))
			for i, c := range conns {
				if ended := b.reader(c).Ended(); ended != (i < len(conns)-1) {
					t.Errorf("packet %d lost: connection %d of %d ended: %v", n, i+1, len(conns), ended)
				}
			}
			lower.Send(c, "x")
			time.Sleep(10 * time.Millisecond)
			equal(t, b.reader(conns[len(conns)-1]).Got(), []string{"x"})
			c.Close()
		})
	}
}

// Connect takes another flow by itself.
func TestConnectDropNth(t *testing.T) {
	for n := int64(1); n <= 2; n++ {
		in(t, sim.Params{Delay: time.Millisecond, Drop: lower.Drop(n)}, func(t *testing.T, w *world) {
			a := w.member("a", mgmt(1))
			w.member("b", mgmt(2))
			if err := a.Connect(background, "b", cep.Management, qos.Raw); err != nil {
				t.Errorf("packet %d lost: %v", n, err)
			}
			synctest.Wait()
			a.taken(cep.Management, 1)
			if asked := a.host.Asked.Load(); asked != 2 {
				t.Errorf("%d flows", asked)
			}
		})
	}
}

// Every packet comes twice: no copy of a message becomes a packet.
func TestDuplicates(t *testing.T) {
	in(t, sim.Params{Delay: time.Millisecond, Duplicate: 1}, func(t *testing.T, w *world) {
		a, b := w.member("a", mgmt(1)), w.member("b", mgmt(2))
		c, err := a.Dial(background, "b", cep.Management, qos.Raw)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Millisecond)
		p := b.taken(cep.Management, 1)[0]
		var r lower.Reader
		c.Receive(&r)
		time.Sleep(time.Second)
		lower.Send(c, "to b")
		lower.Send(p, "to a")
		time.Sleep(time.Second)
		equal(t, r.Got(), []string{"to a", "to a"})
		equal(t, b.reader(p).Got(), []string{"to b", "to b"})
		c.Close()
	})
}

// Keepalives of a layer below that does not take them out, before the message.
func TestEmptyPacketsFirst(t *testing.T) {
	in(t, sim.Params{}, func(t *testing.T, w *world) {
		b := w.member("b", mgmt(2))
		f, err := w.layer.Host().Allocate(background, "b", qos.Raw)
		if err != nil {
			t.Fatal(err)
		}
		lower.Send(f, "", "", string(mgmt(1).Append(nil)), "", "x")
		synctest.Wait()
		equal(t, b.reader(b.taken(cep.Management, 1)[0]).Got(), []string{"", "x"})
		f.Close()
	})
}

// A thousand silent flows keep nobody waiting, and are gone a second later
// (CM-6).
func TestSilentFlows(t *testing.T) {
	in(t, sim.Params{}, func(t *testing.T, w *world) {
		b := w.member("b", mgmt(2))
		host := w.layer.Host()
		readers := make([]lower.Reader, 1000)
		for i := range readers {
			f, err := host.Allocate(background, "b", qos.Raw)
			if err != nil {
				t.Fatal(err)
			}
			f.Receive(&readers[i])
			synctest.Wait()
			if i != 100 && i != 900 { // with room, and without
				continue
			}
			start := time.Now()
			a := w.member(fmt.Sprintf("a%d", i), mgmt(1))
			c, err := a.Dial(background, "b", cep.Management, qos.Raw)
			if err != nil || time.Since(start) != 0 {
				t.Fatalf("behind %d silent flows: %v after %v", i, err, time.Since(start))
			}
			c.Close()
		}
		open := 0
		for i := range readers {
			if !readers[i].Ended() {
				open++
			}
		}
		if open != 256 {
			t.Errorf("%d silent flows are kept, want 256", open)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		for i := range readers {
			if !readers[i].Ended() {
				t.Fatalf("silent flow %d is still open", i)
			}
		}
		b.taken(cep.Management, 2)
	})
}

// A peer that opens connection after connection gets a thousand, and others
// when some of these have ended.
func TestManyConnections(t *testing.T) {
	in(t, sim.Params{}, func(t *testing.T, w *world) {
		const limit = 1024
		b := w.member("b", mgmt(2))
		host := w.layer.Host()
		hello := mgmt(1).Append(nil)
		open := func() *lower.Reader {
			f, err := host.Allocate(background, "b", qos.Raw)
			if err != nil {
				t.Fatal(err)
			}
			r := &lower.Reader{}
			f.Receive(r)
			lower.Send(f, hello)
			synctest.Wait()
			if r.Ended() {
				f.Close()
			}
			return r
		}
		var readers []*lower.Reader
		for range limit + 100 {
			readers = append(readers, open())
		}
		for i, r := range readers {
			if r.Ended() != (i >= limit) {
				t.Fatalf("connection %d: ended %v", i, r.Ended())
			}
		}
		for _, c := range b.taken(cep.Management, limit)[:10] {
			c.Close()
		}
		for i := range 11 {
			if r := open(); r.Ended() != (i == 10) {
				t.Fatalf("connection %d after 10 have ended: ended %v", i, r.Ended())
			}
		}
	})
}

// Below, accepting fails for a while: that is said once.
func TestAcceptFails(t *testing.T) {
	in(t, sim.Params{}, func(t *testing.T, w *world) {
		b := w.member("b", mgmt(2))
		a := w.member("a", mgmt(1))
		synctest.Wait() // one call is under way
		b.host.Fail(true)
		c, err := a.Dial(background, "b", cep.Management, qos.Raw)
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
		time.Sleep(time.Minute)
		if n := w.log.count("WARN"); n != 1 {
			t.Errorf("%d warnings", n)
		}
		b.host.Fail(false)
		time.Sleep(5 * time.Second)
		if c, err = a.Dial(background, "b", cep.Management, qos.Raw); err != nil {
			t.Fatal(err)
		}
		c.Close()
		synctest.Wait()
		b.host.Fail(true) // and again
		if c, err = a.Dial(background, "b", cep.Management, qos.Raw); err != nil {
			t.Fatal(err)
		}
		c.Close()
		time.Sleep(time.Minute)
		if n := w.log.count("WARN"); n != 2 {
			t.Errorf("%d warnings about two failures", n)
		}
	})
}

func TestDialErrors(t *testing.T) {
	in(t, sim.Params{}, func(t *testing.T, w *world) {
		a := w.member("a", mgmt(1))
		if _, err := a.Dial(background, "nobody", cep.Management, qos.Raw); !errors.Is(err, layer.ErrNoName) {
			t.Errorf("unknown name: %v", err)
		}
		for _, c := range []string{"", "Enrollment", "management"} {
			if _, err := a.Dial(background, "a", c, qos.Raw); !errors.Is(err, layer.ErrInvalid) {
				t.Errorf("component %q: %v", c, err)
			}
			if err := a.Connect(background, "a", c, qos.Raw); !errors.Is(err, layer.ErrInvalid) {
				t.Errorf("component %q: %v", c, err)
			}
		}
		w.layer.Host("silent")
		ctx, cancel := context.WithTimeout(background, 300*time.Millisecond)
		defer cancel()
		start := time.Now()
		if _, err := a.Dial(ctx, "silent", cep.Management, qos.Raw); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != 300*time.Millisecond {
			t.Errorf("silent peer: %v after %v", err, time.Since(start))
		}
		a.Close()
		if _, err := a.Dial(background, "a", cep.Management, qos.Raw); err == nil {
			t.Error("Dial after Close works")
		}
	})
}

// A batch passes a connection without allocation.
func BenchmarkReceive(b *testing.B) {
	c, feed := cep.Bare()
	c.Receive(releaser{})
	batch := make([]*packet.Buffer, packet.BatchSize)
	b.ReportAllocs()
	for b.Loop() {
		packet.GetBatch(batch, 64)
		feed.Packets(batch)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/packet.BatchSize, "ns/packet")
}

func TestReceiveAllocatesNothing(t *testing.T) {
	c, feed := cep.Bare()
	c.Receive(releaser{})
	batch := make([]*packet.Buffer, packet.BatchSize)
	if n := testing.AllocsPerRun(100, func() {
		packet.GetBatch(batch, 64)
		feed.Packets(batch)
	}); n != 0 {
		t.Errorf("%v allocations per batch", n)
	}
}

type releaser struct{}

func (releaser) Packets(p []*packet.Buffer) { packet.ReleaseBatch(p) }
func (releaser) Event(layer.Event)          {}

func Example() {
	// What a Management component of a unicast member says.
	fmt.Printf("% x", cep.Info{Component: cep.Management, Protocol: "LSP", Version: 1, Address: 7}.Append(nil))
	// Output: 0a 0a 4d 61 6e 61 67 65 6d 65 6e 74 12 03 4c 53 50 18 01 28 00 40 07
}
