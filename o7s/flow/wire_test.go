// SPDX-License-Identifier: BSD-3-Clause

package flow

import (
	"container/heap"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"o7gw/o7s/crypt"
	"o7gw/o7s/layer"
	"o7gw/o7s/packet"
	"o7gw/o7s/qos"
)

// path is what happens to packets on their way in one direction.
type path struct {
	shim               bool          // nothing beneath avoids congestion
	delay, jitter      time.Duration // jitter reorders
	loss, dup, corrupt float64
	burst              float64       // probability that a burst of losses begins
	darkFrom, darkFor  time.Duration // nothing gets through; since the beginning
	closeSooner        bool          // word of Close overtakes packets
}

// wire is one end of a flow through a bad network.
type wire struct {
	path
	peer *wire
	in   layer.Inbox
	wake chan struct{}
	born time.Time
	done sync.WaitGroup

	mu     sync.Mutex
	rng    *rand.Rand
	sent   trips
	count  int
	until  time.Time // end of a burst of losses
	closed bool
	lost   int
}

const wireMTU = 1400

// trip is a packet under way, or an event.
type trip struct {
	at    time.Time
	seq   int
	pkt   *packet.Buffer
	event layer.Event
}

type trips []trip

func (q trips) Len() int { return len(q) }
func (q trips) Less(i, j int) bool {
	return q[i].at.Before(q[j].at) || q[i].at.Equal(q[j].at) && q[i].seq < q[j].seq
}
func (q trips) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *trips) Push(x any)   { *q = append(*q, x.(trip)) }
func (q *trips) Pop() any {
	old := *q
	x := old[len(old)-1]
	*q = old[:len(old)-1]
	return x
}

// wires returns both ends. Both must be closed for their goroutines to end.
func wires(t *testing.T, ab, ba path, seed uint64) (a, b *wire) {
	t.Logf("seed %d", seed)
	end := func(p path, n uint64) *wire {
		return &wire{path: p, wake: make(chan struct{}, 1), born: time.Now(), rng: rand.New(rand.NewPCG(seed, n))}
	}
	a, b = end(ab, 1), end(ba, 2)
	a.peer, b.peer = b, a
	a.done.Go(a.carry)
	b.done.Go(b.carry)
	return a, b
}

func (w *wire) MTU() int                 { return wireMTU }
func (w *wire) Receive(r layer.Receiver) { w.in.Receive(r) }

func (w *wire) Send(pkts []*packet.Buffer) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, p := range pkts {
		if w.closed || w.loses() {
			w.lost++
			p.Release()
			continue
		}
		if w.rng.Float64() < w.dup {
			w.put(trip{pkt: buffer(p.Bytes())})
		}
		if w.rng.Float64() < w.corrupt && p.Len() > 0 {
			p.Bytes()[w.rng.IntN(p.Len())] ^= 1 << w.rng.IntN(8)
		}
		w.put(trip{pkt: p})
	}
	w.kick()
}

func (w *wire) loses() bool {
	if age := time.Since(w.born); age >= w.darkFrom && age < w.darkFrom+w.darkFor {
		return true
	}
	if time.Now().Before(w.until) {
		return true
	}
	if w.rng.Float64() < w.burst {
		w.until = time.Now().Add(time.Duration(w.rng.Int64N(int64(300 * time.Millisecond))))
	}
	return w.rng.Float64() < w.loss
}

func (w *wire) put(x trip) {
	w.count++
	x.seq = w.count
	x.at = time.Now().Add(w.delay)
	if w.jitter > 0 && x.event == 0 {
		x.at = x.at.Add(time.Duration(w.rng.Int64N(int64(w.jitter))))
	} else if !w.closeSooner {
		x.at = x.at.Add(w.jitter)
	}
	heap.Push(&w.sent, x)
}

func (w *wire) kick() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// tell sends an event to the other end, in order with the packets.
func (w *wire) tell(e layer.Event) {
	w.mu.Lock()
	w.put(trip{event: e})
	w.mu.Unlock()
	w.kick()
}

func (w *wire) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return nil
	}
	w.closed = true
	w.put(trip{event: layer.Closed})
	w.in.Close()
	w.kick()
	return nil
}

// carry brings packets to the other end in time, until ours is closed.
func (w *wire) carry() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		w.mu.Lock()
		if w.closed && len(w.sent) == 0 {
			w.mu.Unlock()
			return
		}
		next := time.Hour
		for len(w.sent) > 0 {
			if next = time.Until(w.sent[0].at); next > 0 {
				break
			}
			x := heap.Pop(&w.sent).(trip)
			w.mu.Unlock()
			if x.event != 0 {
				w.peer.in.Notify(x.event)
			} else {
				w.peer.in.Deliver([]*packet.Buffer{x.pkt})
			}
			w.mu.Lock()
			next = time.Hour
		}
		done := w.closed && len(w.sent) == 0
		w.mu.Unlock()
		if done {
			return
		}
		timer.Reset(next)
		select {
		case <-timer.C:
		case <-w.wake:
		}
	}
}

// mode is which functions a flow has.
type mode struct {
	name   string
	qs     qos.Spec
	caps   layer.Caps
	cipher uint16
}

const ours = layer.CapFRCP | layer.CapSequenced

var modes = []mode{
	{"data", qos.Data, ours, 0},
	{"data encrypted", qos.Data, ours, crypt.AES256GCM},
	{"data prototype", qos.Data, 0, 0},
	{"data prototype encrypted", qos.Data, 0, crypt.ChaCha20Poly1305},
}

// over returns a flow over wires, each end with a Host. Every call has an end
// after an hour, so that a broken test fails. The returned function closes all.
func over(t *testing.T, m mode, ab, ba path) (a, b *Flow, wa, wb *wire, done func()) {
	t.Helper()
	wa, wb = wires(t, ab, ba, rand.Uint64())
	ha, hb := NewHost(), NewHost()
	var flows [2]*Flow
	for i, h := range []*Host{ha, hb} {
		at := &Attachment{Name: "test", QoS: m.qs, MPL: time.Second, Port: []*wire{wa, wb}[i]}
		at.Terms = Terms{Server: i == 1, PeerCaps: m.caps, Cipher: m.cipher, Shim: ab.shim}
		if m.cipher != 0 {
			at.Key = []byte("0123456789abcdef0123456789abcdef")
		}
		f, err := New(at, h)
		if err != nil {
			t.Fatal(err)
		}
		f.SetReadDeadline(time.Now().Add(time.Hour))
		f.SetWriteDeadline(time.Now().Add(time.Hour))
		flows[i] = f
	}
	return flows[0], flows[1], wa, wb, func() {
		for _, f := range flows {
			f.SetLinger(0)
			f.Close()
		}
		ha.Close()
		hb.Close()
		wa.done.Wait()
		wb.done.Wait()
	}
}

// pattern returns the bytes of a stream from an offset on.
func pattern(seed byte, off, n int) []byte {
	p := make([]byte, n)
	for i := range p {
		x := uint32(off+i)*2654435761 + uint32(seed)
		p[i] = byte(x>>24 ^ x>>11)
	}
	return p
}
