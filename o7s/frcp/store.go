// SPDX-License-Identifier: BSD-3-Clause

package frcp

import (
	"time"

	"o7gw/o7s/packet"
)

// Where a packet of the sender stands.
//
//	waiting ─▶ flying ─▶ (acknowledged: gone)
//	             │ ▲ └──▶ held     the peer has it, but something before it is missing
//	             ▼ │
//	            lost
type place uint8

const (
	waiting place = iota // not sent yet
	flying               // sent, nothing heard of it
	lost                 // to be sent again
	held                 // reported in a block
)

// record is a packet between Send and its acknowledgement.
type record struct {
	buf        *packet.Buffer // with PCI in front
	at, first  time.Duration  // last and first transmission
	prev, next uint32         // neighbours in the list of its place
	size       int32          // bytes with PCI
	place      place
	again      bool // sent more than once
	limited    bool // at the time there was nothing more to send
	// For the delivery rate: state of the sender at the last transmission.
	delivered   uint64
	deliveredAt time.Duration
	startedAt   time.Duration
}

// store holds the records of the numbers from una to end in a ring that
// grows, and two lists through them.
type store struct {
	ring   []record // length 0 or a power of two
	flying list     // in order of transmission
	lost   list     // in the order in which they are sent again
}

// list is a doubly linked list of records.
type list struct {
	head, tail uint32
	count      int
	bytes      int
}

func (s *store) at(seq uint32) *record { return &s.ring[seq&uint32(len(s.ring)-1)] }

// reserve makes room for n records from una on.
func (s *store) reserve(una, end uint32, n int) {
	if n <= len(s.ring) {
		return
	}
	size := max(16, len(s.ring))
	for size < n {
		size *= 2
	}
	ring := make([]record, size)
	for seq := una; seq != end; seq++ {
		ring[seq&uint32(size-1)] = *s.at(seq)
	}
	s.ring = ring
}

// append puts the record at the end of the list.
func (s *store) append(l *list, seq uint32, r *record) {
	if l.count == 0 {
		l.head = seq
	} else {
		s.at(l.tail).next = seq
		r.prev = l.tail
	}
	l.tail = seq
	l.count++
	l.bytes += int(r.size)
}

// prepend puts the record in front of the list.
func (s *store) prepend(l *list, seq uint32, r *record) {
	if l.count == 0 {
		l.tail = seq
	} else {
		s.at(l.head).prev = seq
		r.next = l.head
	}
	l.head = seq
	l.count++
	l.bytes += int(r.size)
}

// remove takes the record out of the list.
func (s *store) remove(l *list, seq uint32, r *record) {
	l.count--
	l.bytes -= int(r.size)
	if l.count == 0 {
		return
	}
	switch seq {
	case l.head:
		l.head = r.next
	case l.tail:
		l.tail = r.prev
	default:
		s.at(r.prev).next = r.next
		s.at(r.next).prev = r.prev
	}
}
