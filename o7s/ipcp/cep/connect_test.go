// SPDX-License-Identifier: BSD-3-Clause

package cep_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"o7gw/o7s/ipcp/cep"
	"o7gw/o7s/ipcp/cep/lower"
	"o7gw/o7s/ipcp/sim"
	"o7gw/o7s/layer"
	"o7gw/o7s/qos"
)

const (
	lostLine = "INFO lost the connection"
	backLine = "INFO made the connection again"
)

// dataTransfer is another component than mgmt.
func dataTransfer(addr uint64) cep.Info {
	return cep.Info{Component: cep.DataTransfer, Protocol: "dtp", Version: 1, Syntax: 2, Address: addr, Caps: cep.CapKeepalive}
}

func connect(t *testing.T, m *member, dst string) {
	t.Helper()
	if err := m.Connect(background, dst, cep.Management, qos.Raw); err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
}

// The neighbour restarts, and is away for a while. The connection comes back without
// anybody's help, and the log says so once.
func TestNeighbourRestarts(t *testing.T) {
	for _, away := range []time.Duration{0, time.Second, time.Hour} {
		in(t, sim.Params{Delay: time.Millisecond}, func(t *testing.T, w *world) {
			a, b := w.member("a", mgmt(1)), w.member("b", mgmt(2))
			connect(t, a, "b")
			time.Sleep(time.Minute)
			w.layer.Forget("b")
			b.Close()
			time.Sleep(10 * time.Millisecond)
			if c := a.taken(cep.Management, 1)[0]; !a.reader(c).Ended() {
				t.Fatal("component did not hear of the loss")
			}
			time.Sleep(away)
			asked := a.host.Asked.Load()
			if most := int64(away/(2500*time.Millisecond)) + 8; asked > most {
				t.Errorf("asked %d times in %v", asked, away)
			}
			b = w.member("b", mgmt(3))
			time.Sleep(5*time.Second + 10*time.Millisecond)
			c := a.taken(cep.Management, 2)[1]
			if c.Peer().Address != 3 || c.Dst() != "b" || !c.Initiated() {
				t.Errorf("connection to %+v", c.Peer())
			}
			lower.Send(c, "x")
			time.Sleep(10 * time.Millisecond)
			equal(t, b.reader(b.taken(cep.Management, 1)[0]).Got(), []string{"x"})
			if lost, back := w.log.count(lostLine), w.log.count(backLine); lost != 1 || back != 1 || w.log.count("INFO") != 2 {
				t.Errorf("logged %d losses and %d returns", lost, back)
			}
		})
	}
}

// A component that closes what it gets has it made again, but ever more seldom.
func TestComponentCloses(t *testing.T) {
	in(t, sim.Params{}, func(t *testing.T, w *world) {
		a := w.member("a", mgmt(1))
		w.member("b", mgmt(2))
		var times []time.Time
		a.onAccept(func(c *cep.Conn) {
			times = append(times, time.Now())
			c.Close()
		})
		connect(t, a, "b")
		time.Sleep(time.Minute)
		synctest.Wait()
		for i := 1; i < len(times); i++ {
			gap := times[i].Sub(times[i-1])
			most := min(200*time.Millisecond<<(i-1), 5*time.Second)
			if i < 10 && (gap > most || gap < most/2) {
				t.Errorf("pause %d is %v, want %v to %v", i, gap, most/2, most)
			}
		}
		if n := len(times); n < 12+4 || n > 24+6 {
			t.Errorf("%d connections in a minute", n)
		}
		if err := a.Disconnect(background, "b", cep.Management); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		n := len(times)
		time.Sleep(time.Minute)
		synctest.Wait()
		if len(times) != n {
			t.Error("made again after Disconnect")
		}
	})
}

// After a connection that lasted, the first pause is short again.
func TestPauseStartsOver(t *testing.T) {
	in(t, sim.Params{}, func(t *testing.T, w *world) {
		a, b := w.member("a", mgmt(1)), w.member("b", mgmt(2))
		connect(t, a, "b")
		for i := range 5 {
			time.Sleep(11 * time.Second)
			b.all()[i].Close()
			start := time.Now()
			for len(a.all()) < i+2 {
				time.Sleep(time.Millisecond)
			}
			if gap := time.Since(start); gap > 201*time.Millisecond {
				t.Errorf("loss %d: back after %v", i, gap)
			}
		}
	})
}

