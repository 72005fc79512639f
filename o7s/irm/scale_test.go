// SPDX-License-Identifier: BSD-3-Clause

package irm

import (
	"context"
	"math/rand/v2"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"o7gw/o7s/ipcp"
	"o7gw/o7s/qos"
)

// Flows cost memory, not goroutines, and ids are reused from below.
func TestTenThousandFlows(t *testing.T) {
	const n = 10000
	net := new(fakeNet)
	a, b := node(t, net, nil), node(t, net, nil)
	inLayer(t, a, ipcp.UDP4, "net")
	inLayer(t, b, ipcp.UDP4, "net")
	s := attach(t, b, 0, "server")
	flows := serve(t, s, "svc")
	c := attach(t, a, 5, "client")
	var mine []*Flow
	goroutines := runtime.NumGoroutine()
	for range n {
		f, err := c.Alloc(t.Context(), "svc", qos.Raw)
		if err != nil {
			t.Fatal(err)
		}
		mine = append(mine, f)
		<-flows
	}
	if g := runtime.NumGoroutine(); g > goroutines+10 {
		t.Errorf("%d goroutines, %d before", g, goroutines)
	}
	if l := a.ListIPCPs(); l[0].Flows != n || len(b.ListFlows()) != n {
		t.Errorf("%d and %d flows", l[0].Flows, len(b.ListFlows()))
	}
	for _, k := range []int{4711, 17, 42} {
		mine[k-1].Dealloc()
	}
	for _, want := range []int{17, 42, 4711, n + 1} {
		f, err := c.Alloc(t.Context(), "svc", qos.Raw)
		if err != nil {
			t.Fatal(err)
		}
		if f.ID() != want {
			t.Errorf("id %d, want %d", f.ID(), want)
		}
		<-flows
	}
	c.Close()
	s.Close()
	if len(a.ListFlows()) != 0 || len(b.ListFlows()) != 0 {
		t.Errorf("%d and %d flows left", len(a.ListFlows()), len(b.ListFlows()))
	}
}

// Everything at once, in random order: nothing hangs, nothing is left, and
// no acceptor gets two flows (the answerer would panic).
func TestCommotion(t *testing.T) {
	net := new(fakeNet)
	a, b := node(t, net, nil), node(t, net, nil)
	inLayer(t, a, ipcp.UDP4, "net")
	inLayer(t, b, ipcp.UDP4, "net")
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	names := []string{"x", "y", "z"}
	var wg sync.WaitGroup
	for k := range 16 {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(seed, uint64(k)))
			for range 60 {
				i := []*IRM{a, b}[r.IntN(2)]
				p := attach(t, i, 0, "p")
				var calls sync.WaitGroup
				for range r.IntN(6) {
					name, pause := names[r.IntN(len(names))], time.Duration(r.IntN(3000))*time.Microsecond
					kind := r.IntN(5)
					calls.Go(func() {
						ctx, cancel := context.WithTimeout(context.Background(), pause)
						defer cancel()
						commotion(ctx, p, kind, name)
					})
				}
				if r.IntN(2) == 0 {
					calls.Wait()
				}
				p.Close()
				calls.Wait()
			}
		})
	}
	wg.Wait()
	for _, i := range []*IRM{a, b} {
		if l := i.ListNames(); len(l) != 0 {
			t.Errorf("names left: %+v", l)
		}
		settle(t, "no request is left", func() bool {
			i.mu.Lock()
			defer i.mu.Unlock()
			return i.ipcps[0].pending == 0
		})
	}
	for _, m := range net.members {
		if len(m.registered) != 0 {
			t.Errorf("registrations left: %v", m.registered)
		}
	}
}

// commotion is one of the things that a process may do to a name.
func commotion(ctx context.Context, p *Process, kind int, name string) {
	switch kind {
	case 0, 1:
		if f, err := p.Alloc(ctx, name, qos.Raw); err == nil {
			f.Dealloc()
		}
	case 2, 3:
		stop, err := p.Listen(ctx, name)
		if err != nil {
			return
		}
		defer stop()
		if f, err := p.Accept(ctx, name); err == nil {
			runtime.Gosched()
			f.Dealloc()
		}
	case 4:
		p.Bind(name)
		p.Accept(ctx, "")
		p.irm.DestroyName(name)
	}
}

func BenchmarkAlloc(b *testing.B) {
	for _, where := range []string{"direct", "layer"} {
		b.Run(where, func(b *testing.B) {
			net := new(fakeNet)
			client, server := node(b, net, nil), node(b, net, nil)
			inLayer(b, client, ipcp.UDP4, "net")
			inLayer(b, server, ipcp.UDP4, "net")
			if where == "direct" {
				server = client
			}
			flows := serve(b, attach(b, server, 0, "server"), "svc")
			c := attach(b, client, 5, "client")
			b.ReportAllocs()
			for b.Loop() {
				f, err := c.Alloc(context.Background(), "svc", qos.Raw)
				if err != nil {
					b.Fatal(err)
				}
				f.Dealloc()
				(<-flows).Dealloc()
			}
		})
	}
}

// BenchmarkAllocRing makes flows between external processes.
func BenchmarkAllocRing(b *testing.B) {
	i := node(b, new(fakeNet), nil)
	var ps []*Process
	for k := range 2 {
		p, err := i.Attach(ProcInfo{PID: 100 + k, Program: strconv.Itoa(k), Creds: Creds{Admin: true}, External: true})
		if err != nil {
			b.Fatal(err)
		}
		ps = append(ps, p)
	}
	flows := serve(b, ps[0], "svc")
	var took []time.Duration
	b.ReportAllocs()
	for b.Loop() {
		began := time.Now()
		f, err := ps[1].Alloc(context.Background(), "svc", qos.Raw)
		if err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(began))
		f.Dealloc()
		(<-flows).Dealloc()
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "median-µs")
}
