// SPDX-License-Identifier: BSD-3-Clause

package eth

import (
	"errors"
	"net"
	"slices"
	"testing"
	"time"

	"o7gw/o7s/ipcp"
	"o7gw/o7s/layer"
	"o7gw/o7s/qos"
)

// events waits until the events are those.
func (s *sink) saw(t *testing.T, want ...layer.Event) {
	t.Helper()
	s.wait(t, "events", func() bool { return len(s.events) >= len(want) })
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.Equal(s.events, want) {
		t.Fatalf("events %v, want %v", s.events, want)
	}
}

// The peer's device goes away and comes back, then the own one: flows see it,
// and work again afterwards.
func TestCarrier(t *testing.T) {
	w := newWire(t, 1500)
	client, server, ports := w.pair(t, ipcp.EthDIX, layer.CapTeardown)
	a, b := connect(t, client, server, ports, qos.Raw)
	sa, sb := newSink(a), newSink(b)
	w.set(t, 1, "v", false) // no carrier on side 0
	sa.saw(t, layer.Down)
	sb.saw(t, layer.Down)
	a.Send(buffers([]byte("lost")))
	if err := client.Query(within(t, 5*time.Second), layer.SHA3_256.Sum("other")); !errors.Is(err, layer.ErrNoName) {
		t.Errorf("query without a carrier: %v", err)
	}
	if _, _, err := client.Allocate(within(t, 5*time.Second), op, qos.Raw, nil); !errors.Is(err, layer.ErrFlowDown) {
		t.Errorf("allocation without a carrier: %v", err)
	}
	w.set(t, 1, "v", true)
	sa.saw(t, layer.Down, layer.Up)
	sb.saw(t, layer.Down, layer.Up)
	a.Send(buffers([]byte("again")))
	if got := sb.packets(t, 1); string(got[0]) != "again" {
		t.Errorf("got %q", got)
	}
	w.set(t, 0, "v", false)
	sa.saw(t, layer.Down, layer.Up, layer.Down)
	a.Send(buffers([]byte("refused by the kernel"), []byte("and again")))
	if s := client.Stats(); s.DropSendFail != 2 || s.LinkChanges != 3 {
		t.Errorf("%+v", s)
	}
	w.set(t, 0, "v", true)
	sa.saw(t, layer.Down, layer.Up, layer.Down, layer.Up)
	b.Send(buffers([]byte("back")))
	if got := sa.packets(t, 1); string(got[0]) != "back" {
		t.Errorf("got %q", got)
	}
}

// A layer may begin before its device is up.
func TestBeginsDown(t *testing.T) {
	w := newWire(t, 1500)
	w.set(t, 1, "v", false)
	client, err := w.try(t, 0, ipcp.EthDIX, noUpper)
	must(t, err)
	if client.linked.Load() {
		t.Error("the device has a carrier")
	}
	w.set(t, 1, "v", true)
	u, ports := acceptor(layer.CapTeardown)
	exchange(t, client, w.start(t, 1, ipcp.EthDIX, u), ports)
}

// A flow that comes into being while the device is down says so.
func TestFlowWhileDown(t *testing.T) {
	w := newWire(t, 1500)
	requests := make(chan *layer.Request, 1)
	server := w.start(t, 1, ipcp.EthDIX, &upper{func(r *layer.Request) { requests <- r }})
	must(t, server.Register(t.Context(), op))
	c := w.dial(t, 0, dix, server)
	c.send(request{eid: 64, qos: qos.Raw, dst: op})
	r := <-requests
	w.set(t, 0, "v", false)
	eventually(t, "loss of the carrier", func() bool { return !server.linked.Load() })
	p, err := r.Accept(nil)
	must(t, err)
	newSink(p).saw(t, layer.Down)
}

// The device gets another address: old flows end, new ones work. Then the
// device is removed.
func TestDeviceChanges(t *testing.T) {
	w := newWire(t, 1500)
	client, server, ports := w.pair(t, ipcp.EthDIX, layer.CapTeardown)
	a, b := connect(t, client, server, ports, qos.Raw)
	a.(layer.PeerAware).SetPeerCaps(layer.CapTeardown)
	sa, sb := newSink(a), newSink(b)
	l, err := w.side[0].LinkByName("v")
	must(t, err)
	must(t, w.side[0].LinkSetHardwareAddr(l, net.HardwareAddr{2, 0, 0, 0, 0, 9}))
	sa.closed(t)
	sb.closed(t)
	exchange(t, client, server, ports)
	a, _ = connect(t, client, server, ports, qos.Raw)
	sa = newSink(a)
	must(t, w.side[0].LinkDel(l))
	sa.saw(t, layer.Down)
	a.Send(buffers([]byte("nowhere")))
	if err := client.Close(); err != nil {
		t.Error(err)
	}
	sa.closed(t)
}