func TestDisconnect(t *testing.T) {
	in(t, sim.Params{}, func(t *testing.T, w *world) {
		a, b := w.member("a", mgmt(1), dataTransfer(1)), w.member("b", mgmt(2), dataTransfer(2))
		connect(t, a, "b")
		if err := a.Connect(background, "b", cep.DataTransfer, qos.Raw); err != nil {
			t.Fatal(err)
		}
		for _, d := range []struct{ dst, component string }{{"nobody", cep.Management}, {"b", "nothing"}, {"", ""}} {
			if err := a.Disconnect(background, d.dst, d.component); err != nil {
				t.Errorf("%v: %v", d, err)
			}
		}
		// Not the side that accepted.
		if err := b.Disconnect(background, "a", cep.Management); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Minute)
		if err := a.Disconnect(background, "b", cep.Management); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Minute)
		for _, m := range []*member{a, b} {
			if c := m.taken(cep.Management, 1)[0]; !m.reader(c).Ended() {
				t.Error("component did not hear of it")
			}
			if c := m.taken(cep.DataTransfer, 1)[0]; m.reader(c).Ended() {
				t.Error("other component lost its connection")
			}
		}
		if n := w.log.count("INFO"); n != 0 {
			t.Errorf("%d lines about an orderly end", n)
		}
		// And again.
		connect(t, a, "b")
		a.taken(cep.Management, 2)
	})
}

// Disconnect of what is lost, and of what is being made.
func TestDisconnectWhileDown(t *testing.T) {
	in(t, sim.Params{}, func(t *testing.T, w *world) {
		a, b := w.member("a", mgmt(1)), w.member("b", mgmt(2))
		connect(t, a, "b")
		w.layer.Forget("b")
		b.Close()
		time.Sleep(7 * time.Second)
		if err := a.Disconnect(background, "b", cep.Management); err != nil {
			t.Error(err)
		}
		asked := a.host.Asked.Load()
		w.layer.Host("b") // silent
		time.Sleep(time.Minute)
		if n := a.host.Asked.Load(); n != asked {
			t.Errorf("%d more attempts", n-asked)
		}

		result := make(chan error)
		go func() { result <- a.Connect(background, "b", cep.Management, qos.Raw) }()
		time.Sleep(500 * time.Millisecond)
		start := time.Now()
		if err := a.Disconnect(background, "b", cep.Management); err != nil {
			t.Error(err)
		}
		if err := <-result; !errors.Is(err, context.Canceled) {
			t.Errorf("Connect: %v", err)
		}
		if took := time.Since(start); took != 0 {
			t.Errorf("took %v", took)
		}
		time.Sleep(time.Minute)
		a.taken(cep.Management, 1)
	})
}

// A connection that is ordered again before the last one is all gone stays.
func TestDisconnectAndConnect(t *testing.T) {
	in(t, sim.Params{}, func(t *testing.T, w *world) {
		a := w.member("a", mgmt(1))
		w.layer.Host("b") // silent
		result := make(chan error)
		go func() { result <- a.Connect(background, "b", cep.Management, qos.Raw) }()
		time.Sleep(100 * time.Millisecond)
		ended, cancel := context.WithCancel(background)
		cancel()
		if err := a.Disconnect(ended, "b", cep.Management); err != nil && !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		b := w.member("b", mgmt(2))
		connect(t, a, "b")
		if err := <-result; err == nil {
			t.Error("the first one was connected")
		}
		if err := a.Disconnect(background, "b", cep.Management); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if c := b.taken(cep.Management, 1)[0]; !b.reader(c).Ended() {
			t.Error("the second one was not known any more")
		}
	})
}

