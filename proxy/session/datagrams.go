// SPDX-License-Identifier: BSD-3-Clause

package session

import (
	"net/netip"
	"time"
)

// Datagrams is the state of one end of a UDP session after its status. Packets of a
// raw flow may be lost, repeated or out of order, so there is little of it:
// datagrams of which fragments are missing, and at the acceptor the status, which
// is sent again when the request is.
//
//	            request again / status again
//	             ╭──╮
//	requested ──▶ open ──▶ the end of the flow
//	             ╰──╯
//	            datagram, keepalive, optional kinds
//
// The zero value is that of a requester.
type Datagrams struct {
	Reassembler
	status  []byte
	dropped uint64
}

// Answered returns the state of an acceptor that has answered OK.
func Answered() *Datagrams { return &Datagrams{status: OK.Append(nil)} }

// Taken is what a packet means.
type Taken struct {
	// Payload of a datagram, and who it is to or from; nil: none.
	Payload []byte
	Addr    netip.AddrPort
	// Whole: the payload is a copy made of fragments, not a part of the packet.
	Whole bool
	// Reply is to be sent to the peer; nil: nothing.
	Reply []byte
}

// Take reads a packet of the peer. What is malformed, or of an unknown kind that
// is not optional, is dropped and counted: it may come of a damaged packet, and
// the next one is as good as ever.
func (d *Datagrams) Take(now time.Time, p []byte) (t Taken) {
	if len(p) == 0 {
		return t // a keepalive of the flow
	}
	if !IsDatagram(p) {
		switch k := Kind(p[0]); {
		case k == KindRequest && d.status != nil:
			t.Reply = d.status
		case k == KindStatus, k == KindKeepalive, k >= Optional:
		default:
			d.dropped++
		}
		return t
	}
	h, n, err := ParseDatagram(p)
	switch {
	case err != nil || len(p)-n > MaxDatagram:
		d.dropped++
	case h.Last == 0:
		t.Payload, t.Addr = p[n:], h.Addr
	default:
		if whole, ok := d.Reassembler.Take(now, &h, p[n:]); ok {
			t.Payload, t.Addr, t.Whole = whole, h.Addr, true
		}
	}
	return t
}

// Dropped returns how many packets, or datagrams that lack fragments, were
// dropped.
func (d *Datagrams) Dropped() uint64 { return d.dropped + d.Reassembler.Dropped() }
