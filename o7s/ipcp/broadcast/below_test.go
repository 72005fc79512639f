// SPDX-License-Identifier: BSD-3-Clause

package broadcast_test

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"o7gw/o7s/ipcp"
	"o7gw/o7s/ipcp/broadcast"
	"o7gw/o7s/layer"
	"o7gw/o7s/packet"
	"o7gw/o7s/qos"
	"o7gw/o7s/rib"
)

// below is the layers below one IPC process; the test plays whoever is at
// the other end of its flows.
type below struct {
	requests chan *flow // by the test
	asked    chan *flow // by the IPC process; the other end is peer
}

func newBelow() *below {
	return &below{requests: make(chan *flow, 16), asked: make(chan *flow, 16)}
}

var errNobody = errors.New("nobody has the name")

func (b *below) Allocate(_ context.Context, name string, qs qos.Spec) (ipcp.Flow, error) {
	if name == "nobody" {
		return nil, errNobody
	}
	f, peer := flowPair(name, qs)
	b.asked <- peer
	return f, nil
}

func (b *below) Accept(ctx context.Context) (ipcp.Flow, error) {
	select {
	case f := <-b.requests:
		return f, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// request opens a flow to the IPC process and returns the other end.
func (b *below) request(t *testing.T, qs qos.Spec) *peer {
	f, p := flowPair("", qs)
	b.requests <- f
	return played(t, p)
}

// flow is an end of a flow.
type flow struct {
	layer.Port
	name  string
	qs    qos.Spec
	other *flow

	mu       sync.Mutex
	liveness []time.Duration // as set last, nil: never
}

func flowPair(name string, qs qos.Spec) (near, far *flow) {
	a, b := layer.Pipe()
	near, far = &flow{Port: a, name: name, qs: qs}, &flow{Port: b, name: name, qs: qs}
	near.other, far.other = far, near
	return near, far
}

func (f *flow) Name() string  { return f.name }
func (f *flow) QoS() qos.Spec { return f.qs }
func (f *flow) SetLiveness(interval, timeout time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.liveness = []time.Duration{interval, timeout}
}

func (f *flow) lives() []time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.liveness
}

// peer is the test at the other end of a flow.
type peer struct {
	t      *testing.T
	flow   *flow
	got    chan []byte
	closed chan bool
}

func played(t *testing.T, f *flow) *peer {
	p := &peer{t: t, flow: f, got: make(chan []byte, 1024), closed: make(chan bool)}
	f.Receive(p)
	return p
}

func (p *peer) Packets(pkts []*packet.Buffer) {
	for _, b := range pkts {
		p.got <- append([]byte(nil), b.Bytes()...)
		b.Release()
	}
}

func (p *peer) Event(e layer.Event) {
	if e == layer.Closed {
		close(p.closed)
	}
}

func (p *peer) send(b []byte) {
	buf := packet.Get(len(b))
	buf.Append(b)
	p.flow.Send([]*packet.Buffer{buf})
}

// patience is how long tests wait for what must come.
const patience = 10 * time.Second

func (p *peer) next() []byte {
	p.t.Helper()
	select {
	case b := <-p.got:
		return b
	case <-time.After(patience):
		p.t.Fatal("nothing came")
		return nil
	}
}

func (p *peer) end() {
	p.t.Helper()
	select {
	case <-p.closed:
	case <-time.After(patience):
		p.t.Fatal("flow did not end")
	}
}

// asked returns the other end of the flow that the IPC process asks for.
func (b *below) next(t *testing.T) *peer {
	t.Helper()
	select {
	case f := <-b.asked:
		return played(t, f)
	case <-time.After(patience):
		t.Fatal("no flow was asked for")
		return nil
	}
}

// newIPCP returns an IPC process over b.
func newIPCP(t *testing.T, b *below) (*broadcast.IPCP, *rib.Tree) {
	t.Helper()
	tree := rib.New()
	p, err := broadcast.New(ipcp.Env{Name: "bc", Below: b, RIB: tree, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p, tree
}

// first returns the first member of a layer.
func first(t *testing.T, b *below, layerName string) (*broadcast.IPCP, *rib.Tree) {
	t.Helper()
	p, tree := newIPCP(t, b)
	if err := p.Bootstrap(t.Context(), ipcp.Config{Type: ipcp.Broadcast, Layer: layerName, Hash: layer.SHA3_384}); err != nil {
		t.Fatal(err)
	}
	return p, tree
}

// application joins.
func application(t *testing.T, p *broadcast.IPCP) *peer {
	t.Helper()
	info := p.Info()
	port, err := p.Join(t.Context(), info.Hash.Sum(info.Layer))
	if err != nil {
		t.Fatal(err)
	}
	return played(t, &flow{Port: port})
}
