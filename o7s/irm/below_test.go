// SPDX-License-Identifier: BSD-3-Clause

package irm

import (
	"context"
	"errors"
	"os"
	"sync"
	"testing"
	"time"

	"o7gw/o7s/bubble"
	"o7gw/o7s/ipcp"
	"o7gw/o7s/layer"
	"o7gw/o7s/packet"
	"o7gw/o7s/qos"
)

// tape is a receiver that notes what it gets.
type tape struct {
	mu  sync.Mutex
	got []string
}

func (r *tape) Packets(pkts []*packet.Buffer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range pkts {
		r.got = append(r.got, string(p.Bytes()))
	}
	packet.ReleaseBatch(pkts)
}

func (r *tape) Event(e layer.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.got = append(r.got, "<"+e.String()+">")
}

func (r *tape) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := ""
	for _, g := range r.got {
		s += g + " "
	}
	return s
}

func one(s string) []*packet.Buffer {
	b := packet.Get(len(s))
	b.Append([]byte(s))
	return []*packet.Buffer{b}
}

// upper makes an IPC process that stands on layers, not in a layer yet.
func upper(t *testing.T, i *IRM, name string) (int, *fakeIPCP) {
	t.Helper()
	id, err := i.CreateIPCP(ipcp.Unicast, name)
	if err != nil {
		t.Fatal(err)
	}
	m, err := i.member(id)
	if err != nil {
		t.Fatal(err)
	}
	return id, m.ipcp.(*fakeIPCP)
}

// joinLayer puts an upper IPC process into a layer.
func joinLayer(t *testing.T, i *IRM, id int, layerName string) {
	t.Helper()
	if err := i.Bootstrap(t.Context(), id, ipcp.Config{Type: ipcp.Unicast, Layer: layerName}); err != nil {
		t.Fatal(err)
	}
}

// accepted takes one flow of an upper IPC process.
func accepted(t *testing.T, f *fakeIPCP) <-chan ipcp.Flow {
	t.Helper()
	got := make(chan ipcp.Flow, 1)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	var wg sync.WaitGroup
	t.Cleanup(func() { cancel(); wg.Wait() })
	wg.Go(func() {
		if g, err := f.env.Below.Accept(ctx); err == nil {
			got <- g
		}
	})
	return got
}

func bind(t *testing.T, i *IRM, id int, names ...string) {
	t.Helper()
	for _, n := range names {
		if err := i.BindIPCP(id, n); err != nil {
			t.Fatal(err)
		}
	}
}

// TestBelow: IPC processes of two nodes use the flows of a shim, as
// applications do, and do not look like some.
func TestBelow(t *testing.T) {
	n := new(fakeNet)
	a, b := node(t, n, nil), node(t, n, nil)
	inLayer(t, a, ipcp.UDP4, "shim")
	lowID, low := inLayer(t, b, ipcp.UDP4, "shim")
	_, ua := upper(t, a, "ua")
	id, ub := upper(t, b, "ub")
	bind(t, b, id, "ub", "core")
	if err := b.BindIPCP(id, "core"); !errors.Is(err, ErrExists) {
		t.Errorf("bound twice: %v", err)
	}
	if err := b.BindIPCP(77, "core"); !errors.Is(err, ErrNotFound) {
		t.Errorf("no such IPCP: %v", err)
	}
	if err := b.BindProcess(os.Getpid(), "x"); !errors.Is(err, ErrNotFound) {
		t.Errorf("an IPCP has no pid: %v", err)
	}
	if err := b.Register(t.Context(), "core", lowID); err != nil || low.has("core") != 1 {
		t.Fatalf("register: %v", err)
	}
	got := accepted(t, ub)
	fa, err := ua.env.Below.Allocate(t.Context(), "core", qos.Raw)
	if err != nil {
		t.Fatal(err)
	}
	fb := <-got
	if fa.Name() != "core" || fb.Name() != "core" || fb.QoS() != qos.Raw || fb.MTU() != layer.PipeMTU {
		t.Errorf("%q %q %v %d", fa.Name(), fb.Name(), fb.QoS(), fb.MTU())
	}
	ra, rb := new(tape), new(tape)
	fa.Send(one("early"))
	fb.Receive(rb)
	fa.Receive(ra)
	fa.Send(one("late"))
	fb.Send(one("back"))
	if ra.String() != "back " || rb.String() != "early late " {
		t.Errorf("%q and %q", ra, rb)
	}

	if l := b.ListProcesses(); len(l) != 0 {
		t.Errorf("processes: %+v", l)
	}
	flows := b.ListFlows()
	if len(flows) != 1 || flows[0].User != id || flows[0].IPCP != lowID || !flows[0].Server || flows[0].PID != os.Getpid() {
		t.Errorf("flows: %+v", flows)
	}
	info := nameOf(b, "core")
	if len(info.Processes) != 0 || len(info.IPCPs) != 1 || info.IPCPs[0] != (BoundIPCP{id, "ub"}) {
		t.Errorf("name: %+v", info)
	}

	fa.Close()
	if rb.String() != "early late <closed> " {
		t.Errorf("after the end: %q", rb)
	}
	fb.Close()
	if len(a.ListFlows())+len(b.ListFlows()) != 0 {
		t.Errorf("flows left: %+v %+v", a.ListFlows(), b.ListFlows())
	}
	if err := b.UnbindIPCP(id, "core"); err != nil {
		t.Error(err)
	}
	if err := b.UnbindIPCP(id, "core"); !errors.Is(err, ErrNotFound) {
		t.Errorf("unbound twice: %v", err)
	}
	if err := b.DestroyIPCP(id); err != nil {
		t.Error(err)
	}
	if info := nameOf(b, "ub"); len(info.IPCPs) != 0 {
		t.Errorf("bound after its end: %+v", info)
	}
	if _, err := ub.env.Below.Accept(t.Context()); !errors.Is(err, ErrDetached) {
		t.Errorf("accept after the end: %v", err)
	}
}