// A first attempt that fails is an error, and nothing goes on.
func TestConnectFails(t *testing.T) {
	in(t, sim.Params{}, func(t *testing.T, w *world) {
		a := w.member("a", mgmt(1))
		if err := a.Connect(background, "b", cep.Management, qos.Raw); !errors.Is(err, layer.ErrNoName) {
			t.Errorf("unknown name: %v", err)
		}
		b := w.member("b", mgmt(2))
		other := mgmt(2)
		other.Version = 2
		b.announce(other)
		if err := a.Connect(background, "b", cep.Management, qos.Raw); !errors.Is(err, layer.ErrIPCP) {
			t.Errorf("other version: %v", err)
		}
		if n := a.host.Asked.Load(); n != 2 {
			t.Errorf("%d attempts", n)
		}
		time.Sleep(time.Minute)
		if n := a.host.Asked.Load(); n != 2 {
			t.Errorf("%d attempts", n)
		}
		b.announce(mgmt(2))
		connect(t, a, "b")
	})
}

// Connect to what is connected to, or just being connected to, waits for that.
func TestConnectTwice(t *testing.T) {
	in(t, sim.Params{Delay: time.Millisecond}, func(t *testing.T, w *world) {
		a := w.member("a", mgmt(1))
		b := w.member("b", mgmt(2))
		results := make(chan error, 3)
		for range 3 {
			go func() { results <- a.Connect(background, "b", cep.Management, qos.Raw) }()
		}
		for range 3 {
			if err := <-results; err != nil {
				t.Error(err)
			}
		}
		synctest.Wait()
		a.taken(cep.Management, 1)
		// Another QoS is another connection.
		if err := a.Connect(background, "b", cep.Management, qos.Voice); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Second)
		a.taken(cep.Management, 2)

		// While it is lost.
		w.layer.Forget("b")
		b.Close()
		time.Sleep(time.Minute)
		ctx, cancel := context.WithTimeout(background, time.Second)
		defer cancel()
		if err := a.Connect(ctx, "b", cep.Management, qos.Raw); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("while it is lost: %v", err)
		}
		go func() { results <- a.Connect(background, "b", cep.Management, qos.Raw) }()
		w.member("b", mgmt(2))
		if err := <-results; err != nil {
			t.Error(err)
		}
		// Both connections are ended by one Disconnect.
		time.Sleep(10 * time.Second)
		if err := a.Disconnect(background, "b", cep.Management); err != nil {
			t.Error(err)
		}
		if n := len(a.RIB().Names()); n != 0 {
			t.Errorf("%d connections are left", n)
		}
	})
}

// The first attempt fails for all who wait for it.
func TestConnectTwiceFails(t *testing.T) {
	in(t, sim.Params{}, func(t *testing.T, w *world) {
		a := w.member("a", mgmt(1))
		w.layer.Host("silent")
		results := make(chan error, 3)
		for range 3 {
			go func() { results <- a.Connect(background, "silent", cep.Management, qos.Raw) }()
		}
		for range 3 {
			if err := <-results; !errors.Is(err, layer.ErrTimedOut) {
				t.Errorf("got %v", err)
			}
		}
		if n := a.host.Asked.Load(); n != 3 {
			t.Errorf("%d flows, want three tries of one Connect", n)
		}
	})
}

// Both sides connect to each other at the same time: each component gets
// both, and both work.
func TestBothConnect(t *testing.T) {
	in(t, sim.Params{Delay: time.Millisecond}, func(t *testing.T, w *world) {
		a, b := w.member("a", mgmt(1)), w.member("b", mgmt(2))
		results := make(chan error)
		go func() { results <- a.Connect(background, "b", cep.Management, qos.Raw) }()
		go func() { results <- b.Connect(background, "a", cep.Management, qos.Raw) }()
		for range 2 {
			if err := <-results; err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Second)
		for _, c := range a.taken(cep.Management, 2) {
			lower.Send(c, "x")
		}
		time.Sleep(time.Second)
		initiated := 0
		for _, c := range b.taken(cep.Management, 2) {
			equal(t, b.reader(c).Got(), []string{"x"})
			if c.Initiated() {
				initiated++
			}
		}
		if initiated != 1 {
			t.Errorf("%d initiated", initiated)
		}
	})
}

