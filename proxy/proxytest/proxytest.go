// SPDX-License-Identifier: BSD-3-Clause

// Package proxytest makes what tests of sessions stand on: nodes joined over
// the loopback interface.
//
// Start with Pair.
package proxytest

import (
	"context"
	"fmt"
	"net/netip"
	"sync/atomic"
	"testing"

	"o7gw/o7s"
	"o7gw/o7s/ipcp"
	"o7gw/o7s/node"
	"o7gw/proxy"
)

// Stack is the stack of a node, as package proxy wants it.
type Stack struct{ *o7s.Stack }

// Listen takes the flows to a name.
func (s Stack) Listen(ctx context.Context, name string) (proxy.Listener, error) {
	l, err := s.Stack.Listen(ctx, name)
	if err != nil {
		return nil, err
	}
	return l, nil
}

var pairs atomic.Uint32

// Pair returns the stacks of two nodes that are joined by a udp4 layer on the
// loopback interface; the second serves the names. Both end with the test.
func Pair(t testing.TB, names ...string) (client, server Stack) {
	t.Helper()
	// Addresses of their own, since the port is the same for all.
	n := pairs.Add(1)
	at := func(last byte) netip.Addr { return netip.AddrFrom4([4]byte{127, 77, byte(n), last}) }
	hosts := map[string][]netip.Addr{}
	for _, name := range names {
		hosts[name] = []netip.Addr{at(2)}
	}
	return start(t, at(1), hosts), start(t, at(2), nil)
}

func start(t testing.TB, own netip.Addr, hosts map[string][]netip.Addr) Stack {
	t.Helper()
	ctx := context.Background()
	n, err := node.New(ctx, node.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		n.Stack().Close()
		n.Close()
	})
	id, err := n.IRM().CreateIPCP(ipcp.UDP4, "udp")
	if err == nil {
		err = n.IRM().Bootstrap(ctx, id, ipcp.Config{Type: ipcp.UDP4, Layer: "net", UDP: ipcp.UDPConfig{Addr: own, Hosts: hosts}})
	}
	if err != nil {
		t.Fatal(fmt.Errorf("node at %v: %w", own, err))
	}
	return Stack{n.Stack()}
}
