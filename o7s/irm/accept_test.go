// SPDX-License-Identifier: BSD-3-Clause

package irm

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"o7gw/o7s/bubble"
	"o7gw/o7s/ipcp"
	"o7gw/o7s/layer"
	"o7gw/o7s/qos"
)

// queueUp starts an accept call and returns when it waits.
func queueUp(t *testing.T, p *Process, name string, got chan<- *Process, wg *sync.WaitGroup) {
	t.Helper()
	p.irm.mu.Lock()
	before := len(p.waiters)
	p.irm.mu.Unlock()
	wg.Go(func() {
		f, err := p.Accept(context.Background(), name)
		if err != nil {
			t.Errorf("accept: %v", err)
			return
		}
		f.Dealloc()
		got <- p
	})
	settle(t, "accept waits", func() bool {
		p.irm.mu.Lock()
		defer p.irm.mu.Unlock()
		return len(p.waiters) > before
	})
}

func TestPolicies(t *testing.T) {
	for _, policy := range []Policy{RoundRobin, Spillover} {
		t.Run(policy.String(), func(t *testing.T) {
			i := node(t, new(fakeNet), nil)
			if err := i.CreateName(NameInfo{Name: "svc", Policy: policy}); err != nil {
				t.Fatal(err)
			}
			client := attach(t, i, 5, "client")
			a, b := attach(t, i, 0, "a"), attach(t, i, 0, "b")
			for _, p := range []*Process{a, b} {
				// Two names: a flow for one takes the wait away from both.
				for _, n := range []string{"svc", "other"} {
					if err := i.BindProcess(p.info.PID, n); err != nil {
						t.Fatal(err)
					}
				}
			}
			got := make(chan *Process, 4)
			var wg sync.WaitGroup
			// b stands in the list twice: one entry per accept call.
			for _, p := range []*Process{a, b, b} {
				queueUp(t, p, "", got, &wg)
			}
			want := []*Process{a, b, b}
			if policy == Spillover {
				want = []*Process{b, b, a}
			}
			next := func(name string) *Process {
				f, err := client.Alloc(t.Context(), name, qos.Raw)
				if err != nil {
					t.Fatal(err)
				}
				f.Dealloc()
				return <-got
			}
			for k, w := range want {
				if p := next("svc"); p != w {
					t.Fatalf("flow %d went to %s", k, p.info.Program)
				}
				if n, o := waiting(i, "svc"), waiting(i, "other"); n != 2-k || o != 2-k {
					t.Fatalf("%d and %d entries left", n, o)
				}
			}
			// Who comes back first is first only with spillover.
			queueUp(t, b, "", got, &wg)
			queueUp(t, a, "", got, &wg)
			first := next("svc")
			if (policy == RoundRobin) != (first == b) {
				t.Errorf("flow went to %s", first.info.Program)
			}
			next("svc")
			wg.Wait()
		})
	}
}

func TestBindWhileWaiting(t *testing.T) {
	i := node(t, new(fakeNet), nil)
	s, c := attach(t, i, 0, "server"), attach(t, i, 5, "client")
	got := make(chan *Process, 4)
	var wg sync.WaitGroup
	queueUp(t, s, "", got, &wg)
	if err := i.BindProcess(s.info.PID, "late"); err != nil {
		t.Fatal(err)
	}
	f, err := c.Alloc(t.Context(), "late", qos.Raw)
	if err != nil {
		t.Fatal(err)
	}
	f.Dealloc()
	wg.Wait()

	// Unbinding ends an accept for this name, and no other.
	ended := make(chan error, 1)
	go func() {
		_, err := s.Accept(context.Background(), "late")
		ended <- err
	}()
	queueUp(t, s, "", got, &wg)
	settle(t, "both wait", func() bool { return waiting(i, "late") == 2 })
	if err := i.UnbindProcess(s.info.PID, "late"); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, layer.ErrNoName) {
		t.Errorf("accept of an unbound name: %v", err)
	}
	if n := waiting(i, "late"); n != 0 {
		t.Errorf("%d wait for an unbound name", n)
	}
	if err := i.BindProcess(s.info.PID, "late"); err != nil {
		t.Fatal(err)
	}
	f, err = c.Alloc(t.Context(), "late", qos.Raw)
	if err != nil {
		t.Fatal(err)
	}
	f.Dealloc()
	wg.Wait()
}

