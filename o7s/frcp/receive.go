// SPDX-License-Identifier: BSD-3-Clause

package frcp

import (
	"time"

	"o7gw/o7s/packet"
)

// receiver is the state of the receiving direction (spec 30 §3.3):
//
//	read ≤ next ≤ edge = read + window
//	│      └ next number expected: all before it have come; the acknowledgement
//	└ next number that the user reads
type receiver struct {
	open     bool             // a run is open
	next     uint32           // next number expected
	window   uint32           // packets, a power of two
	unread   fifo             // in order
	slots    []*packet.Buffer // reliable: what came behind a gap, by number; nil: nothing yet
	apart    ranges           // numbers in slots
	held     int              // bytes in slots
	lastNew  time.Duration    // last packet that was not there before
	lastData time.Duration    // last packet of the run, copies included
	newestAt time.Duration    // arrival of the newest packet
	grown    uint32           // next when the window grew last
	longest  int              // payload of a packet so far, bytes
	granted  int64            // of the Budget, bytes
	early    []*packet.Buffer // what came before the run was open
	gapMoved bool             // in this batch a gap appeared or closed
	fresh    bool             // in this batch packets came that were not there before

	finSeen bool          // the end of data has arrived
	finSeq  uint32        // its number
	ended   bool          // and everything before it
	lingers time.Duration // until when a repeated end of data is acknowledged; never: not

	// What the peer knows of us (see report.go).
	due      bool          // a report is due now
	dueAt    time.Duration // or at this time
	asked    bool          // the peer asked for the window
	pending  int           // packets not yet acknowledged
	edgeSent uint32        // edge that the peer was told, or assumes
	told     bool          // it was told one
	updateAt time.Duration // when an update of the window is repeated
	repeats  int
	dups     uint16
	turn     int                  // which blocks come next
	recent   [recentPlaces]uint32 // numbers that came apart, the ends of runs
	recentAt int                  // the last of them
}

func (r *receiver) init(cfg *Config) {
	r.window = min(plainWindow, uint32(cfg.MaxWindow))
	r.dueAt, r.updateAt, r.lingers = never, never, never
}

// edge returns the first number that may not come.
func (r *receiver) edge() uint32 { return r.next - uint32(r.unread.count) + r.window }

// Receive takes packets that the layer below brought; it owns them from then on.
// Call Drain and Read afterwards.
func (e *Endpoint) Receive(now time.Duration, pkts []*packet.Buffer) {
	e.begin()
	for _, b := range pkts {
		e.receive(now, b)
	}
	if len(e.rcv.early) > 0 && e.rcv.open {
		early := e.rcv.early
		e.rcv.early = nil
		for _, b := range early {
			e.receive(now, b)
		}
	}
	e.settle(now)
	e.weighReport(now)
	e.end()
}

func (e *Endpoint) receive(now time.Duration, b *packet.Buffer) {
	h, n, err := ParseHeader(b.Bytes())
	if b.Len() > 0 && err != nil {
		e.stats.Malformed++ // W1
	} else {
		e.snd.heard = now // an empty one is a keepalive
	}
	if err != nil || e.err != nil {
		e.drop(b)
		return
	}
	if h.Flags&DRF != 0 {
		e.run(now, &h)
	}
	if h.Flags&RDVS != 0 {
		e.rcv.asked = e.rcv.open
		if !e.cfg.Reliable || e.cfg.Extended {
			e.widen() // of the peer's need little else can be seen here
		}
		e.drop(b)
		return
	}
	if h.Flags&ACK != 0 && e.cfg.Reliable {
		e.receiveAck(now, &h, b.Bytes()[n:])
	}
	if h.Flags&FC != 0 {
		e.takeWindow(h.Window)
	}
	if h.Flags&DATA == 0 {
		e.drop(b)
		return
	}
	if !e.rcv.open && e.cfg.Reliable && len(e.rcv.early) < earlyPackets {
		e.rcv.early = append(e.rcv.early, b)
		return
	}
	e.stats.Received++
	if !e.rcv.open {
		e.stats.Outside++
		e.drop(b)
		return
	}
	b.TrimFront(n)
	e.rcv.longest = max(e.rcv.longest, b.Len())
	if e.cfg.Reliable {
		e.arrive(now, &h, b)
	} else {
		e.arriveOrdered(now, h.Seq, b)
	}
}

