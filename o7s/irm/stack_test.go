// SPDX-License-Identifier: BSD-3-Clause

package irm

import (
	"context"
	"errors"
	"testing"
	"time"

	"o7gw/o7s/ipcp"
	"o7gw/o7s/layer"
	"o7gw/o7s/qos"
)

// TestNoCircle: a layer does not carry itself, in either direction.
func TestNoCircle(t *testing.T) {
	n := new(fakeNet)
	a, b := node(t, n, nil), node(t, n, nil)
	id1, u1 := upper(t, a, "u1")
	id2, u2 := upper(t, a, "u2")
	joinLayer(t, a, id1, "one")
	joinLayer(t, a, id2, "two")
	inB, _ := upper(t, b, "v1")
	joinLayer(t, b, inB, "one")
	inB2, _ := upper(t, b, "v2")
	joinLayer(t, b, inB2, "two")
	far := serve(t, attach(t, b, 0, "far"), "far")
	bind(t, a, id1, "u1")
	bind(t, a, id2, "u2")

	alloc := func(f *fakeIPCP, name string) (ipcp.Flow, error) {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		g, err := f.env.Below.Allocate(ctx, name, qos.Raw)
		if err == nil {
			(<-far).Dealloc()
		}
		return g, err
	}
	f, err := alloc(u2, "far") // through u1; now u2 stands on it
	if err != nil {
		t.Fatal(err)
	}
	if l := a.ListFlows(); len(l) != 1 || l[0].User != id2 || l[0].IPCP != id1 {
		t.Fatalf("flows %+v", l)
	}
	before := u1.queries + u2.queries
	if _, err := alloc(u1, "far"); !errors.Is(err, layer.ErrIPCP) {
		t.Errorf("own layer, or one that stands on it: %v", err)
	}
	if u1.queries+u2.queries != before {
		t.Error("own layer, or one that stands on it, was asked")
	}

	// The same for requests that come in.
	client := attach(t, b, 0, "client")
	refusal := func(name string, inB int) error {
		m, err := b.member(inB)
		if err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		_, err = client.allocThrough(t.Context(), m, layer.MD5.Sum(name), name, qos.Raw, nil)
		if time.Since(begin) > acceptWait/2 {
			t.Errorf("%s: answered after %v", name, time.Since(begin))
		}
		return err
	}
	waits := accepted(t, u1)
	settle(t, "u1 accepts", func() bool { return waiting(a, "u1") == 1 })
	if err := refusal("u1", inB); !errors.Is(err, layer.ErrIPCP) {
		t.Errorf("through its own layer: %v", err)
	}
	if err := refusal("u1", inB2); !errors.Is(err, layer.ErrIPCP) {
		t.Errorf("through a layer that stands on it: %v", err)
	}
	// The other way round is how layers are built.
	gets := accepted(t, u2)
	settle(t, "u2 accepts", func() bool { return waiting(a, "u2") == 1 })
	if err := refusal("u2", inB); err != nil {
		t.Errorf("through the layer below: %v", err)
	}
	(<-gets).Close()
	f.Close()
	if err := refusal("u1", inB2); err != nil {
		t.Errorf("through a layer that stands on it no more: %v", err)
	}
	(<-waits).Close()
	client.Close()
}

// TestOtherMemberOfItsLayer: two members of one layer on one node do not carry
// each other.
func TestOtherMemberOfItsLayer(t *testing.T) {
	i := node(t, new(fakeNet), nil)
	id1, u1 := upper(t, i, "u1")
	id2, u2 := upper(t, i, "u2")
	joinLayer(t, i, id1, "one")
	joinLayer(t, i, id2, "one")
	if _, err := u1.env.Below.Allocate(t.Context(), "x", qos.Raw); !errors.Is(err, layer.ErrIPCP) || u2.queries != 0 {
		t.Errorf("%v after %d queries", err, u2.queries)
	}
}

// TestEndsTopDown: what stands on others is closed before them.
func TestEndsTopDown(t *testing.T) {
	n := new(fakeNet)
	i, b := New(Options{Factory: n.factory}), node(t, n, nil)
	inLayer(t, i, ipcp.UDP4, "shim")
	inLayer(t, b, ipcp.UDP4, "shim")
	id1, u1 := upper(t, i, "u1")
	_, u2 := upper(t, i, "u2")
	inB, _ := upper(t, b, "v1")
	joinLayer(t, b, inB, "one")
	far := serve(t, attach(t, b, 0, "far"), "far")
	first, err := u1.env.Below.Allocate(t.Context(), "far", qos.Raw) // over the shim
	if err != nil {
		t.Fatal(err)
	}
	joinLayer(t, i, id1, "one")
	second, err := u2.env.Below.Allocate(t.Context(), "far", qos.Raw) // over u1: unicast comes first
	if err != nil {
		t.Fatal(err)
	}
	var order []string
	for _, m := range i.topDown() {
		order = append(order, m.name)
	}
	if len(order) != 3 || order[0] != "u2" || order[1] != "u1" || order[2] != "shim-udp4" {
		t.Errorf("order %v", order)
	}
	if err := i.Close(context.Background()); err != nil {
		t.Error(err)
	}
	if l := i.ListFlows(); len(l) != 0 {
		t.Errorf("flows left: %+v", l)
	}
	first.Close()
	second.Close()
	(<-far).Dealloc()
	(<-far).Dealloc()
}
