// SPDX-License-Identifier: BSD-3-Clause

package flow

import (
	"crypto/rand"
	"encoding/binary"
	"sync"
	"sync/atomic"
	"time"

	"o7gw/o7s/frcp"
	"o7gw/o7s/layer"
	"o7gw/o7s/packet"
)

// frcpLower is a flow with FRCP (spec 30 §3), reliable or only in order, on
// top of another lower end. It drives the state machine of package frcp:
//
//	write ──▶ Endpoint ──▶ pump: guard.seal ──▶ outlet ──▶ ring or port
//	read  ◀── Endpoint ◀── Packets: guard.open ◀── ring or port, in push mode
//
// Whoever has changed the Endpoint (a writer, a reader, the goroutine that
// brings packets, the timer) pumps out what it then wants to send. One does so
// at a time; the others leave it to him.
type frcpLower struct {
	under    lower
	guard    *guard
	out      outlet
	reliable bool
	begin    time.Time // zero of the Endpoint's clock

	reading gate
	staged  [stage]*packet.Buffer // [at:end] were taken from the Endpoint; guarded by reading
	at, end int
	head    *packet.Buffer // read in part; guarded by reading
	writing gate
	closing gate // Close waits here for the peer's acknowledgements

	marks
	watcher
	sentPkts, sentBytes atomic.Uint64
	recvPkts, recvBytes atomic.Uint64
	unreadStaged        atomic.Int32

	mu       sync.Mutex // guards the fields below
	e        *frcp.Endpoint
	dead     bool // e was closed
	pumping  bool
	lendTo   *ringLower // copies packets under mu; nil: they are given away
	buf      [pumped]*packet.Buffer
	timer    *time.Timer
	armed    time.Duration // when the timer fires; 0: it does not
	waiting  bool          // a writer waits for room
	finished bool          // nothing more is written
	to       layer.Receiver
	pushing  bool // somebody is with the receiver
	ended    bool // the receiver was told of the end
	// discard: Close waits, and nobody reads any more.
	discard bool
}

const (
	// stage is how many packets a reader takes from the Endpoint at a time.
	stage = 32
	// pumped is how many packets go to the lower end at a time.
	pumped = 64
	// least is the room with which the Endpoint can do something: a packet and an
	// acknowledgement.
	least = 2
)

var (
	_ lower          = (*frcpLower)(nil)
	_ layer.Receiver = (*frcpLower)(nil)
)

// newFRCPLower puts FRCP onto a lower end. mtu is that of the lower end.
func newFRCPLower(a *Attachment, under lower, g *guard, mtu int, h *Host) (*frcpLower, error) {
	l := &frcpLower{
		under: under, guard: g, reliable: a.QoS.Reliable(), begin: time.Now(),
		reading: newGate(), writing: newGate(), closing: newGate(),
	}
	r, onRing := under.(*ringLower)
	if onRing && g == nil {
		l.lendTo = r
	}
	var initial [4]byte
	rand.Read(initial[:]) // never fails
	cfg := frcp.Config{
		Reliable: l.reliable, Extended: a.PeerCaps&layer.CapFRCP != 0,
		Initial: binary.BigEndian.Uint32(initial[:]), MPL: a.MPL, Lend: l.lendTo != nil,
		Budget: h.windows,
	}
	if a.Shim && l.reliable {
		cfg.Congestion = frcp.NewBBR(mtu)
	}
	l.e = frcp.New(cfg)
	l.timer = time.AfterFunc(time.Hour, l.tick)
	l.timer.Stop()
	if onRing {
		p, err := h.poller()
		if err != nil {
			return nil, err
		}
		l.reading.helps, l.writing.helps, l.closing.helps = p, p, p
		r.onRoom = l.hasRoom
		l.out = &ringOutlet{r: r, mtu: mtu}
	} else {
		p := under.(*portLower)
		l.out = &portOutlet{p: p, resume: func() { l.timer.Reset(0) }}
	}
	if err := under.push(l, h); err != nil {
		l.timer.Stop()
		return nil, err
	}
	return l, nil
}

// now is the Endpoint's clock. Under mu it never goes back.
func (l *frcpLower) now() time.Duration { return time.Since(l.begin) }