// No two requests get the same acceptor, and no acceptor gets two (spec 40
// §9.1, 8).
func TestOneAcceptorPerRequest(t *testing.T) {
	const n = 300
	net := new(fakeNet)
	i, peer := node(t, net, nil), node(t, net, nil)
	inLayer(t, i, ipcp.UDP4, "net")
	inLayer(t, peer, ipcp.UDP4, "net")
	s, c, r := attach(t, i, 0, "server"), attach(t, i, 5, "client"), attach(t, peer, 5, "remote")
	if err := s.Bind("svc"); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	ids := make(map[int]int)
	for range n {
		wg.Go(func() {
			f, err := s.Accept(context.Background(), "")
			if err != nil {
				t.Errorf("accept: %v", err)
				return
			}
			mu.Lock()
			ids[f.ID()]++
			mu.Unlock()
		})
	}
	for k := range n {
		wg.Go(func() {
			p := c
			if k%2 == 0 {
				p = r
			}
			if _, err := p.Alloc(context.Background(), "svc", qos.Raw); err != nil {
				t.Errorf("alloc: %v", err)
			}
		})
	}
	wg.Wait()
	if len(ids) != n {
		t.Errorf("%d flows for %d requests", len(ids), n)
	}
}

func TestClientDiesWhilePending(t *testing.T) {
	i := node(t, new(fakeNet), nil)
	s, c := attach(t, i, 0, "server"), attach(t, i, 5, "client")
	if err := s.Bind("svc"); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		_, err := c.Alloc(context.Background(), "svc", qos.Raw)
		ended <- err
	}()
	settle(t, "request waits", func() bool {
		i.mu.Lock()
		defer i.mu.Unlock()
		return i.names["svc"].pending.Len() == 1
	})
	c.Close()
	if err := <-ended; !errors.Is(err, ErrDetached) {
		t.Errorf("alloc: %v", err)
	}
	// The server does not get the flow of a dead client.
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if f, err := s.Accept(ctx, ""); !errors.Is(err, layer.ErrTimedOut) {
		t.Errorf("accept: %v, %v", f, err)
	}
}

