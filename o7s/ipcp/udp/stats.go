// SPDX-License-Identifier: BSD-3-Clause

package udp

import (
	"sync/atomic"

	"o7gw/o7s/ipcp/egress"
)

// Stats counts what happened since the start. Packets are those of flows, not
// management messages, unless said otherwise.
type Stats struct {
	Flows int // at this moment, pending ones included

	Sent        uint64 // packets handed to the kernel, with management messages
	SentBytes   uint64 // without UDP and IP headers
	SendCalls   uint64 // sendmmsg calls
	GSOBatches  uint64 // groups of packets handed over as one
	GSORefused  uint64 // groups that the kernel refused and that went singly
	SendBlocked uint64 // times the socket buffer was full

	Received     uint64 // packets delivered to flows
	RecvBytes    uint64 // without UDP and IP headers
	RecvCalls    uint64 // recvmmsg calls that returned something
	GROBatches   uint64 // groups of packets that came as one
	Requests     uint64 // flow requests handed up
	Replies      uint64 // replies that answered a request of ours
	Teardowns    uint64 // flows ended by a notice of their peer
	Unreachable  uint64 // flows ended since nobody has the peer's port any more
	Superseded   uint64 // flows ended since the peer uses their endpoint for a new one
	KernelDrops  uint64 // datagrams the kernel dropped since nobody read
	Unregistered uint64 // requests for names not registered here, refused

	// Drops on the way out.
	DropTooLong  uint64 // larger than the MTU
	DropNotUp    uint64 // flow closed or not yet up
	DropFull     uint64 // egress queue full, or closing
	DropSendFail uint64 // the kernel refused the datagram

	// Drops on the way in; datagrams.
	DropShort     uint64 // less than an EID
	DropOversize  uint64 // more than a C peer can send
	DropNoFlow    uint64 // no flow has the EID
	DropSource    uint64 // not from the peer of the flow
	DropMalformed uint64 // management message too short, or impossible
	DropCode      uint64 // management message of unknown code
	DropStray     uint64 // reply or teardown for no flow that waits for it
	DropBusy      uint64 // request while too many wait for an answer
}

// counters is Stats as it is counted.
type counters struct {
	sent, sentBytes, sendCalls, gsoBatches, gsoRefused, sendBlocked atomic.Uint64

	received, recvBytes, recvCalls, groBatches          atomic.Uint64
	requests, replies, teardowns, unregistered          atomic.Uint64
	unreachable, superseded                             atomic.Uint64
	tooLong, notUp, sendFail                            atomic.Uint64
	egress                                              egress.Drops
	short, oversize, noFlow, source, malformed, unknown atomic.Uint64
	stray, busy                                         atomic.Uint64
}

// Stats returns the counters. It is safe to call at any time.
func (p *IPCP) Stats() Stats {
	c := &p.stats
	return Stats{
		Flows:      p.flows.len(),
		Sent:       c.sent.Load(),
		SentBytes:  c.sentBytes.Load(),
		SendCalls:  c.sendCalls.Load(),
		GSOBatches: c.gsoBatches.Load(),
		GSORefused: c.gsoRefused.Load(), SendBlocked: c.sendBlocked.Load(),
		Received:      c.received.Load(),
		RecvBytes:     c.recvBytes.Load(),
		RecvCalls:     c.recvCalls.Load(),
		GROBatches:    c.groBatches.Load(),
		Requests:      c.requests.Load(),
		Replies:       c.replies.Load(),
		Teardowns:     c.teardowns.Load(),
		Unreachable:   c.unreachable.Load(),
		Superseded:    c.superseded.Load(),
		KernelDrops:   p.kernelDrops(),
		Unregistered:  c.unregistered.Load(),
		DropTooLong:   c.tooLong.Load(),
		DropNotUp:     c.notUp.Load(),
		DropFull:      c.egress.Full.Load(),
		DropSendFail:  c.sendFail.Load() + c.egress.Abandoned.Load(),
		DropShort:     c.short.Load(),
		DropOversize:  c.oversize.Load(),
		DropNoFlow:    c.noFlow.Load(),
		DropSource:    c.source.Load(),
		DropMalformed: c.malformed.Load(),
		DropCode:      c.unknown.Load(),
		DropStray:     c.stray.Load(),
		DropBusy:      c.busy.Load(),
	}
}
