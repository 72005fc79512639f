// SPDX-License-Identifier: BSD-3-Clause

package tunnel

import (
	"context"
	"encoding/binary"
	"errors"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"o7gw/gateway/ip"
	"o7gw/gateway/tun"
	"o7gw/o7s/layer"
	"o7gw/o7s/packet"
	"o7gw/o7s/qos"
)

// fakeFlow is one end of a flow in memory: what is written runs the receiver
// of the other end.
type fakeFlow struct {
	id   int
	mtu  int
	peer *fakeFlow
	lose func(b []byte) bool // on the way out

	mu     sync.Mutex
	r      layer.Receiver
	kept   []*packet.Buffer
	closed bool
}

func flowPair(mtu int) (*fakeFlow, *fakeFlow) {
	a, b := &fakeFlow{id: 1, mtu: mtu}, &fakeFlow{id: 2, mtu: mtu}
	a.peer, b.peer = b, a
	return a, b
}

func (f *fakeFlow) WriteBatch(pkts []*packet.Buffer) error {
	if f.lose != nil {
		pkts = slices.DeleteFunc(slices.Clone(pkts), func(b *packet.Buffer) bool { return f.lose(b.Bytes()) })
	}
	o := f.peer
	o.mu.Lock()
	if o.closed {
		o.mu.Unlock()
		packet.ReleaseBatch(slices.Clone(pkts))
		return errors.New("closed")
	}
	if o.r == nil {
		o.kept = append(o.kept, pkts...)
		o.mu.Unlock()
		return nil
	}
	r := o.r
	o.mu.Unlock()
	r.Packets(pkts)
	return nil
}

func (f *fakeFlow) Receive(r layer.Receiver) {
	f.mu.Lock()
	f.r = r
	kept := f.kept
	f.kept = nil
	f.mu.Unlock()
	if len(kept) > 0 {
		r.Packets(kept)
	}
}

func (f *fakeFlow) MTU() int { return f.mtu }
func (f *fakeFlow) ID() int  { return f.id }

func (f *fakeFlow) Close() error {
	f.mu.Lock()
	was := f.closed
	f.closed = true
	f.mu.Unlock()
	if was {
		return nil
	}
	f.peer.mu.Lock()
	r := f.peer.r
	f.peer.mu.Unlock()
	if r != nil {
		r.Event(layer.Closed)
	}
	return nil
}

// fakeDevice is an interface whose kernel is the test.
type fakeDevice struct {
	from   chan []byte // packets of the kernel
	done   chan struct{}
	once   sync.Once
	queued []byte

	mu     sync.Mutex
	to     [][]byte // packets for the kernel
	routes map[netip.Prefix]bool
	mtu    int
}

func newFakeDevice() *fakeDevice {
	return &fakeDevice{from: make(chan []byte, 64), done: make(chan struct{}), routes: map[netip.Prefix]bool{}}
}

func (d *fakeDevice) Name() string { return "fake0" }
func (d *fakeDevice) Room() int    { return 9000 }
func (d *fakeDevice) Ready() bool  { return false }

func (d *fakeDevice) Wait(uint64) error {
	select {
	case <-d.done:
		return tun.ErrClosed
	case d.queued = <-d.from:
		return nil
	}
}

func (d *fakeDevice) Read(bufs []*packet.Buffer) (int, error) {
	bufs[0].Append(d.queued)
	return 1, nil
}

func (d *fakeDevice) NewWriter() Sink                 { return &fakeSink{d: d} }
func (d *fakeDevice) SetAddrs(a []netip.Prefix) error { return nil }
func (d *fakeDevice) Close() error                    { d.once.Do(func() { close(d.done) }); return nil }
func (d *fakeDevice) SetMTU(mtu, perPacket int) error {
	d.mu.Lock()
	d.mtu = mtu
	d.mu.Unlock()
	return nil
}
func (d *fakeDevice) AddRoute(p netip.Prefix) error {
	d.mu.Lock()
	d.routes[p] = true
	d.mu.Unlock()
	return nil
}
func (d *fakeDevice) DelRoute(p netip.Prefix) error {
	d.mu.Lock()
	delete(d.routes, p)
	d.mu.Unlock()
	return nil
}

// take returns and forgets what was written to the kernel.
func (d *fakeDevice) take() [][]byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	got := d.to
	d.to = nil
	return got
}

