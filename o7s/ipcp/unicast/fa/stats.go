// SPDX-License-Identifier: BSD-3-Clause

package fa

import "sync/atomic"

// Stats counts what happened since the start. What single flows count is in
// the directory that RIB returns.
type Stats struct {
	Flows int // at this moment, pending ones included

	Requests     uint64 // flow requests handed up
	Unregistered uint64 // flow requests for names not served here, refused
	Copies       uint64 // copies of flow requests, answered as the first
	Replies      uint64 // replies that answered a request of ours
	Repeats      uint64 // requests of ours sent again
	Teardowns    uint64 // flows ended by a notice of their peer

	// Drops on the way out; packets, and of the last messages.
	DropNotUp    uint64 // flow closed
	DropTooLong  uint64 // larger than the MTU
	DropFull     uint64 // waiting for their turn, too many
	DropSendFail uint64 // messages for which there was no route

	// Drops on the way in; packets of flows, then messages.
	DropNoFlow    uint64 // no flow has the EID
	DropMalformed uint64 // too short, too long, or impossible
	DropCode      uint64 // unknown code
	DropStray     uint64 // for no flow, or none that waits for it
	DropSource    uint64 // not from the peer of the flow
	DropBusy      uint64 // requests while too many wait for an answer
}

// counters is Stats as it is counted.
type counters struct {
	requests, unregistered, copies, replies, repeats, teardowns atomic.Uint64
	notUp, tooLong, full, sendFailed                            atomic.Uint64
	noFlow, malformed, unknown, stray, source, busy             atomic.Uint64
}

// Stats returns the counters. It is safe to call at any time.
func (a *FA) Stats() Stats {
	c := &a.stats
	return Stats{
		Flows:         a.flows.len(),
		Requests:      c.requests.Load(),
		Unregistered:  c.unregistered.Load(),
		Copies:        c.copies.Load(),
		Replies:       c.replies.Load(),
		Repeats:       c.repeats.Load(),
		Teardowns:     c.teardowns.Load(),
		DropNotUp:     c.notUp.Load(),
		DropTooLong:   c.tooLong.Load(),
		DropFull:      c.full.Load(),
		DropSendFail:  c.sendFailed.Load(),
		DropNoFlow:    c.noFlow.Load(),
		DropMalformed: c.malformed.Load(),
		DropCode:      c.unknown.Load(),
		DropStray:     c.stray.Load(),
		DropSource:    c.source.Load(),
		DropBusy:      c.busy.Load(),
	}
}

// traffic counts packets and their bytes.
type traffic struct{ packets, bytes atomic.Uint64 }

func (t *traffic) add(packets, bytes int) {
	t.packets.Add(uint64(packets))
	t.bytes.Add(uint64(bytes))
}
