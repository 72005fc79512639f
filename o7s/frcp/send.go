// SPDX-License-Identifier: BSD-3-Clause

package frcp

import (
	"time"

	"o7gw/o7s/packet"
)

// sender is the state of the sending direction (spec 30 §3.3). Numbers:
//
//	una ≤ next ≤ end; next ≤ edge of the peer's window
//	│      │      └ behind the last packet that Send took
//	│      └ next packet that was never sent
//	└ oldest packet that is not acknowledged
type sender struct {
	store
	una, next, end uint32
	edge           uint32 // first number that may not be sent
	limit          uint32 // most packets beyond una, whatever the peer's window: they take memory

	rtt      rtt
	held     ranges // numbers that the peer reported in blocks
	rack     rack
	progress time.Duration // last time that something was acknowledged
	unaAt    time.Duration // last time that una moved
	lastSent time.Duration // last transmission of data
	probes   int           // tail-loss probes since the last progress
	probed   time.Duration // when the last of them was sent
	// Recovery after a timeout toward a prototype.
	recoverTo   uint32 // what was next then
	recoverStep int    // packets to send again at the next acknowledgement; 0: no recovery

	paceAt    time.Duration // when the pace allows the next packet
	paced     bool          // a packet waits for that
	blocked   bool          // waits for the peer's window
	blockedAt time.Duration // since then
	askAt     time.Duration // next rendezvous, while blocked
	ask       bool          // that time has come
	askedAt   time.Duration // last one
	asked     bool          // and not answered yet
	hurries   bool          // the peer shall acknowledge at once; see hurry
	hurried   uint32        // number to come when that was so last
	shift     uint32        // added to the windows of a prototype, see takeWindow

	rate rate

	heard    time.Duration // last packet of the peer, keepalives included
	finished bool          // Finish was called
	finSeq   uint32        // number of the end of data, if Extended
}

func (s *sender) init(cfg *Config) {
	s.una, s.next, s.end = cfg.Initial, cfg.Initial, cfg.Initial
	start := uint32(startWindow)
	if cfg.Extended {
		start = plainWindow
	}
	s.edge = s.una + start
	s.limit = uint32(max(cfg.MaxWindow, 4*plainWindow))
	s.rtt.plain = !cfg.Extended
	s.rack.init()
	s.askAt, s.askedAt = never, -rendezvousPause
}

// Room returns how many packets Send would take now.
func (e *Endpoint) Room() int {
	s := &e.snd
	if e.err != nil || s.finished {
		return 0
	}
	return max(e.cfg.Queue-int(s.end-s.next), 0)
}

// Send takes packets to be sent, in order, and returns how many: the Endpoint
// owns those from then on, the rest stay with the caller, who may try again when Room
// is not 0. Nothing is taken after Finish or a failure.
// Packets need HeaderLen bytes of headroom.
func (e *Endpoint) Send(now time.Duration, pkts []*packet.Buffer) int {
	e.begin()
	n := min(len(pkts), e.Room())
	s := &e.snd
	s.reserve(s.una, s.end, int(s.end-s.una)+n+1)
	for _, b := range pkts[:n] {
		b.Prepend(HeaderLen)
		s.put(b)
	}
	return n
}

// put appends a packet, with room for its header, to the queue.
func (s *sender) put(b *packet.Buffer) {
	r := s.at(s.end)
	*r = record{buf: b, size: int32(b.Len())}
	s.end++
}

// outstanding reports whether something that was sent is not acknowledged.
func (s *sender) outstanding() bool { return s.una != s.next }

// Finish says that nothing more will be sent. What was taken goes on to be sent until
// it is acknowledged: drive the Endpoint until Lingering is false. Between ours
// the peer then reads the end of the data.
func (e *Endpoint) Finish(now time.Duration) {
	e.begin()
	s := &e.snd
	if s.finished || e.err != nil {
		return
	}
	s.finished = true
	if e.cfg.Reliable && e.cfg.Extended {
		b := packet.Get(HeaderLen)
		b.SetLen(HeaderLen)
		s.reserve(s.una, s.end, int(s.end-s.una)+1)
		s.finSeq = s.end
		s.put(b)
	}
}

// Flushed reports whether everything that Send took was sent and, on a
// reliable flow, acknowledged.
func (e *Endpoint) Flushed() bool { return e.snd.una == e.snd.end }

// Delivered is Flushed without the end of the data, which nobody misses who has
// left before.
func (e *Endpoint) Delivered() bool {
	s := &e.snd
	return e.Flushed() || s.finished && e.cfg.Extended && e.cfg.Reliable && s.una == s.finSeq
}

// releaseSender gives all packets back.
func (e *Endpoint) releaseSender() {
	s := &e.snd
	for ; s.una != s.end; s.una++ {
		if r := s.at(s.una); r.buf != nil {
			e.drop(r.buf)
			r.buf = nil
		}
	}
	s.next = s.end
	s.flying, s.lost, s.held = list{}, list{}, ranges{}
	s.blocked, s.paced = false, false
}