// TestBelowDirect: two IPC processes of one node connect to each other, but
// none to itself.
func TestBelowDirect(t *testing.T) {
	i := node(t, new(fakeNet), nil)
	idA, ua := upper(t, i, "ua")
	idB, ub := upper(t, i, "ub")
	bind(t, i, idA, "both")
	bind(t, i, idB, "both")
	// ua waits too, and its turn comes first.
	gotB := accepted(t, ub)
	settle(t, "ub waits", func() bool { return waiting(i, "both") == 1 })
	accepted(t, ua)
	settle(t, "ua waits", func() bool { return waiting(i, "both") == 2 })
	fa, err := ua.env.Below.Allocate(t.Context(), "both", qos.Raw)
	if err != nil {
		t.Fatal(err)
	}
	fb := <-gotB
	rb := new(tape)
	fb.Receive(rb)
	fa.Send(one("hello"))
	if rb.String() != "hello " {
		t.Errorf("got %q", rb)
	}
	for _, f := range i.ListFlows() {
		if !f.Direct {
			t.Errorf("%+v", f)
		}
	}
	// Bound to a name that nobody else serves: it is asked of the layers, at
	// once.
	bind(t, i, idA, "own")
	begin := time.Now()
	if _, err := ua.env.Below.Allocate(t.Context(), "own", qos.Raw); !errors.Is(err, layer.ErrIPCP) || time.Since(begin) > acceptWait/2 {
		t.Errorf("own name: %v after %v", err, time.Since(begin))
	}
	fa.Close()
	fb.Close()
}

// TestBelowLiveness: SetLiveness finds a dead peer in time.
func TestBelowLiveness(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		n := new(fakeNet)
		i := New(Options{Factory: n.factory})
		idA, ua := upper(t, i, "ua")
		_, ub := upper(t, i, "ub")
		bind(t, i, idA, "ua")
		got := accepted(t, ua)
		fb, err := ub.env.Below.Allocate(t.Context(), "ua", qos.Raw)
		if err != nil {
			t.Fatal(err)
		}
		fa := <-got
		ra, rb := new(tape), new(tape)
		fa.Receive(ra)
		fb.Receive(rb)
		fa.SetLiveness(time.Second, 2500*time.Millisecond)
		fb.SetLiveness(time.Second, 2500*time.Millisecond)
		time.Sleep(time.Hour)
		if ra.String()+rb.String() != "" {
			t.Fatalf("idle: %q %q", ra, rb)
		}
		fb.SetLiveness(0, 0) // silent from now on
		time.Sleep(1400 * time.Millisecond)
		if ra.String() != "" {
			t.Errorf("too early: %q", ra)
		}
		time.Sleep(1500 * time.Millisecond)
		if ra.String() != "<closed> " || rb.String() != "" {
			t.Errorf("silence: %q %q", ra, rb)
		}
		if err := i.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
}

// drain is a receiver that counts and releases.
type drain struct{ packets int }

func (d *drain) Packets(pkts []*packet.Buffer) { d.packets += len(pkts); packet.ReleaseBatch(pkts) }
func (d *drain) Event(layer.Event)             {}

// directPair returns a flow between two IPC processes of one node.
func directPair(tb testing.TB) (ipcp.Flow, *drain) {
	i := node(tb, new(fakeNet), nil)
	m, err := i.newMember(ipcp.Unicast, "a")
	if err == nil {
		err = i.addMember(m)
	}
	if err != nil {
		tb.Fatal(err)
	}
	id, err := i.CreateIPCP(ipcp.Unicast, "b")
	if err == nil {
		err = i.BindIPCP(id, "b")
	}
	if err != nil {
		tb.Fatal(err)
	}
	other, err := i.member(id)
	if err != nil {
		tb.Fatal(err)
	}
	got := make(chan ipcp.Flow, 1)
	go func() {
		f, _ := below{other.proc}.Accept(context.Background())
		got <- f
	}()
	f, err := below{m.proc}.Allocate(tb.Context(), "b", qos.Raw)
	if err != nil {
		tb.Fatal(err)
	}
	d := new(drain)
	g := <-got
	g.Receive(d)
	f.Receive(new(drain))
	tb.Cleanup(func() { f.Close(); g.Close() })
	return f, d
}

func TestBelowAllocatesNothing(t *testing.T) {
	f, _ := directPair(t)
	var batch [64]*packet.Buffer
	if n := testing.AllocsPerRun(100, func() {
		packet.GetBatch(batch[:], 1000)
		for _, b := range batch {
			b.SetLen(1000)
		}
		f.Send(batch[:])
	}); n != 0 {
		t.Errorf("%v allocations per batch", n)
	}
}

func BenchmarkBelow(b *testing.B) {
	f, d := directPair(b)
	b.ReportAllocs()
	var batch [64]*packet.Buffer
	for b.Loop() {
		packet.GetBatch(batch[:], 1000)
		for _, p := range batch {
			p.SetLen(1000)
		}
		f.Send(batch[:])
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(d.packets), "ns/packet")
}