// Close ends everything, whatever is under way. What is left would make the
// bubble fail.
func TestClose(t *testing.T) {
	in(t, sim.Params{Delay: time.Millisecond}, func(t *testing.T, w *world) {
		a := w.member("a", mgmt(1), dataTransfer(1))
		b := w.member("b", mgmt(2), dataTransfer(2))
		w.layer.Host("silent")
		connect(t, a, "b") // up
		gone := w.member("gone", mgmt(3))
		connect(t, a, "gone") // lost
		w.layer.Forget("gone")
		gone.Close()
		accepting := false
		ended := make(chan bool)
		b.onAccept(func(c *cep.Conn) { // busy until it hears of the end
			accepting = true
			c.Receive(&lower.Reader{Closed: func() { close(ended) }})
			<-ended
		})
		c, err := a.Dial(background, "b", cep.DataTransfer, qos.Raw) // with its owner
		if err != nil {
			t.Fatal(err)
		}
		var r lower.Reader
		c.Receive(&r)
		results := make(chan error, 2)
		go func() { // dialling
			_, err := a.Dial(background, "silent", cep.Management, qos.Raw)
			results <- err
		}()
		go func() { results <- a.Connect(background, "silent", cep.Management, qos.Raw) }()
		f, err := w.layer.Host().Allocate(background, "a", qos.Raw) // says nothing
		if err != nil {
			t.Fatal(err)
		}
		var silent lower.Reader
		f.Receive(&silent)
		time.Sleep(500 * time.Millisecond)

		start := time.Now()
		if err := a.Close(); err != nil {
			t.Error(err)
		}
		for range 2 {
			if err := <-results; err == nil {
				t.Error("connected while closing")
			}
		}
		if took := time.Since(start); took != 0 {
			t.Errorf("took %v", took)
		}
		if !r.Ended() || !a.reader(a.taken(cep.Management, 2)[0]).Ended() {
			t.Error("component did not hear of the end")
		}
		a.Close()
		time.Sleep(10 * time.Millisecond)
		synctest.Wait()
		if !silent.Ended() || !accepting || !b.reader(b.taken(cep.Management, 1)[0]).Ended() {
			t.Error("the peers did not hear of the end")
		}
		if err := a.Connect(background, "b", cep.Management, qos.Raw); err == nil {
			t.Error("Connect after Close works")
		}
		if names := a.RIB().Names(); len(names) != 0 {
			t.Errorf("listed: %q", names)
		}
	})
}

// What the statistics tell.
func TestRIB(t *testing.T) {
	in(t, sim.Params{}, func(t *testing.T, w *world) {
		a, b := w.member("a", mgmt(1)), w.member("b", mgmt(2))
		connect(t, a, "b")
		proto := cep.Info{Component: cep.Management, Protocol: "LSP", Version: 1, Address: 9}
		f, err := w.layer.Host().Allocate(background, "a", qos.Raw)
		if err != nil {
			t.Fatal(err)
		}
		lower.Send(f, proto.Append(nil))
		synctest.Wait()

		read := func(name string) map[string]any {
			t.Helper()
			e, ok := a.RIB().Entry(name)
			if !ok {
				t.Fatalf("no entry %q", name)
			}
			m := make(map[string]any)
			for _, f := range e.Fields {
				m[f.Label] = f.Value
			}
			return m
		}
		equal(t, a.RIB().Names(), []string{"1", "2"})
		for name, want := range map[string][5]any{
			"1": {"Management", "this side", "b", "2", "o7gw, capabilities 0x3"},
			"2": {"Management", "peer", "a", "9", "prototype"},
		} {
			m := read(name)
			got := [5]any{m["Component:"], m["Connected by:"], m["Name:"], m["Peer address:"], m["Peer:"]}
			if got != want || m["State:"] != "established" || m["QoS:"] != "raw" || m["Established at:"] != time.Now() {
				t.Errorf("%s: %v", name, m)
			}
		}
		b.Close()
		synctest.Wait()
		equal(t, a.RIB().Names(), []string{"2", "lost-1"})
		if m := read("lost-1"); m["State:"] != "lost" || m["Name:"] != "b" || m["Component:"] != "Management" {
			t.Errorf("lost: %v", m)
		}
		if _, ok := a.RIB().Entry("1"); ok {
			t.Error("ended connection has an entry")
		}
	})
}
