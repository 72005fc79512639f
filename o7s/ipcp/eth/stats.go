// SPDX-License-Identifier: BSD-3-Clause

package eth

import (
	"sync/atomic"

	"o7gw/o7s/ipcp/egress"
)

// Stats counts what happened since the start. Packets are those of flows, not
// management messages, unless said otherwise.
type Stats struct {
	Flows int // at this moment, pending ones included

	Sent        uint64 // frames handed to the kernel, with management messages
	SentBytes   uint64 // with frame headers
	SendCalls   uint64 // sendmmsg calls
	SendBlocked uint64 // times the socket buffer was full

	Received     uint64 // packets delivered to flows
	RecvBytes    uint64 // with frame headers, without padding
	RecvCalls    uint64 // recvmmsg calls that returned something
	Queries      uint64 // name queries sent
	Requests     uint64 // flow requests handed up
	Replies      uint64 // replies that answered a request of ours
	Teardowns    uint64 // flows ended by a notice of their peer
	Superseded   uint64 // flows ended since the peer uses their endpoint for a new one
	LinkChanges  uint64 // times the device went up or down
	KernelDrops  uint64 // frames the kernel dropped since nobody read
	Unregistered uint64 // requests for names not registered here, refused

	// Drops on the way out.
	DropTooLong  uint64 // larger than the MTU
	DropNotUp    uint64 // flow closed or not yet up
	DropFull     uint64 // egress queue full, or closing
	DropSendFail uint64 // the kernel refused the frame

	// Drops on the way in; frames.
	DropShort     uint64 // less than a header
	DropOversize  uint64 // more than the MTU
	DropForeign   uint64 // for an address that is not ours
	DropNoFlow    uint64 // no flow has the endpoint
	DropSource    uint64 // not from the peer of the flow
	DropMalformed uint64 // length beyond the frame, message too short, or impossible
	DropCode      uint64 // management message of unknown code
	DropStray     uint64 // reply or teardown for no flow that waits for it, name reply unasked
	DropBusy      uint64 // request or query while too many wait for an answer
}

// counters is Stats as it is counted.
type counters struct {
	sent, sentBytes, sendCalls, sendBlocked atomic.Uint64

	received, recvBytes, recvCalls                               atomic.Uint64
	queries, requests, replies, teardowns, unregistered          atomic.Uint64
	superseded, linkChanges                                      atomic.Uint64
	tooLong, notUp, sendFail                                     atomic.Uint64
	egress                                                       egress.Drops
	short, oversize, foreign, noFlow, source, malformed, unknown atomic.Uint64
	stray, busy                                                  atomic.Uint64
}

// Stats returns the counters. It is safe to call at any time.
func (p *IPCP) Stats() Stats {
	c := &p.stats
	return Stats{
		Flows:         p.flows.len(),
		Sent:          c.sent.Load(),
		SentBytes:     c.sentBytes.Load(),
		SendCalls:     c.sendCalls.Load(),
		SendBlocked:   c.sendBlocked.Load(),
		Received:      c.received.Load(),
		RecvBytes:     c.recvBytes.Load(),
		RecvCalls:     c.recvCalls.Load(),
		Queries:       c.queries.Load(),
		Requests:      c.requests.Load(),
		Replies:       c.replies.Load(),
		Teardowns:     c.teardowns.Load(),
		Superseded:    c.superseded.Load(),
		LinkChanges:   c.linkChanges.Load(),
		KernelDrops:   p.kernelDrops(),
		Unregistered:  c.unregistered.Load(),
		DropTooLong:   c.tooLong.Load(),
		DropNotUp:     c.notUp.Load(),
		DropFull:      c.egress.Full.Load(),
		DropSendFail:  c.sendFail.Load() + c.egress.Abandoned.Load(),
		DropShort:     c.short.Load(),
		DropOversize:  c.oversize.Load(),
		DropForeign:   c.foreign.Load(),
		DropNoFlow:    c.noFlow.Load(),
		DropSource:    c.source.Load(),
		DropMalformed: c.malformed.Load(),
		DropCode:      c.unknown.Load(),
		DropStray:     c.stray.Load(),
		DropBusy:      c.busy.Load(),
	}
}