// takeFor makes the process take the next request, without making the flow
// yet: the moment in which it dies in the tests below.
func takeFor(t *testing.T, p *Process) *request {
	t.Helper()
	r, err := p.nextRequest(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestServerDiesAfterTaking(t *testing.T) {
	net := new(fakeNet)
	i, peer := node(t, net, nil), node(t, net, nil)
	inLayer(t, i, ipcp.UDP4, "net")
	inLayer(t, peer, ipcp.UDP4, "net")
	for _, c := range []struct {
		title string
		p     *Process
	}{{"direct", attach(t, i, 5, "client")}, {"network", attach(t, peer, 5, "client")}} {
		t.Run(c.title, func(t *testing.T) {
			dying, heir := attach(t, i, 0, "dying"), attach(t, i, 0, "heir")
			defer heir.Close()
			for _, p := range []*Process{dying, heir} {
				if err := p.Bind("svc"); err != nil {
					t.Fatal(err)
				}
			}
			got := make(chan error, 1)
			go func() {
				f, err := c.p.Alloc(context.Background(), "svc", qos.Raw)
				if err == nil {
					f.Dealloc()
				}
				got <- err
			}()
			r := takeFor(t, dying)
			dying.Close()
			finish := dying.acceptDirect
			if r.m != nil {
				finish = dying.acceptNetwork
			}
			if f, err := finish(t.Context(), r); !errors.Is(err, ErrDetached) {
				t.Fatalf("flow of a dead process: %v, %v", f, err)
			}
			// The request is not lost.
			f, err := heir.Accept(t.Context(), "")
			if err != nil {
				t.Fatal(err)
			}
			f.Dealloc()
			if err := <-got; err != nil {
				t.Errorf("alloc: %v", err)
			}
		})
	}
}

func TestClientDiesAfterTaking(t *testing.T) {
	i := node(t, new(fakeNet), nil)
	s, c := attach(t, i, 0, "server"), attach(t, i, 5, "client")
	if err := s.Bind("svc"); err != nil {
		t.Fatal(err)
	}
	got := make(chan error, 1)
	go func() {
		_, err := c.Alloc(context.Background(), "svc", qos.Raw)
		got <- err
	}()
	r := takeFor(t, s)
	c.Close()
	if f, err := s.acceptDirect(t.Context(), r); !errors.Is(err, errGone) {
		t.Fatalf("flow to a dead process: %v, %v", f, err)
	}
	if err := <-got; !errors.Is(err, ErrDetached) {
		t.Errorf("alloc: %v", err)
	}
}

func TestBothDieAfterTaking(t *testing.T) {
	i := node(t, new(fakeNet), nil)
	s, c := attach(t, i, 0, "server"), attach(t, i, 5, "client")
	if err := s.Bind("svc"); err != nil {
		t.Fatal(err)
	}
	got := make(chan error, 1)
	go func() {
		_, err := c.Alloc(context.Background(), "svc", qos.Raw)
		got <- err
	}()
	r := takeFor(t, s)
	s.Close()
	c.Close()
	if _, err := s.acceptDirect(t.Context(), r); err == nil {
		t.Fatal("flow between dead processes")
	}
	if err := <-got; !errors.Is(err, ErrDetached) {
		t.Errorf("alloc: %v", err)
	}
}

func TestServerDiesWhileAnswering(t *testing.T) {
	net := new(fakeNet)
	a, b := node(t, net, nil), node(t, net, nil)
	inLayer(t, a, ipcp.UDP4, "net")
	_, fb := inLayer(t, b, ipcp.UDP4, "net")
	s, c := attach(t, b, 0, "server"), attach(t, a, 5, "client")
	if err := s.Bind("svc"); err != nil {
		t.Fatal(err)
	}
	got := make(chan *Flow, 1)
	go func() {
		f, err := c.Alloc(context.Background(), "svc", qos.Raw)
		if err != nil {
			t.Errorf("alloc: %v", err)
		}
		got <- f
	}()
	r := takeFor(t, s)
	r.answer = dieFirst{r.answer, s}
	if f, err := s.acceptNetwork(t.Context(), r); !errors.Is(err, ErrDetached) {
		t.Fatalf("flow of a dead process: %v, %v", f, err)
	}
	// The client learns of the death by the end of its flow.
	var end sink
	f := <-got
	f.Port().Receive(&end)
	settle(t, "client sees the end", end.closed)
	if !fb.accepts[0].closed.Load() {
		t.Error("port of the dead process is open")
	}
	f.Dealloc()
}

// dieFirst has a process die while the answer is sent.
type dieFirst struct {
	layer.Answerer
	p *Process
}

func (d dieFirst) Accept(data []byte) (layer.Port, error) {
	d.p.Close()
	return d.Answerer.Accept(data)
}

func TestDeathFreesEverything(t *testing.T) {
	net := new(fakeNet)
	a, b := node(t, net, nil), node(t, net, nil)
	inLayer(t, a, ipcp.UDP4, "net")
	_, fb := inLayer(t, b, ipcp.UDP4, "net")
	s := attach(t, b, 7, "server")
	flows := serve(t, s, "svc")
	c := attach(t, a, 5, "client")
	f, err := c.Alloc(t.Context(), "svc", qos.Raw)
	if err != nil {
		t.Fatal(err)
	}
	<-flows
	var end sink
	f.Port().Receive(&end)
	s.Close()
	s.Close()
	settle(t, "client sees the end", end.closed)
	if fb.has("svc") != 0 || len(b.ListNames()) != 0 || len(b.ListFlows()) != 0 || len(b.ListProcesses()) != 0 {
		t.Errorf("left: %v %v %v", b.ListNames(), b.ListFlows(), b.ListProcesses())
	}
	if _, err := c.Alloc(t.Context(), "svc", qos.Raw); !errors.Is(err, layer.ErrNoName) {
		t.Errorf("alloc to a dead server: %v", err)
	}
	if _, err := s.Alloc(t.Context(), "x", qos.Raw); !errors.Is(err, ErrDetached) {
		t.Errorf("alloc by a dead process: %v", err)
	}
	if _, err := s.Accept(t.Context(), ""); !errors.Is(err, ErrDetached) {
		t.Errorf("accept by a dead process: %v", err)
	}
	if _, err := s.Listen(t.Context(), "x"); !errors.Is(err, ErrDetached) {
		t.Errorf("listen by a dead process: %v", err)
	}
}

func TestPendingIsBounded(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		net := new(fakeNet)
		i := New(Options{Factory: net.factory})
		defer i.Close(context.Background())
		_, f := inLayer(t, i, ipcp.UDP4, "net")
		if err := i.CreateName(NameInfo{Name: "svc"}); err != nil {
			t.Fatal(err)
		}
		count := func() (busy, late int) {
			net.mu.Lock()
			defer net.mu.Unlock()
			for _, code := range net.refused {
				switch code {
				case ErrBusy:
					busy++
				case layer.ErrTimedOut:
					late++
				}
			}
			return
		}
		for range maxPending + 50 {
			f.env.Upper.FlowRequested(&layer.Request{
				Dst: layer.MD5.Sum("svc"), QoS: qos.Raw, Data: plainRequest(),
				Answerer: &fakeAnswer{net: net, to: f, ch: make(chan fakeResult, 1)},
			})
		}
		if busy, late := count(); busy != 50 || late != 0 {
			t.Errorf("%d refused at once, %d later", busy, late)
		}
		time.Sleep(acceptWait)
		synctest.Wait()
		if busy, late := count(); busy != 50 || late != maxPending {
			t.Errorf("%d refused at once, %d later", busy, late)
		}
		m, err := i.member(1)
		if err != nil || m.pending != 0 {
			t.Errorf("%d pending, %v", m.pending, err)
		}
	})
}
