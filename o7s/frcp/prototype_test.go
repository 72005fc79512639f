// SPDX-License-Identifier: BSD-3-Clause

package frcp

import (
	"math/rand/v2"
	"time"

	"o7gw/o7s/packet"
)

// prototype is a model of the C prototype's FRCT, from spec 30 §3.3 to §3.11 with
// its defects: it believes any FC and ACK, opens the run by any packet, restarts at a random number
// after 131 s without data, retransmits each packet by a timer of its own.
type prototype struct {
	reliable bool
	asks     bool // non-blocking writer: sends RDVS; a blocking one never does (FR-5)
	rng      *rand.Rand
	now      time.Duration

	next, una, rwe       uint32
	last                 time.Duration // of data sent
	everSent             bool
	rnext, rrwe, racked  uint32
	rlast                time.Duration
	everHeard            bool
	ring                 [256]*packet.Buffer
	queue                []*packet.Buffer // ordered only: to be read
	srtt, mdev, rto      time.Duration
	probe                uint32
	probing, probedOnce  bool
	probeAt              time.Duration
	acksDue              []time.Duration
	timers               []protoTimer
	open                 bool
	wndAt, rdvAt         time.Duration
	out                  []*packet.Buffer
	down                 bool
	discarded, delivered int
	restarts             int
}

type protoTimer struct {
	seq        uint32
	first, due time.Duration
	bytes      []byte
}

const (
	protoTick   = 5 * time.Millisecond
	protoLimit  = 131 // whole seconds: both inactivity limits at MPL 100 ms
	protoWindow = 256
)

func newPrototype(seed uint64, reliable bool) *prototype {
	return &prototype{reliable: reliable, asks: true, rng: rand.New(rand.NewPCG(seed, 3)), rwe: startWindow, mdev: 10 * time.Millisecond, rto: time.Second}
}

func wholeSeconds(now, since time.Duration) int { return int(now/time.Second - since/time.Second) }

func (p *prototype) Err() error {
	if p.down {
		return ErrTimeout
	}
	return nil
}

// Room is a look at the window before a write.
func (p *prototype) Room() int {
	if p.down {
		return 0
	}
	if before(p.next, p.rwe) {
		return int(p.rwe - p.next)
	}
	if p.open || p.wndAt == 0 {
		p.open, p.wndAt, p.rdvAt = false, p.now, p.now
	}
	return 0
}

func (p *prototype) header(h Header, payload []byte) *packet.Buffer {
	b := packet.Get(HeaderLen + len(payload))
	var raw [HeaderLen]byte
	h.Put(raw[:])
	b.Append(raw[:])
	b.Append(payload)
	return b
}

func (p *prototype) emit(b *packet.Buffer) { p.out = append(p.out, b) }

func (p *prototype) Send(now time.Duration, pkts []*packet.Buffer) int {
	p.timersRun(now)
	for i, b := range pkts {
		if i > 0 && p.Room() == 0 {
			return i
		}
		h := Header{Flags: DATA}
		if p.next == p.una {
			h.Flags |= DRF
		}
		if !p.everSent || wholeSeconds(now, p.last) > protoLimit {
			if p.everSent {
				p.restarts++
			}
			p.next = p.rng.Uint32()
			p.una, p.rwe = p.next, p.next+startWindow
			p.everSent = true
		}
		h.Seq = p.next
		if p.everHeard && wholeSeconds(now, p.rlast) < protoLimit {
			h.Flags |= FC
			h.Window = p.rrwe & 0xffffff
		}
		if !p.reliable {
			p.una++
		} else {
			if !p.probing {
				p.probing, p.probe, p.probeAt = true, p.next, now
			}
			if p.everHeard && wholeSeconds(now, p.rlast) <= 10 {
				h.Flags |= ACK
				h.Ack = p.rnext
				p.racked = p.rnext
			}
		}
		p.next++
		p.last = now
		q := p.header(h, b.Bytes())
		if p.reliable {
			p.timers = append(p.timers, protoTimer{h.Seq, now, now + p.rto, append([]byte(nil), q.Bytes()...)})
		}
		p.emit(q)
		b.Release()
	}
	return len(pkts)
}

func (p *prototype) Receive(now time.Duration, pkts []*packet.Buffer) {
	p.now = now
	for _, b := range pkts {
		p.receive(now, b)
	}
}