// receiveAck handles a packet with ACK.
func (e *Endpoint) receiveAck(now time.Duration, h *Header, rest []byte) {
	if h.Flags&(DATA|EXT) != EXT || !e.cfg.Extended {
		e.takeAck(now, h.Ack, 0)
		return
	}
	var room [maxBlocks]block
	p, _, err := parseReport(rest, room[:0])
	if err != nil {
		e.stats.Malformed++
		e.takeAck(now, h.Ack, 0)
		return
	}
	e.takeAck(now, h.Ack, p.delay)
	e.takeReport(now, &p)
}

// run looks at a packet with DRF: does it open a run (W2, W4, W6)?
func (e *Endpoint) run(now time.Duration, h *Header) {
	r := &e.rcv
	switch {
	case !r.open:
	case h.Flags&DATA == 0 || e.inside(h.Seq) || now-r.lastNew < e.receiverLimit():
		return
	}
	for _, b := range r.apart.list {
		for seq := b.first; seq != b.end; seq++ {
			e.drop(r.take(seq))
		}
	}
	r.apart = ranges{}
	r.open, r.next, r.grown = true, h.Seq, h.Seq
	r.told, r.edgeSent = false, h.Seq+e.startWindow()
	r.lastNew, r.lastData, r.pending = now, now, 0
	r.finSeen = false
}

// startWindow is what either end may send before it hears of a window.
func (e *Endpoint) startWindow() uint32 {
	if e.cfg.Extended {
		return plainWindow
	}
	return startWindow
}

// inside reports whether a packet of the number fits the run.
func (e *Endpoint) inside(seq uint32) bool {
	r := &e.rcv
	return !before(seq, r.next) && (!e.cfg.Reliable || before(seq, r.edge()))
}

// receiverLimit is how long a receiver believes in a run without data: less than
// the prototype waits before it begins a new one (W6), of which it counts whole seconds.
func (e *Endpoint) receiverLimit() time.Duration {
	return (2*e.cfg.MPL + ackLimit + retransmitLimit).Truncate(time.Second) - time.Second
}

// arrive takes a packet of a reliable flow.
func (e *Endpoint) arrive(now time.Duration, h *Header, b *packet.Buffer) {
	r := &e.rcv
	seq := h.Seq
	if h.Flags&EXT != 0 && e.cfg.Extended && e.inside(seq) && !r.finSeen {
		r.finSeen, r.finSeq = true, seq
	}
	switch {
	case seq == r.next && before(seq, r.edge()) && !r.ended && r.unread.bytes < maxWindowBytes:
		r.lastNew, r.lastData, r.newestAt = now, now, now
		e.inOrder(now, b)
		if !r.apart.empty() {
			r.gapMoved = true
			for !r.apart.empty() && r.apart.list[0].first == r.next {
				for end := r.apart.list[0].end; r.next != end; {
					e.inOrder(now, r.take(r.next))
				}
				r.apart.trim(r.next)
			}
		}
		r.pending, r.fresh = r.pending+1, true
	case before(seq, r.next):
		if r.next-seq <= farthest { // else of another run
			r.lastData = now
		}
		e.duplicate(b)
		if r.ended && seq == r.finSeq {
			e.linger(now)
		}
	case !before(seq, r.edge()) || seq == r.next || r.held >= maxWindowBytes || r.finSeen && before(r.finSeq, seq):
		e.stats.Outside++
		r.due = true // the peer should know the window
		e.drop(b)
	default:
		r.lastNew, r.lastData, r.newestAt = now, now, now
		if !r.put(seq, b) {
			e.duplicate(b)
			return
		}
		if r.apart.empty() || r.apart.top() != seq {
			r.gapMoved = true
		}
		r.apart.add(seq, seq+1, nil)
		r.joined(seq)
		r.pending, r.fresh = r.pending+1, true
	}
	e.grow(seq)
}

