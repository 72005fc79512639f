// SPDX-License-Identifier: BSD-3-Clause

package broadcast

import (
	"sync"

	"o7gw/o7s/packet"
)

// scratch is the memory that forwarding a batch takes.
type scratch struct {
	keep, copies, drop [packet.BatchSize]*packet.Buffer
	sums               [packet.BatchSize]uint64
	pass               [packet.BatchSize]bool
}

var scratches = sync.Pool{New: func() any { return new(scratch) }}

// forward gives packets of one neighbour to all others, in the goroutine that
// brings them. It takes ownership of the buffers, but not of the slice.
func (h *hub) forward(from *neighbour, pkts []*packet.Buffer) {
	l := h.list.Load()
	s := scratches.Get().(*scratch)
	for len(pkts) > 0 {
		n := min(len(pkts), packet.BatchSize)
		h.batch(l, from, pkts[:n], s)
		pkts = pkts[n:]
	}
	scratches.Put(s)
}

// batch forwards up to packet.BatchSize packets. Everybody gets copies, the
// last one the packets themselves.
func (h *hub) batch(l *neighbours, from *neighbour, pkts []*packet.Buffer, s *scratch) {
	keep, drop := h.fresh(l, from, pkts, s)
	packet.ReleaseBatch(drop)
	if len(keep) == 0 {
		return
	}
	longest := 0
	for _, b := range keep {
		longest = max(longest, b.Len())
	}
	var last *neighbour
	for _, to := range l.all {
		if to == from {
			continue
		}
		if last != nil {
			last.send(s.clone(keep, longest), longest, s)
		}
		last = to
	}
	if last == nil { // nobody there
		packet.ReleaseBatch(keep)
		return
	}
	last.send(keep, longest, s)
}

// fresh sorts out what is not to be forwarded: empty packets, which are
// keepalives of the connection, and repeats.
func (h *hub) fresh(l *neighbours, from *neighbour, pkts []*packet.Buffer, s *scratch) (keep, drop []*packet.Buffer) {
	keep, drop = s.keep[:0], s.drop[:0]
	var bytes uint64
	for _, b := range pkts {
		if b.Len() == 0 {
			drop = append(drop, b)
			continue
		}
		bytes += uint64(b.Len())
		s.sums[len(keep)] = h.seen.sum(b.Bytes())
		keep = append(keep, b)
	}
	from.stats.received.add(uint64(len(keep)), bytes)
	// What applications of this node send is never a repeat, and a member with
	// one connection is on no cycle.
	h.seen.check(s.sums[:len(keep)], s.pass[:len(keep)], from.id, !from.member || l.members < 2)
	n := 0
	for i, b := range keep {
		if s.pass[i] {
			keep[n] = b
			n++
		} else {
			drop = append(drop, b)
		}
	}
	if repeated := len(keep) - n; repeated > 0 {
		from.repeated(uint64(repeated))
	}
	return keep[:n], drop
}

// clone returns copies of packets of at most longest bytes.
func (s *scratch) clone(pkts []*packet.Buffer, longest int) []*packet.Buffer {
	copies := s.copies[:len(pkts)]
	packet.GetBatch(copies, longest)
	for i, b := range pkts {
		copies[i].Append(b.Bytes())
		copies[i].SetCube(b.Cube())
	}
	return copies
}

// send gives packets of at most longest bytes to the neighbour, except those
// that are too long for it.
func (n *neighbour) send(pkts []*packet.Buffer, longest int, s *scratch) {
	if limit := n.limit(); longest > limit {
		pkts = n.short(pkts, limit, s)
	}
	var bytes uint64
	for _, b := range pkts {
		bytes += uint64(b.Len())
	}
	n.stats.sent.add(uint64(len(pkts)), bytes)
	if len(pkts) > 0 {
		n.out.Send(pkts)
	}
}

// short drops the packets that are longer than limit and moves the others
// together.
func (n *neighbour) short(pkts []*packet.Buffer, limit int, s *scratch) []*packet.Buffer {
	fit, drop := pkts[:0], s.drop[:0]
	for _, b := range pkts {
		if b.Len() > limit {
			drop = append(drop, b)
		} else {
			fit = append(fit, b)
		}
	}
	n.stats.tooLong.Add(uint64(len(drop)))
	packet.ReleaseBatch(drop)
	return fit
}