// pump sends what the Endpoint wants to send, as far as the lower end has room,
// then sets the timer and wakes writers. The caller holds mu, which is
// released meanwhile unless packets are lent.
func (l *frcpLower) pumpLocked(turn bool) {
	if l.pumping || l.dead {
		return
	}
	l.pumping = true
	for !l.dead {
		room := l.out.room(pumped)
		if room < least {
			break // hasRoom, or the timer, goes on
		}
		n := l.e.Drain(l.now(), l.buf[:room])
		if n == 0 {
			break
		}
		pkts := l.buf[:n]
		if l.lendTo != nil {
			l.lendTo.q.Copy(pkts)
			continue
		}
		l.mu.Unlock()
		l.guard.seal(pkts)
		l.out.send(pkts)
		l.mu.Lock()
	}
	l.pumping = false
	if l.dead {
		return
	}
	l.arm()
	if l.waiting && (l.e.Room() >= frcp.DefaultQueue/4 || l.e.Err() != nil) {
		l.waiting = false
		l.tell(&l.writing, turn)
	}
	if l.discard {
		l.tell(&l.closing, turn)
	}
}

// tell makes a waiting call look. In a turn of the Poller it looks by itself if
// it does that turn.
func (l *frcpLower) tell(g *gate, turn bool) {
	if turn {
		g.put()
	} else {
		g.kick()
	}
}

// arm makes the timer fire in time. A timer that fires too early does no harm.
func (l *frcpLower) arm() {
	at, set := l.e.Deadline()
	if !set || l.armed != 0 && l.armed <= at {
		return
	}
	l.armed = max(at, 1)
	l.timer.Reset(at - l.now())
}

// tick is the timer.
func (l *frcpLower) tick() {
	l.mu.Lock()
	if l.dead {
		l.mu.Unlock()
		return
	}
	l.armed = 0
	now := l.now()
	if at, set := l.e.Deadline(); set && at <= now {
		l.e.Tick(now)
	}
	l.pumpLocked(false)
	l.settle(false)
}

// hasRoom goes on after the lower end was full.
func (l *frcpLower) hasRoom() {
	l.mu.Lock()
	l.pumpLocked(true)
	l.mu.Unlock()
}

// Packets takes what the lower end has received.
func (l *frcpLower) Packets(pkts []*packet.Buffer) {
	pkts = l.guard.open(pkts)
	if len(pkts) == 0 {
		return
	}
	l.mu.Lock()
	if l.dead {
		l.mu.Unlock()
		packet.ReleaseBatch(pkts)
		return
	}
	l.e.Receive(l.now(), pkts)
	l.pumpLocked(true)
	l.settle(true)
}

// Event takes a change of the lower end.
func (l *frcpLower) Event(e layer.Event) {
	l.note(e)
	l.mu.Lock()
	to := l.to
	l.mu.Unlock()
	if to != nil && e != layer.Closed {
		to.Event(e)
	}
	l.changed()
	l.wakeReaders()
	l.wakeWriters()
	l.closing.kick()
	l.mu.Lock()
	l.settle(false)
}

// settle unlocks mu and tells whoever reads what the Endpoint has for him.
func (l *frcpLower) settle(turn bool) {
	if l.dead {
		l.mu.Unlock()
		return
	}
	switch {
	case l.discard:
		l.discardLocked()
	case l.to != nil:
		l.deliverLocked()
	case l.e.Readable() > 0 || l.e.EOF() || l.e.Err() != nil:
		l.tell(&l.reading, turn)
		l.mu.Unlock()
		l.changed()
		return
	}
	l.mu.Unlock()
}

func (l *frcpLower) setReadDeadline(t time.Time)  { l.reading.setDeadline(t) }
func (l *frcpLower) setWriteDeadline(t time.Time) { l.writing.setDeadline(t); l.closing.setDeadline(t) }
func (l *frcpLower) wakeReaders()                 { l.reading.kick() }
func (l *frcpLower) wakeWriters()                 { l.writing.kick() }

func (l *frcpLower) unread() bool {
	if l.unreadStaged.Load() > 0 {
		return true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.dead && l.e.Readable() > 0
}

func (l *frcpLower) peerClosed() bool {
	if l.isOver.Load() {
		return true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.dead && l.e.EOF()
}

func (l *frcpLower) setDown(down bool) error { return l.under.setDown(down) }
func (l *frcpLower) sent() uint64            { return l.under.sent() }
func (l *frcpLower) received() uint64        { return l.under.received() }

// keepalive is sent on a flow that has been quiet for a while.
func (l *frcpLower) keepalive() {
	l.under.keepalive()
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.dead && !l.pumping {
		l.e.Trim()
	}
}

func (l *frcpLower) stats() Stats {
	l.mu.Lock()
	e := l.e.Stats()
	l.mu.Unlock()
	return Stats{
		SentPackets: l.sentPkts.Load(), SentBytes: l.sentBytes.Load(),
		ReceivedPackets: l.recvPkts.Load(), ReceivedBytes: l.recvBytes.Load(),
		Dropped: l.under.stats().Dropped, FRCP: &e,
	}
}
