// SPDX-License-Identifier: BSD-3-Clause

package segment

import (
	"encoding/binary"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"testing"

	"o7gw/gateway/tunnel"
	"o7gw/o7s/layer"
	"o7gw/o7s/packet"
)

// fakeFlow is one end of a flow in memory. What is written waits for deliver,
// since the receivers of two ends must not call each other.
type fakeFlow struct {
	mtu int
	to  []*port // what the other end is, or several for a broadcast layer

	mu      sync.Mutex
	written []*packet.Buffer
	total   int
	closed  bool
}

var _ tunnel.Flow = (*fakeFlow)(nil)

func (f *fakeFlow) WriteBatch(pkts []*packet.Buffer) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.total += len(pkts)
	if f.closed {
		packet.ReleaseBatch(slices.Clone(pkts))
		return errors.New("closed")
	}
	for _, b := range pkts {
		if b.Len() > f.mtu {
			panic("packet above the MTU")
		}
	}
	f.written = append(f.written, pkts...)
	return nil
}

func (f *fakeFlow) Receive(layer.Receiver) {}
func (f *fakeFlow) MTU() int               { return f.mtu }
func (f *fakeFlow) ID() int                { return 7 }
func (f *fakeFlow) Close() error           { return nil }

// take returns and forgets what was written.
func (f *fakeFlow) take() []*packet.Buffer {
	f.mu.Lock()
	defer f.mu.Unlock()
	w := f.written
	f.written = nil
	return w
}

// machine is a segment whose interface is the test.
type machine struct {
	*Segment
	mu  sync.Mutex
	got [][]byte // frames for the interface
}

func (m *machine) write(frames []*packet.Buffer) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, b := range frames {
		m.got = append(m.got, slices.Clone(b.Bytes()))
	}
	packet.ReleaseBatch(frames)
	return 0
}

// take returns and forgets what the interface got.
func (m *machine) take() [][]byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	g := m.got
	m.got = nil
	return g
}

// newMachine makes a segment without a device, whose interface has the address
// ee:00:00:00:00:NN.
func newMachine(t testing.TB, n byte, cfg Config) *machine {
	t.Helper()
	m := &machine{Segment: New(cfg, nil, slog.New(slog.DiscardHandler))}
	m.sink = func() sink { return m }
	m.mac.Store(0xee<<40 | uint64(n))
	m.local = newPort(m.Segment, local, nil, "")
	m.view.Store(m.newView())
	return m
}

// say gives frames to the switch as the kernel does.
func (m *machine) say(frames ...[]byte) {
	var b []*packet.Buffer
	for _, f := range frames {
		p := packet.Get(len(f))
		p.Append(f)
		b = append(b, p)
	}
	m.local.lane.fromTAP(b)
}

// attach adds a flow to a segment.
func attach(t testing.TB, m *machine, k kind, mtu int) (*port, *fakeFlow) {
	t.Helper()
	f := &fakeFlow{mtu: mtu}
	p := newPort(m.Segment, k, f, "test")
	if !m.add(p) {
		t.Fatal("no room")
	}
	return p, f
}

// join connects two segments by a flow.
func join(t testing.TB, a, b *machine, mtu int) (pa, pb *port) {
	t.Helper()
	pa, fa := attach(t, a, connected, mtu)
	pb, fb := attach(t, b, accepted, mtu)
	fa.to, fb.to = []*port{pb}, []*port{pa}
	return pa, pb
}

// deliver carries what was written over all flows until there is nothing more,
// and returns how many packets that were. It gives up after limit.
func deliver(t testing.TB, limit int, machines ...*machine) int {
	t.Helper()
	n := 0
	for {
		quiet := true
		for _, m := range machines {
			for _, p := range m.ports {
				f := p.flow.(*fakeFlow)
				pkts := f.take()
				for i, to := range f.to {
					batch := pkts
					if i < len(f.to)-1 {
						batch = nil
						for _, b := range pkts {
							batch = append(batch, b.Clone())
						}
					}
					n += len(batch)
					if len(batch) > 0 {
						quiet = false
						to.Packets(batch)
					}
				}
			}
		}
		if quiet {
			return n
		}
		if n > limit {
			t.Fatalf("%d packets and no end: a storm", n)
		}
	}
}

var everybody = [6]byte{255, 255, 255, 255, 255, 255}

// host returns the address of host n.
func host(n int) (mac [6]byte) {
	binary.BigEndian.PutUint32(mac[2:], uint32(n))
	mac[0] = 2
	return mac
}

// frame makes a frame of size bytes with a sequence number in it.
func frame(dst, src [6]byte, size int, mark byte) []byte {
	f := make([]byte, max(size, etherLen+1))
	copy(f, dst[:])
	copy(f[6:], src[:])
	f[12], f[13] = 0x88, 0xB5 // for experiments
	for i := etherLen; i < len(f); i++ {
		f[i] = mark + byte(i)
	}
	return f
}

// tagged returns the frame with a VLAN tag.
func tagged(f []byte, vlan int) []byte {
	return slices.Insert(slices.Clone(f), 12, 0x81, 0, byte(vlan>>8), byte(vlan))
}