type fakeSink struct{ d *fakeDevice }

func (s *fakeSink) Write(pkts []*packet.Buffer) {
	s.d.mu.Lock()
	for _, b := range pkts {
		s.d.to = append(s.d.to, slices.Clone(b.Bytes()))
	}
	s.d.mu.Unlock()
	packet.ReleaseBatch(pkts)
}

func (s *fakeSink) Stats() tun.WriterStats { return tun.WriterStats{} }

// fakeNet joins tunnels by name.
type fakeNet struct {
	mtu int

	mu    sync.Mutex
	names map[string]*fakeListener
	dials []time.Time
	asked qos.Spec // by the last
	fail  error
	lose  func(b []byte) bool
	last  *fakeFlow // client end of the last flow
}

func newFakeNet(mtu int) *fakeNet { return &fakeNet{mtu: mtu, names: map[string]*fakeListener{}} }

type fakeListener struct{ ch chan *fakeFlow }

func (n *fakeNet) Listen(_ context.Context, name string) (Listener, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	l := &fakeListener{make(chan *fakeFlow, 64)}
	n.names[name] = l
	return l, nil
}

func (l *fakeListener) AcceptFlow(ctx context.Context) (Flow, error) {
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case f := <-l.ch:
		return f, nil
	}
}

func (l *fakeListener) Close() error { return nil }

func (n *fakeNet) Dial(_ context.Context, name string, qs qos.Spec) (Flow, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.dials = append(n.dials, time.Now())
	n.asked = qs
	l := n.names[name]
	if n.fail != nil || l == nil {
		return nil, errors.Join(n.fail, layer.ErrNoName)
	}
	a, b := flowPair(n.mtu)
	a.lose, b.lose = n.lose, n.lose
	n.last = a
	l.ch <- b
	return a, nil
}

// start starts a tunnel on a fake device.
func start(t testing.TB, n Network, cfg Config) (*Tunnel, *fakeDevice) {
	t.Helper()
	d := newFakeDevice()
	tn := New(cfg, n, slog.New(slog.DiscardHandler))
	tn.open = func(string, int) (Device, error) { return d, nil }
	if err := tn.Start(context.Background()); err != nil {
		t.Fatal(err)
	}
	return tn, d
}

func pfx(list ...string) []netip.Prefix {
	var out []netip.Prefix
	for _, s := range list {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

// datagram makes a UDP packet of total bytes.
func datagram(src, dst string, total int, df bool) []byte {
	s, d := netip.MustParseAddr(src), netip.MustParseAddr(dst)
	p := make([]byte, total)
	n := ip.IPv4Len
	if s.Is6() {
		n = ip.IPv6Len
		p[0], p[6], p[7] = 0x60, ip.UDP, 64
		binary.BigEndian.PutUint16(p[4:], uint16(total-n))
		copy(p[8:], s.AsSlice())
		copy(p[24:], d.AsSlice())
	} else {
		p[0], p[8], p[9] = 0x45, 64, ip.UDP
		if df {
			p[6] = 0x40
		}
		binary.BigEndian.PutUint16(p[2:], uint16(total))
		copy(p[12:], s.AsSlice())
		copy(p[16:], d.AsSlice())
		binary.BigEndian.PutUint16(p[10:], ^ip.Fold(ip.Sum(p[:n], 0)))
	}
	binary.BigEndian.PutUint16(p[n+4:], uint16(total-n))
	return p
}

// collector keeps what a flow receives.
type collector struct {
	got [][]byte
}

func (c *collector) Packets(pkts []*packet.Buffer) {
	for _, b := range pkts {
		c.got = append(c.got, slices.Clone(b.Bytes()))
	}
	packet.ReleaseBatch(pkts)
}

func (c *collector) Event(layer.Event) {}

// dropper is a receiver and a sink that releases everything.
type dropper struct{}

func (dropper) Packets(pkts []*packet.Buffer) { packet.ReleaseBatch(pkts) }
func (dropper) Event(layer.Event)             {}
func (dropper) Write(pkts []*packet.Buffer)   { packet.ReleaseBatch(pkts) }
func (dropper) Stats() tun.WriterStats        { return tun.WriterStats{} }

func write(f Flow, raw []byte) {
	b := packet.Get(len(raw))
	b.Append(raw)
	f.WriteBatch([]*packet.Buffer{b})
}
