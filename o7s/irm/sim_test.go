// SPDX-License-Identifier: BSD-3-Clause

package irm

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"o7gw/o7s/bubble"
	"o7gw/o7s/ipcp"
	"o7gw/o7s/ipcp/sim"
	"o7gw/o7s/layer"
	"o7gw/o7s/qos"
)

// simNode is a node with an IPC process on each of some simulated links.
func simNode(t *testing.T, n *fakeNet, links ...*sim.Link) *IRM {
	t.Helper()
	return simNodeWith(t, n, Options{}, links...)
}

func simNodeWith(t *testing.T, n *fakeNet, o Options, links ...*sim.Link) *IRM {
	t.Helper()
	next := 0
	o.Factory = func(typ ipcp.Type, env ipcp.Env) (ipcp.IPCP, error) {
		if typ != ipcp.EthDIX {
			return n.factory(typ, env)
		}
		next++
		return links[next-1].NewIPCP(typ, env), nil
	}
	i := New(o)
	for k := range links {
		id, err := i.CreateIPCP(ipcp.EthDIX, "eth"+string(rune('0'+k)))
		if err != nil {
			t.Fatal(err)
		}
		if err := i.Bootstrap(t.Context(), id, ipcp.Config{Type: ipcp.EthDIX, Layer: "lan", Hash: layer.SHA3_256}); err != nil {
			t.Fatal(err)
		}
	}
	return i
}

// registerAll registers a name with all shims of a node.
func registerAll(t *testing.T, i *IRM, name string) {
	t.Helper()
	for _, p := range i.ListIPCPs() {
		if p.Type == ipcp.EthDIX {
			if err := i.Register(t.Context(), name, p.ID); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestOverSimulatedLink: IPC processes of two nodes with a lossy link between
// them, in fake time: a flow is made, lives while it is idle, and its end is
// noticed when the link is cut.
func TestOverSimulatedLink(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		world := sim.NewNetwork(7)
		defer world.Close()
		l := world.NewLink(sim.Params{Delay: 5 * time.Millisecond, Loss: 0.05, Reorder: 0.05, Late: 20 * time.Millisecond})
		n := new(fakeNet)
		a, b := simNode(t, n, l), simNode(t, n, l)
		_, ua := upper(t, a, "ua")
		id, ub := upper(t, b, "ub")
		bind(t, b, id, "core")
		registerAll(t, b, "core")

		const flows = 100
		got := make(chan ipcp.Flow, 2*flows)
		ctx, cancel := context.WithCancel(context.Background())
		go func() {
			for {
				f, err := ub.env.Below.Accept(ctx)
				if err != nil {
					return
				}
				got <- f
			}
		}()
		var all []ipcp.Flow
		for range flows { // of which some lose a request or an answer
			f, err := ua.env.Below.Allocate(t.Context(), "core", qos.Raw)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, f)
		}
		var ra, rb []*tape
		for _, f := range all {
			r := new(tape)
			f.Receive(r)
			f.SetLiveness(500*time.Millisecond, 2500*time.Millisecond)
			ra = append(ra, r)
		}
		accepted := len(got) // more than flows, if an answer got lost
		for range accepted {
			f, r := <-got, new(tape)
			f.Receive(r)
			f.SetLiveness(500*time.Millisecond, 2500*time.Millisecond)
			all, rb = append(all, f), append(rb, r)
		}
		if accepted < flows {
			t.Errorf("%d flows accepted", accepted)
		}
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		dead := 0
		for _, r := range ra {
			if r.String() != "" {
				dead++
			}
		}
		// Two keepalives in a row get lost now and then, but not five.
		if dead > 0 {
			t.Errorf("%d of %d idle flows died", dead, flows)
		}

		l.Set(sim.Params{Loss: 1})
		time.Sleep(2900 * time.Millisecond)
		synctest.Wait()
		for _, r := range slices.Concat(ra, rb) {
			if r.String() != "<closed> " {
				t.Errorf("after the end of the link: %q", r)
			}
		}
		begin := time.Now()
		call, stop := context.WithTimeout(t.Context(), 10*time.Second)
		if _, err := ua.env.Below.Allocate(call, "core", qos.Raw); err == nil || time.Since(begin) > 10*time.Second {
			t.Errorf("allocated over a dead link: %v after %v", err, time.Since(begin))
		}
		stop()
		for _, f := range all {
			f.Close()
		}
		cancel()
		for _, i := range []*IRM{a, b} {
			if err := i.Close(context.Background()); err != nil {
				t.Error(err)
			}
			if l := i.ListFlows(); len(l) != 0 {
				t.Errorf("flows left: %+v", l)
			}
		}
	})
}

// TestNextLinkWhenOneIsSilent: the second layer of a node takes over while in the
// first nobody answers.
func TestNextLinkWhenOneIsSilent(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		world := sim.NewNetwork(8)
		defer world.Close()
		first, second := world.NewLink(sim.Params{Delay: time.Millisecond}), world.NewLink(sim.Params{Delay: time.Millisecond})
		n := new(fakeNet)
		a, b := simNode(t, n, first, second), simNode(t, n, first, second)
		server, client := attach(t, b, 0, "server"), attach(t, a, 0, "client")
		if _, err := server.Listen(t.Context(), "svc"); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		go func() {
			for {
				if _, err := server.Accept(ctx, "svc"); err != nil {
					return
				}
			}
		}()
		f, err := client.Alloc(t.Context(), "svc", qos.Raw)
		if err != nil || f.m.name != "eth0" {
			t.Fatalf("%v through %+v", err, f)
		}
		f.Dealloc()
		first.Set(sim.Params{Loss: 1}) // the directory still knows the name there
		if f, err = client.Alloc(t.Context(), "svc", qos.Raw); err != nil || f.m.name != "eth1" {
			t.Fatalf("%v through %+v", err, f)
		}
		f.Dealloc()
		second.Set(sim.Params{Loss: 1})
		if _, err = client.Alloc(t.Context(), "svc", qos.Raw); !errors.Is(err, layer.ErrTimedOut) {
			t.Errorf("nobody anywhere: %v", err)
		}
		cancel()
		for _, i := range []*IRM{a, b} {
			if err := i.Close(context.Background()); err != nil {
				t.Error(err)
			}
		}
	})
}

// TestServiceMoved: a directory that remembers where a service was does not
// make the first flow to where it is fail.
func TestServiceMoved(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		world := sim.NewNetwork(9)
		defer world.Close()
		l := world.NewLink(sim.Params{Delay: time.Millisecond})
		n := new(fakeNet)
		a, b, c := simNode(t, n, l), simNode(t, n, l), simNode(t, n, l)
		client := attach(t, a, 0, "client")
		for _, i := range []*IRM{b, c} {
			server := attach(t, i, 0, "server")
			if _, err := server.Listen(t.Context(), "svc"); err != nil {
				t.Fatal(err)
			}
			go func() {
				for {
					if _, err := server.Accept(context.Background(), "svc"); err != nil {
						return
					}
				}
			}()
			begin := time.Now()
			f, err := client.Alloc(t.Context(), "svc", qos.Raw)
			if err != nil || time.Since(begin) > queryTimeout {
				t.Fatalf("%v after %v", err, time.Since(begin))
			}
			f.Dealloc()
			server.Close()
		}
		if _, err := client.Alloc(t.Context(), "svc", qos.Raw); !errors.Is(err, layer.ErrIPCP) {
			t.Errorf("nobody serves it: %v", err)
		}
		for _, i := range []*IRM{a, b, c} {
			if err := i.Close(context.Background()); err != nil {
				t.Error(err)
			}
		}
	})
}
