// SPDX-License-Identifier: BSD-3-Clause

package session

import (
	"net/netip"
	"time"
)

const (
	// partialsMost is how many datagrams are put together at a time; a new one
	// takes the place of the oldest.
	partialsMost = 8
	// partialsBytes bounds the memory of all of them.
	partialsBytes = 4 * MaxDatagram
	// partialAge is how long a datagram waits for its fragments.
	partialAge = 5 * time.Second
)

// Reassembler puts fragmented datagrams together. Its memory is bounded: what
// a peer leaves incomplete goes when it is old, or when others need the room.
// The zero value is empty.
type Reassembler struct {
	partials []*partial // oldest first
	bytes    int
	dropped  uint64
}

// partial is a datagram of which fragments are missing.
type partial struct {
	id      uint16
	last    uint8
	since   time.Time
	addr    netip.AddrPort
	pieces  [][]byte
	missing int
	bytes   int
}

// Take takes a fragment; it copies the payload. It returns the whole datagram
// when the fragment was the last one missing.
func (r *Reassembler) Take(now time.Time, h *DatagramHeader, payload []byte) (addr netip.AddrPort, whole []byte, ok bool) {
	r.forget(now)
	p := r.find(h)
	if p == nil {
		p = &partial{id: h.ID, last: h.Last, since: now, pieces: make([][]byte, int(h.Last)+1), missing: int(h.Last) + 1}
		r.partials = append(r.partials, p)
	}
	if p.pieces[h.Index] != nil || p.bytes+len(payload) > MaxDatagram || len(payload) == 0 {
		r.dropped++
		return addr, nil, false
	}
	if h.Index == 0 {
		p.addr = h.Addr
	}
	p.pieces[h.Index] = append([]byte(nil), payload...)
	p.bytes += len(payload)
	r.bytes += len(payload)
	if p.missing--; p.missing > 0 {
		for len(r.partials) > partialsMost || r.bytes > partialsBytes {
			r.drop(0)
			r.dropped++
		}
		return addr, nil, false
	}
	whole = make([]byte, 0, p.bytes)
	for _, piece := range p.pieces {
		whole = append(whole, piece...)
	}
	for i, q := range r.partials {
		if q == p {
			r.drop(i)
			break
		}
	}
	return p.addr, whole, true
}

// find returns the datagram of a fragment. One with the same id but another
// number of fragments is an old one that will never be complete.
func (r *Reassembler) find(h *DatagramHeader) *partial {
	for i, p := range r.partials {
		if p.id == h.ID {
			if p.last == h.Last {
				return p
			}
			r.drop(i)
			r.dropped++
			return nil
		}
	}
	return nil
}

// forget drops what is too old.
func (r *Reassembler) forget(now time.Time) {
	for len(r.partials) > 0 && now.Sub(r.partials[0].since) > partialAge {
		r.drop(0)
		r.dropped++
	}
}

func (r *Reassembler) drop(i int) {
	r.bytes -= r.partials[i].bytes
	r.partials = append(r.partials[:i], r.partials[i+1:]...)
}

// Dropped returns how many datagrams or fragments were dropped.
func (r *Reassembler) Dropped() uint64 { return r.dropped }

// Fragments returns into how many packets a datagram of n bytes with the
// header h is split on a flow of that MTU, and how many bytes of payload go
// into each; 0 fragments: it cannot be sent.
func Fragments(h DatagramHeader, n, mtu int) (count, size int) {
	h.Last = 0
	if h.Len()+n <= mtu {
		return 1, n
	}
	h.Last = 1
	size = mtu - h.Len()
	if size <= 0 || n > MaxDatagram {
		return 0, 0
	}
	if count = (n + size - 1) / size; count > maxFragments {
		return 0, 0
	}
	return count, size
}
