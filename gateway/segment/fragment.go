// SPDX-License-Identifier: BSD-3-Clause

package segment

import "o7gw/o7s/packet"

// split appends the fragments of a packet, a header and a frame, to list: as
// few as fit mtu, all but the last of the same length. It takes the packet.
// False, and the packet released, if they would be too many.
func split(list []*packet.Buffer, b *packet.Buffer, mtu int) ([]*packet.Buffer, bool) {
	h, _, err := parseHeader(b.Bytes())
	total := b.Len() - headerLen
	room := mtu - fragmentLen
	count := (total + room - 1) / max(1, room)
	if err != nil || room < 1 || count > maxFragments || total > 0xFFFF {
		b.Release()
		return list, false
	}
	h.count, h.total = uint8(count), total
	each := pieceLen(total, count)
	b.TrimFront(headerLen)
	frame := b.Bytes()
	list = append(list, b)
	for i := 1; i < count; i++ {
		f := packet.Get(fragmentLen + each)
		h.index = uint8(i)
		h.put(f.Extend(fragmentLen))
		f.Append(frame[i*each : min(total, (i+1)*each)])
		list = append(list, f)
	}
	b.SetLen(each)
	h.index = 0
	h.put(b.Prepend(fragmentLen))
	return list, true
}

// pieceLen returns the length of every fragment but the last.
func pieceLen(total, count int) int { return (total + count - 1) / count }

// openFrames is how many frames of one port may be incomplete at a time. The
// fragments of a frame follow each other closely, and what lost one is given
// up when as many others have begun.
const openFrames = 16

// assembler joins the fragments that come from one port. Its memory is bounded:
// openFrames buffers for whole frames.
type assembler struct {
	open [openFrames]partial
	next int // the oldest
	lost uint64
}

// partial is a frame of which not all fragments are here.
type partial struct {
	id    uint64
	seq   uint32
	count uint8
	have  uint64 // bit for each fragment
	frame *packet.Buffer
}

// add takes the bytes of a fragment of a frame of at most limit bytes, and
// returns the frame if it is complete; false if the fragment is malformed.
func (a *assembler) add(h *header, piece []byte, limit int) (frame *packet.Buffer, ok bool) {
	count := int(h.count)
	if h.total > limit || h.total < etherLen {
		return nil, false
	}
	each := pieceLen(h.total, count)
	from := int(h.index) * each
	if (count-1)*each >= h.total || len(piece) != min(each, h.total-from) {
		return nil, false
	}
	p := a.find(h)
	if p == nil {
		p = &a.open[a.next]
		a.next = (a.next + 1) % openFrames
		if p.frame != nil {
			a.lost++
			p.frame.Release()
		}
		*p = partial{id: h.id, seq: h.seq, count: h.count, frame: packet.Get(h.total)}
		p.frame.SetLen(h.total)
	} else if p.count != h.count || p.frame.Len() != h.total {
		return nil, false
	}
	copy(p.frame.Bytes()[from:], piece)
	p.have |= 1 << h.index
	if p.have != ^uint64(0)>>(64-count) {
		return nil, true
	}
	frame = p.frame
	*p = partial{}
	return frame, true
}

func (a *assembler) find(h *header) *partial {
	for i := range a.open {
		if p := &a.open[i]; p.seq == h.seq && p.id == h.id && p.frame != nil {
			return p
		}
	}
	return nil
}
