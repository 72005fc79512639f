// SPDX-License-Identifier: BSD-3-Clause

package session

import (
	"net/netip"
	"slices"
	"time"
)

const (
	// partialsMost is how many datagrams are put together at a time; a new one
	// takes the place of the oldest.
	partialsMost = 8
	// partialsBytes bounds the payload of all of them.
	partialsBytes = 4 * MaxDatagram
	// partialAge is how long a datagram waits for its fragments.
	partialAge = 5 * time.Second
)

// Reassembler puts fragmented datagrams together. Its memory is bounded, to
// partialsBytes and some 50 kB more: what a peer leaves incomplete goes when it is
// old, or when others need the room. The zero value is empty.
type Reassembler struct {
	partials []*partial // oldest first
	bytes    int
	dropped  uint64
}

// partial is a datagram of which fragments are missing.
type partial struct {
	id      uint16
	last    uint8
	addr    netip.AddrPort
	since   time.Time
	pieces  [][]byte
	missing int
	bytes   int
}

// Take takes a fragment; it copies the payload. It returns the whole datagram
// when the fragment was the last one missing.
func (r *Reassembler) Take(now time.Time, h *DatagramHeader, payload []byte) (whole []byte, ok bool) {
	r.Expire(now)
	if len(payload) == 0 || h.Last == 0 || h.Index > h.Last {
		r.dropped++
		return nil, false
	}
	p := r.find(now, h)
	if p.pieces[h.Index] != nil || p.bytes+len(payload) > MaxDatagram {
		r.dropped++
		return nil, false
	}
	p.pieces[h.Index] = slices.Clone(payload)
	p.bytes += len(payload)
	r.bytes += len(payload)
	if p.missing--; p.missing == 0 {
		whole = slices.Concat(p.pieces...)
		r.drop(slices.Index(r.partials, p))
		return whole, true
	}
	for r.bytes > partialsBytes {
		oldest := 0
		if r.partials[oldest] == p {
			oldest = 1 // alone p is within the bound
		}
		r.drop(oldest)
		r.dropped++
	}
	return nil, false
}

// find returns the datagram of a fragment, a new one if there is none. One with
// the same id but another shape is an old one that will never be complete.
func (r *Reassembler) find(now time.Time, h *DatagramHeader) *partial {
	for i, p := range r.partials {
		if p.id != h.ID {
			continue
		}
		if p.last == h.Last && p.addr == h.Addr {
			return p
		}
		r.drop(i)
		r.dropped++
		break
	}
	if len(r.partials) == partialsMost {
		r.drop(0)
		r.dropped++
	}
	n := int(h.Last) + 1
	p := &partial{id: h.ID, last: h.Last, addr: h.Addr, since: now, pieces: make([][]byte, n), missing: n}
	r.partials = append(r.partials, p)
	return p
}

// Expire drops what is too old.
func (r *Reassembler) Expire(now time.Time) {
	for len(r.partials) > 0 && now.Sub(r.partials[0].since) >= partialAge {
		r.drop(0)
		r.dropped++
	}
}

// Deadline returns when Expire has something to drop; ok is false if nothing
// waits.
func (r *Reassembler) Deadline() (at time.Time, ok bool) {
	if len(r.partials) == 0 {
		return at, false
	}
	return r.partials[0].since.Add(partialAge), true
}

func (r *Reassembler) drop(i int) {
	r.bytes -= r.partials[i].bytes
	r.partials = slices.Delete(r.partials, i, i+1)
}

// Dropped returns how many datagrams or fragments were dropped.
func (r *Reassembler) Dropped() uint64 { return r.dropped }

// Fragments returns into how many packets a datagram of n bytes with the
// header h is split on a flow of that MTU, and how many bytes of payload go
// into each; 0 fragments: it cannot be sent.
func Fragments(h DatagramHeader, n, mtu int) (count, size int) {
	h.Last = 0
	if n <= MaxDatagram && h.Len()+n <= mtu {
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

// MaxDatagramOver returns the largest datagram, bytes, that a flow of that MTU
// carries, whatever address it has.
func MaxDatagramOver(mtu int) int {
	return max(0, min(MaxDatagram, maxFragments*(mtu-MaxDatagramHeader)))
}
