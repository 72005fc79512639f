// SPDX-License-Identifier: BSD-3-Clause

package frcp

import (
	"slices"
	"time"

	"o7gw/o7s/packet"
)

// This file decides when the peer is told of what was received, and how: on data that leaves
// anyway, or in a packet of its own.

// weighReport decides, after a batch has arrived, whether a report is due (W7, W8).
func (e *Endpoint) weighReport(now time.Duration) {
	r := &e.rcv
	if r.asked {
		r.asked, r.due = false, true
	}
	if r.fresh {
		r.fresh = false
		r.updateAt, r.repeats = never, 0
		if !e.cfg.Reliable && !e.cfg.Extended {
			r.updateAt = now + rendezvousEvery // in case it falls silent for lack of a window
		}
	}
	switch {
	case !e.cfg.Reliable:
		if r.pending > 0 && !r.told {
			r.due = r.due || r.pending >= firstUpdate
		}
		e.weighWindow()
		return
	case e.cfg.Extended:
		r.due = r.due || r.gapMoved || r.pending >= ackEvery
	default:
		r.due = r.due || r.pending >= ackEveryPlain
	}
	r.gapMoved = false
	if r.pending > 0 && !r.due && r.dueAt == never {
		r.dueAt = now + ackDelay
	}
}

// firstUpdate is after how many packets the receiver of an ordered-only flow
// tells its window first, if no data does: well before startWindow.
const firstUpdate = 16

// weighWindow decides whether the window has opened so far that the peer should know.
func (e *Endpoint) weighWindow() {
	r := &e.rcv
	if r.open && (e.cfg.Reliable || r.told) && r.edge()-r.edgeSent >= r.window/4 && !before(r.edge(), r.edgeSent) {
		r.due = true
	}
}

// reportDue reports whether a packet of its own is due.
func (e *Endpoint) reportDue(now time.Duration) bool {
	r := &e.rcv
	return e.err == nil && r.open && (r.due || r.dueAt <= now || r.updateAt <= now)
}

// ackDeadline returns when a delayed acknowledgement is due.
func (e *Endpoint) ackDeadline() time.Duration { return min(e.rcv.dueAt, e.rcv.lingers) }

// piggyback puts acknowledgement and window on a packet with data. Toward a
// prototype that was silent for long they are left out: it may have begun a new
// run, to which they do not belong (FR-3).
func (e *Endpoint) piggyback(now time.Duration, h *Header) {
	r := &e.rcv
	if !r.open || !e.cfg.Extended && now-r.lastData >= retransmitLimit {
		return
	}
	e.putWindow(h)
	if e.cfg.Reliable && !e.putAck(now, h) {
		return
	}
	if !e.cfg.Extended || r.apart.empty() {
		e.reported()
	}
}

func (e *Endpoint) putWindow(h *Header) {
	r := &e.rcv
	r.edgeSent, r.told = r.edge(), true
	h.Flags |= FC
	h.Window = r.edgeSent & 0xffffff
}

// putAck adds the acknowledgement if its time (A) has not passed.
func (e *Endpoint) putAck(now time.Duration, h *Header) bool {
	r := &e.rcv
	if !e.cfg.Extended && now-r.lastData > ackLimit {
		return false
	}
	h.Flags |= ACK
	h.Ack = r.next
	return true
}

// reported notes that the peer is told everything.
func (e *Endpoint) reported() {
	r := &e.rcv
	r.due, r.dueAt, r.pending = false, never, 0
}

// control makes a packet with window and acknowledgement, and between ours with
// what has come out of order.
func (e *Endpoint) control(now time.Duration) *packet.Buffer {
	r := &e.rcv
	starving := int32(r.edgeSent-r.next) < firstUpdate
	var h Header
	e.runFlag(&h)
	e.putWindow(&h)
	blocks := false
	if e.cfg.Reliable && e.putAck(now, &h) && e.cfg.Extended {
		h.Flags |= EXT
		blocks = true
	}
	e.repeatLater(now, starving)
	e.reported()
	b := e.headerOnly(&h)
	if blocks {
		e.appendReport(now, b)
	}
	return b
}

// repeatLater has an update of the window repeated until data comes, since a
// prototype that waits for it does not always ask (FR-5).
func (e *Endpoint) repeatLater(now time.Duration, starving bool) {
	r := &e.rcv
	if e.cfg.Extended || e.cfg.Reliable && !starving && r.repeats == 0 || r.repeats >= updateRepeats {
		r.updateAt = never
		return
	}
	r.updateAt = now + rendezvousEvery<<r.repeats
	r.repeats++
}

// appendReport writes the blocks behind the header: those that packets joined lately, more
// of them than can have changed since the last report, and the others in turn, so
// that a lost report hides nothing for ever.
func (e *Endpoint) appendReport(now time.Duration, b *packet.Buffer) {
	r := &e.rcv
	var room [maxBlocks]block
	p := report{dups: r.dups, delay: now - r.newestAt, blocks: room[:0]}
	list := r.apart.list
	if len(list) <= maxBlocks {
		p.blocks = append(p.blocks, list...)
	} else {
		for i := range recentPlaces {
			bl, ok := r.apart.find(r.recent[(r.recentAt-i)&(recentPlaces-1)])
			if ok && !slices.Contains(p.blocks, bl) && len(p.blocks) < maxBlocks*3/4 {
				p.blocks = append(p.blocks, bl)
			}
		}
		for len(p.blocks) < maxBlocks { // may repeat some of those
			r.turn++
			p.blocks = append(p.blocks, list[r.turn%len(list)])
		}
	}
	var bytes [blocksFixed + 8*maxBlocks]byte
	b.Append(p.append(bytes[:0]))
}

// recentPlaces is how many places are remembered where packets joined blocks; a power of two.
const recentPlaces = 32

// joined remembers where a packet joined the blocks.
func (r *receiver) joined(seq uint32) {
	if r.recent[r.recentAt]+1 != seq {
		r.recentAt = (r.recentAt + 1) & (recentPlaces - 1)
	}
	r.recent[r.recentAt] = seq
}
