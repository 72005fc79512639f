// SPDX-License-Identifier: BSD-3-Clause

package tunnel

import (
	"net/netip"
	"slices"
	"time"
)

// Retransmission of announcements over a flow that may lose packets.
const (
	announceFirst = 100 * time.Millisecond // a little above a usual round trip
	announceMax   = 5 * time.Second
)

// exchange is the state of the prefix exchange on one flow, one direction
// each way, without I/O or clock:
//
//	ours:    announce ──▶ parts unacknowledged ──all acks──▶ done
//	                 ▲______________ new prefixes ______________|
//	theirs:  nothing ──all parts of one number──▶ known ──newer number──▶ …
//
// Every part is acknowledged by itself and sent again, with doubling pauses,
// until it is. A part of an older announcement is ignored.
type exchange struct {
	flowMTU int // bytes a control packet may have

	seq     uint32
	parts   [][]byte // encoded; nil once acknowledged
	pending int
	pause   time.Duration
	next    time.Time

	theirSeq   uint32
	theirParts []bool
	missing    int
	collected  []netip.Prefix
	known      bool
	theirs     []netip.Prefix // of the latest complete announcement
	theirMTU   int
	refused    int // of our prefixes, by the peer
}

// announce starts a new announcement of the prefixes, of which mtu bytes is
// the largest packet that we take.
func (x *exchange) announce(now time.Time, prefixes []netip.Prefix, mtu int) {
	x.seq++
	x.parts, x.refused = x.parts[:0], 0
	per := max(1, (x.flowMTU-headerLen)/entryLen6)
	chunks := slices.Collect(slices.Chunk(prefixes, per))
	if len(chunks) == 0 {
		chunks = [][]netip.Prefix{nil} // even nothing is announced: it says who we are
	}
	chunks = chunks[:min(len(chunks), maxParts)]
	for i, c := range chunks {
		m := message{
			typ: typeAnnounce, part: uint8(i), parts: uint8(len(chunks)),
			seq: x.seq, mtu: uint32(mtu), prefixes: c,
		}
		x.parts = append(x.parts, m.append(nil))
	}
	x.pending = len(x.parts)
	x.pause, x.next = announceFirst, now
}

// poll returns the packets to send now and when to call again; the zero time
// means: not before handle or announce.
func (x *exchange) poll(now time.Time) (send [][]byte, next time.Time) {
	if x.pending == 0 {
		return nil, time.Time{}
	}
	if now.Before(x.next) {
		return nil, x.next
	}
	for _, p := range x.parts {
		if p != nil {
			send = append(send, p)
		}
	}
	x.next = now.Add(x.pause)
	x.pause = min(2*x.pause, announceMax)
	return send, x.next
}

// handle takes a control packet of the peer. reply is to be sent, if not nil;
// changed says that theirs and theirMTU are new. refuse counts the prefixes
// of a part that we do not accept.
func (x *exchange) handle(b []byte, refuse func([]netip.Prefix) int) (reply []byte, changed bool, err error) {
	m, _, err := parseMessage(b)
	if err != nil {
		return nil, false, err
	}
	if m.typ == typeAck {
		x.acknowledged(&m)
		return nil, false, nil
	}
	if x.theirParts != nil && int32(m.seq-x.theirSeq) < 0 {
		return nil, false, nil
	}
	if x.theirParts == nil || m.seq != x.theirSeq {
		x.theirSeq, x.theirParts = m.seq, make([]bool, m.parts)
		x.missing, x.collected = int(m.parts), nil
	}
	if int(m.parts) != len(x.theirParts) {
		return nil, false, nil // contradicts the parts before
	}
	if !x.theirParts[m.part] {
		x.theirParts[m.part] = true
		x.missing--
		room := maxPrefixes - len(x.collected)
		x.collected = append(x.collected, m.prefixes[:min(room, len(m.prefixes))]...)
		if x.missing == 0 {
			x.theirs, x.collected = x.collected, nil
			x.theirMTU = int(min(m.mtu, 1<<20))
			x.known, changed = true, true
		}
	}
	ack := message{
		typ: typeAck, part: m.part, parts: m.parts, seq: m.seq,
		mtu: uint32(x.flowMTU), refused: uint16(refuse(m.prefixes)),
	}
	return ack.append(nil), changed, nil
}

func (x *exchange) acknowledged(m *message) {
	if m.seq != x.seq || int(m.parts) != len(x.parts) || x.parts[m.part] == nil {
		return
	}
	x.parts[m.part] = nil
	x.pending--
	x.refused += int(m.refused)
}

// done reports whether both sides know the other's prefixes.
func (x *exchange) done() bool { return x.known && x.pending == 0 }
