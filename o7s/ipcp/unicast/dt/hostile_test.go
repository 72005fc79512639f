// SPDX-License-Identifier: BSD-3-Clause

package dt

import (
	"bytes"
	"encoding/binary"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"o7gw/o7s/ipcp/unicast/ca"
	"o7gw/o7s/ipcp/unicast/pff"
	"o7gw/o7s/packet"
	"o7gw/o7s/qos"
)

// Whatever a neighbour sends, every packet ends in exactly one place, and what
// is forwarded differs from what came in TTL and mark only.
func FuzzReceive(f *testing.F) {
	for _, p := range [][]byte{
		pdu(Header{Dst: right, TTL: 60, EID: user}, "hello"),
		pdu(Header{Dst: self, TTL: 0, Cube: 255, EID: 0}, ""),
		pdu(Header{Dst: self, EID: 63, ECN: 1}, "x"),
		pdu(Header{Dst: left, TTL: 1, EID: 1<<64 - 1}, "x"),
	} {
		f.Add(append(p, p...), uint8(len(p)))
		f.Add(p[:14], uint8(3))
		f.Add(append(p, make([]byte, 150)...), uint8(0))
	}
	f.Fuzz(func(t *testing.T, b []byte, size uint8) {
		n := newNode(t)
		n.left.queued, n.left.mtu, n.right.mtu = 160, 200, 100
		b = b[:min(len(b), 4096)]
		var in [][]byte
		for cut := int(size); ; b = b[cut:] {
			if cut == 0 || len(b) <= cut || len(in) == 300 {
				in = append(in, b)
				break
			}
			in = append(in, b[:cut])
		}
		n.left.come(in...)
		var toLeft, toRight [][]byte
		empty, short, long := uint64(0), uint64(0), uint64(0)
		for _, p := range in {
			h, ok := Format(4).Parse(p)
			switch {
			case len(p) == 0:
				empty++
			case !ok:
				short++
			case h.TTL > 1 && (h.Dst == left || h.Dst == right):
				q := bytes.Clone(p)
				q[5]--
				switch {
				case h.Dst == left && len(q) <= 200:
					q[6] |= 10
					toLeft = append(toLeft, q)
				case h.Dst == right && len(q) <= 100:
					toRight = append(toRight, q)
				default:
					long++
				}
			}
		}
		if !slices.EqualFunc(n.left.sent, toLeft, bytes.Equal) || !slices.EqualFunc(n.right.sent, toRight, bytes.Equal) {
			t.Errorf("to the left % x, want % x; to the right % x, want % x", n.left.sent, toLeft, n.right.sent, toRight)
		}
		s := n.toLeft.Stats()
		if got := s.TooLong + n.toRight.Stats().TooLong; got != long {
			t.Errorf("%d packets too long, want %d", got, long)
		}
		for _, r := range n.runs {
			if r.eid > 1 && r.eid < Components {
				t.Errorf("delivered to EID %d", r.eid)
			}
		}
		ends := uint64(len(toLeft)+len(toRight)) + long + n.delivered + s.UnknownEID + total(s.TTL) + total(s.NoNextHop)
		if got := total(s.Received); got != ends || got+short+empty != uint64(len(in)) || s.Malformed != short {
			t.Errorf("%d packets: %d received of which %d ended, %d malformed, %d too short, %d empty",
				len(in), got, ends, s.Malformed, short, empty)
		}
	})
}

func total(c [qos.Cubes]Count) (n uint64) {
	for _, c := range c {
		n += c.Packets
	}
	return n
}

// tagged makes a packet that says whose it is, and its number.
func tagged(h Header, from, seq uint32) []byte {
	b := pdu(h, "")
	b = binary.LittleEndian.AppendUint32(b, from)
	return binary.LittleEndian.AppendUint32(b, seq)
}

// orderly checks that the packets of each source come in order. It is a port and
// Flows.
type orderly struct {
	hole
	t    *testing.T
	mu   sync.Mutex
	next [8]uint32
	n    atomic.Int64
}

func (o *orderly) Send(pkts []*packet.Buffer) { o.look(pkts, 15) }

func (o *orderly) Deliver(_ uint64, _ uint8, pkts []*packet.Buffer) { o.look(pkts, 0) }

func (o *orderly) look(pkts []*packet.Buffer, head int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, b := range pkts {
		p := b.Bytes()[head:]
		from, seq := binary.LittleEndian.Uint32(p), binary.LittleEndian.Uint32(p[4:])
		if seq < o.next[from] {
			o.t.Errorf("packet %d of %d after %d", seq, from, o.next[from])
		}
		o.next[from] = seq + 1
	}
	o.n.Add(int64(len(pkts)))
	packet.ReleaseBatch(pkts)
}

// Neighbours receive at the same time, others send, while routes change and
// neighbours come and go.
func TestConcurrent(t *testing.T) {
	const sources, batches, batch = 4, 300, 32
	d := New(Config{Self: self, AddrSize: 4, MaxTTL: 60, Mark: ca.MBECN, Policy: pff.Multipath})
	out, here := &orderly{t: t}, &orderly{t: t}
	d.Component(0, func(pkts []*packet.Buffer) { here.look(pkts, 0) })
	d.SetFlows(here)
	to := d.Add(right, out, qos.Raw, nil)
	both := []pff.Route[*Neighbour]{{Dst: right, Hops: []*Neighbour{to}}, {Dst: left, Hops: []*Neighbour{to}}}
	d.Table().Set(both)
	var wg sync.WaitGroup
	for from := range uint32(sources) {
		p := &hole{}
		d.Add(uint64(from), p, qos.Raw, nil)
		wg.Go(func() {
			seq := uint32(0)
			for range batches {
				var pkts [][]byte
				for range batch {
					h := Header{Dst: right, TTL: 9, EID: uint64(from)}
					switch seq % 3 {
					case 0:
						h.Dst, h.EID = self, user+uint64(from)
					case 1:
						h.Dst = left
					}
					pkts = append(pkts, tagged(h, from, seq))
					seq++
				}
				p.receiver.Packets(buffers(pkts...))
			}
		})
		wg.Go(func() {
			for seq := range uint32(batches) {
				// Own packets have numbers of their own.
				if err := d.Send(right, 1, buffers(tagged(Header{}, from+sources, seq)[15:])); err != nil {
					t.Error(err)
				}
			}
		})
	}
	stop := make(chan struct{})
	var changer sync.WaitGroup
	changer.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			d.Table().Set(both[:1+i%2])
			p := &hole{}
			n := d.Add(uint64(i), p, qos.Raw, nil)
			p.receiver.Packets(buffers([]byte("x")))
			d.MTU()
			for _, name := range d.RIB().Names() {
				d.RIB().Entry(name)
			}
			d.Details().Entry("table")
			d.Remove(n)
		}
	})
	wg.Wait()
	close(stop)
	changer.Wait()
	if got, want := here.n.Load(), int64(sources*batches*batch/3); got != want {
		t.Errorf("%d packets delivered, want %d", got, want)
	}
	s := to.Stats()
	if got := uint64(out.n.Load()); got != total(s.Sent) || got < sources*batches*batch/3 {
		t.Errorf("%d packets sent, counted %d", got, total(s.Sent))
	}
	equal(t, "local", total(s.LocalSent), sources*batches)
}