func (p *prototype) receive(now time.Duration, b *packet.Buffer) {
	h, n, err := ParseHeader(b.Bytes())
	if err != nil {
		b.Release()
		return
	}
	discard := func() {
		p.discarded++
		b.Release()
		p.attempt(now)
	}
	if !p.everHeard || wholeSeconds(now, p.rlast) > protoLimit {
		if h.Flags&DRF != 0 {
			p.rnext, p.racked, p.rrwe = h.Seq, h.Seq, h.Seq+protoWindow
		} else if h.Flags&DATA != 0 {
			discard()
			return
		}
	}
	p.everHeard, p.rlast = true, now
	if h.Flags&RDVS != 0 {
		p.emit(p.header(Header{Flags: FC, Window: p.rrwe & 0xffffff}, nil))
		b.Release()
		return
	}
	if h.Flags&ACK != 0 {
		if before(p.una, h.Ack) {
			p.una = h.Ack
		}
		if p.probing && before(p.probe, h.Ack) {
			p.probing = false
			p.sample(now - p.probeAt)
		}
	}
	if h.Flags&FC != 0 {
		e := h.Window | p.rwe&0xff000000
		if before(e, p.rwe) && p.rwe-e > 1<<23-1 {
			e += 1 << 24
		}
		p.rwe, p.open = e, true
	}
	if h.Flags&DATA == 0 {
		discard()
		return
	}
	if before(h.Seq, p.rnext) {
		p.racked = h.Seq
		discard()
		return
	}
	place := &p.ring[h.Seq%256]
	if p.reliable {
		if !before(h.Seq, p.rrwe) || !before(h.Seq, p.rnext+256) || *place != nil {
			discard()
			return
		}
		p.acksDue = append(p.acksDue, now+10*time.Millisecond)
	} else {
		// Its reader takes packets from the flow one by one, so that each is
		// delivered before the next is looked at.
		p.rnext = h.Seq + 1
		p.rrwe++
		b.TrimFront(n)
		p.queue = append(p.queue, b)
		return
	}
	b.TrimFront(n)
	*place = b
}

// attempt sends an acknowledgement unless there is a reason not to (§3.7).
func (p *prototype) attempt(now time.Duration) {
	if !before(p.racked, p.rnext) || now-p.rlast > ackLimit || now-p.last < protoTick && p.everSent {
		return
	}
	p.emit(p.header(Header{Flags: ACK | FC, Window: p.rrwe & 0xffffff, Ack: p.rnext}, nil))
	p.racked = p.rnext
}

func (p *prototype) sample(m time.Duration) {
	r := rtt{known: p.probedOnce, srtt: p.srtt, mdev: p.mdev}
	r.sample(0, m)
	p.probedOnce, p.srtt, p.mdev = true, r.srtt, r.mdev
	p.rto = max(250*time.Microsecond, r.srtt+r.mdev<<2)
}

func (p *prototype) Readable() int {
	if !p.reliable {
		return len(p.queue)
	}
	n := 0
	for n < 256 && p.ring[(p.rnext+uint32(n))%256] != nil {
		n++
	}
	return n
}

func (p *prototype) Read(now time.Duration, dst []*packet.Buffer) int {
	if !p.reliable {
		n := copy(dst, p.queue)
		p.queue = p.queue[n:]
		p.delivered += n
		return n
	}
	n := 0
	for n < len(dst) && p.ring[p.rnext%256] != nil {
		dst[n] = p.ring[p.rnext%256]
		p.ring[p.rnext%256] = nil
		p.rnext++
		p.rrwe++
		n++
	}
	p.delivered += n
	return n
}

// Tick is the timer thread, every 5 ms.
func (p *prototype) Tick(now time.Duration) { p.timersRun(now) }

func (p *prototype) timersRun(now time.Duration) {
	p.now = now
	for len(p.acksDue) > 0 && p.acksDue[0] <= now {
		p.acksDue = p.acksDue[1:]
		p.attempt(now)
	}
	keep := p.timers[:0]
	for _, t := range p.timers {
		switch {
		case before(t.seq, p.una):
			continue
		case t.due > now:
		case now-t.first > retransmitLimit:
			p.down = true
			continue
		default:
			if p.probing && t.seq == p.probe {
				p.rto *= 2
				p.probing = false
			}
			t.due = now + p.rto
			h, _, _ := ParseHeader(t.bytes)
			h.Ack = p.rnext
			h.Put(t.bytes)
			b := packet.Get(len(t.bytes))
			b.Append(t.bytes)
			p.emit(b)
		}
		keep = append(keep, t)
	}
	p.timers = keep
	if p.asks && !p.open && p.wndAt > 0 && !before(p.next, p.rwe) && now-p.rdvAt > rendezvousEvery && now-p.wndAt < time.Second {
		p.emit(p.header(Header{Flags: RDVS}, nil))
		p.rdvAt = now
	}
}

func (p *prototype) Deadline() (time.Duration, bool) {
	if len(p.acksDue) == 0 && len(p.timers) == 0 && (!p.asks || p.wndAt == 0) {
		return 0, false
	}
	return (p.now/protoTick + 1) * protoTick, true
}

func (p *prototype) Drain(now time.Duration, dst []*packet.Buffer) int {
	n := copy(dst, p.out)
	p.out = append(p.out[:0], p.out[n:]...)
	return n
}
