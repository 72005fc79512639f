// SPDX-License-Identifier: BSD-3-Clause

package netstack

import (
	"net/netip"
	"slices"
	"time"

	"o7gw/o7s/packet"
)

// Bounds of reassembly.
const (
	// fragmentTime is how long the fragments of a packet are waited for: they
	// come from this kernel, or through it.
	fragmentTime = 10 * time.Second
	// mostAssemblies is how many packets are put together at once.
	mostAssemblies = 256
	// mostPieces is how many fragments a packet may have: 64 KiB in fragments
	// of the smallest MTU.
	mostPieces = 128
	// mostFragmentBytes bounds the buffers that hold fragments, bytes.
	mostFragmentBytes = 8 << 20
)

// fragmentKey tells the fragments of different packets apart.
type fragmentKey struct {
	src, dst netip.Addr
	id       uint32
	proto    uint8
}

// piece is a fragment without its headers, at off of the packet's payload.
type piece struct {
	off int
	buf *packet.Buffer
}

// assembly is a packet of which fragments are here.
type assembly struct {
	key    fragmentKey
	since  time.Time
	tos    uint8
	pieces []piece // by offset, without overlap
	bytes  int     // of the pieces
	total  int     // -1 until the last fragment is here
}

// reassembler puts fragments together; one goroutine uses it.
type reassembler struct {
	open  map[fragmentKey]*assembly
	queue []*assembly // the same, oldest first
	held  int         // bytes of buffers
}

// take adds a fragment, and returns the packet when it is complete: with a
// plain header in front, of which nobody looks at more than this package
// does. It takes the buffer. ok is false if the fragment contradicts others,
// or itself: then the packet is lost (RFC 5722).
func (r *reassembler) take(h *ipHeader, b *packet.Buffer, now time.Time) (whole *packet.Buffer, ok bool) {
	b.SetLen(h.total)
	b.TrimFront(h.len)
	r.expire(now)
	key := fragmentKey{h.src, h.dst, h.id, h.proto}
	end := h.offset + b.Len()
	if b.Len() == 0 || h.more && b.Len()%8 != 0 || end > 0xffff-ipLen(h.src) {
		b.Release()
		r.drop(r.open[key])
		return nil, false
	}
	a := r.open[key]
	if a == nil {
		for len(r.queue) >= mostAssemblies || r.held > mostFragmentBytes {
			r.drop(r.queue[0])
		}
		a = &assembly{key: key, since: now, tos: h.tos, total: -1}
		if r.open == nil {
			r.open = map[fragmentKey]*assembly{}
		}
		r.open[key] = a
		r.queue = append(r.queue, a)
	}
	if !h.more {
		if a.total >= 0 && a.total != end {
			b.Release()
			r.drop(a)
			return nil, false
		}
		a.total = end
	}
	if fits, known := a.insert(h.offset, b); !fits {
		b.Release()
		if !known {
			r.drop(a)
		}
		return nil, known
	}
	r.held += backing(b)
	if a.bytes != a.total {
		return nil, true
	}
	whole = a.join()
	r.drop(a)
	return whole, true
}

// insert puts a fragment in its place. known: the same fragment is here
// already.
func (a *assembly) insert(off int, b *packet.Buffer) (fits, known bool) {
	i, found := slices.BinarySearchFunc(a.pieces, off, func(p piece, off int) int { return p.off - off })
	if found {
		return false, a.pieces[i].buf.Len() == b.Len()
	}
	end := off + b.Len()
	if i > 0 && a.pieces[i-1].off+a.pieces[i-1].buf.Len() > off ||
		i < len(a.pieces) && a.pieces[i].off < end || len(a.pieces) == mostPieces {
		return false, false
	}
	if last := len(a.pieces) - 1; a.total >= 0 && (end > a.total || last >= 0 && a.pieces[last].off+a.pieces[last].buf.Len() > a.total) {
		return false, false
	}
	a.pieces = slices.Insert(a.pieces, i, piece{off, b})
	a.bytes += b.Len()
	return true, false
}

// join makes the packet of its pieces.
func (a *assembly) join() *packet.Buffer {
	hdr := ipLen(a.key.src)
	b := packet.Get(hdr + a.total)
	putIP(b.Extend(hdr), a.key.src, a.key.dst, a.key.proto, a.tos, a.total)
	for _, p := range a.pieces {
		b.Append(p.buf.Bytes())
	}
	return b
}

// drop forgets a packet and releases its fragments.
func (r *reassembler) drop(a *assembly) {
	if a == nil {
		return
	}
	for _, p := range a.pieces {
		r.held -= backing(p.buf)
		p.buf.Release()
	}
	delete(r.open, a.key)
	i := slices.Index(r.queue, a)
	r.queue = slices.Delete(r.queue, i, i+1)
}

// expire drops packets whose fragments have not come.
func (r *reassembler) expire(now time.Time) {
	for len(r.queue) > 0 && now.Sub(r.queue[0].since) > fragmentTime {
		r.drop(r.queue[0])
	}
}

// close releases everything.
func (r *reassembler) close() {
	for len(r.queue) > 0 {
		r.drop(r.queue[0])
	}
}

func backing(b *packet.Buffer) int {
	all, _ := b.Backing()
	return len(all)
}