// inOrder takes the packet with the number next.
func (e *Endpoint) inOrder(now time.Duration, b *packet.Buffer) {
	r := &e.rcv
	if r.finSeen && r.next == r.finSeq {
		r.ended = true
		e.drop(b)
		e.linger(now)
	} else {
		r.unread.push(b)
	}
	r.next++
}

// duplicate drops a packet that came before, and has it acknowledged again.
func (e *Endpoint) duplicate(b *packet.Buffer) {
	e.stats.Duplicates++
	e.rcv.dups++
	e.rcv.due = true
	e.drop(b)
}

// put keeps a packet behind a gap; false if it is there already.
func (r *receiver) put(seq uint32, b *packet.Buffer) bool {
	if len(r.slots) < int(r.window) {
		r.spread()
	}
	p := &r.slots[seq&uint32(len(r.slots)-1)]
	if *p != nil {
		return false
	}
	*p = b
	r.held += b.Len()
	return true
}

// take removes the packet from its slot.
func (r *receiver) take(seq uint32) *packet.Buffer {
	p := &r.slots[seq&uint32(len(r.slots)-1)]
	b := *p
	*p = nil
	r.held -= b.Len()
	return b
}

// spread makes the slots as many as the window has numbers.
func (r *receiver) spread() {
	slots, held := make([]*packet.Buffer, r.window), r.held
	for _, b := range r.apart.list {
		for seq := b.first; seq != b.end; seq++ {
			slots[seq&(r.window-1)] = r.take(seq)
		}
	}
	r.slots, r.held = slots, held
}

// grow doubles the window when the peer uses more than a quarter of it, so that the path
// may soon need more, and the reader keeps up; at most once per half a window.
func (e *Endpoint) grow(seq uint32) {
	r := &e.rcv
	if left := int32(r.edge() - seq); left <= int32(r.window-r.window/4) {
		e.widen()
	}
}

func (e *Endpoint) widen() {
	r := &e.rcv
	more := int64(r.window) * int64(max(r.longest, usualPacket))
	switch {
	case r.window >= uint32(e.cfg.MaxWindow) || 2*more > maxWindowBytes:
	case r.unread.count > int(r.window/4) || r.next-r.grown < r.window/2:
	case e.cfg.Budget.take(more):
		r.granted += more
		r.window *= 2
		r.grown = r.next
	}
}

// arriveOrdered takes a packet of an ordered-only flow: a gap is jumped, what comes late
// is dropped (spec 30 §3.6).
func (e *Endpoint) arriveOrdered(now time.Duration, seq uint32, b *packet.Buffer) {
	r := &e.rcv
	if before(seq, r.next) {
		e.stats.Duplicates++
		e.drop(b)
		return
	}
	if r.unread.count >= int(r.window) || r.unread.bytes >= maxWindowBytes {
		e.stats.Outside++ // the reader is too slow, and the peer heeds no window
		e.drop(b)
		return
	}
	r.lastNew, r.lastData = now, now
	e.stats.Gaps += uint64(seq - r.next)
	r.next = seq + 1
	r.unread.push(b)
	r.pending, r.fresh = r.pending+1, true
}

// Read moves packets, in order, to dst and returns how many. The caller owns
// them. Call Drain afterwards: the peer may wait for the room.
func (e *Endpoint) Read(now time.Duration, dst []*packet.Buffer) int {
	e.begin()
	n := e.rcv.unread.pop(dst)
	if n > 0 {
		e.weighWindow()
	}
	return n
}

// Readable returns how many packets Read would return.
func (e *Endpoint) Readable() int { return e.rcv.unread.count }

// EOF reports whether the peer has finished and everything that it sent was read.
func (e *Endpoint) EOF() bool { return e.rcv.ended && e.rcv.unread.count == 0 }

// releaseReceiver gives all packets back.
func (e *Endpoint) releaseReceiver() {
	r := &e.rcv
	for r.unread.count > 0 {
		var b [1]*packet.Buffer
		r.unread.pop(b[:])
		e.drop(b[0])
	}
	for i := range r.slots {
		if b := r.slots[i]; b != nil {
			e.drop(b)
		}
	}
	r.slots, r.apart, r.held = nil, ranges{}, 0
	e.cfg.Budget.give(r.granted)
	r.granted = 0
	e.dead = append(e.dead, r.early...)
	r.early = nil
}
