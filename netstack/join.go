// SPDX-License-Identifier: BSD-3-Clause

package netstack

import (
	"bytes"
	"encoding/binary"

	"gvisor.dev/gvisor/pkg/buffer"
)

const (
	flagPSH = 8
	flagACK = 16
)

// joined is segments of one connection that follow each other, as the kernel
// gives them when it has split a large one: gVisor gets them as one.
type joined struct {
	h    ipHeader
	head []byte // headers of the first, in its buffer
	data buffer.Buffer
	size int    // bytes of the whole packet
	each int    // payload of the first, bytes
	next uint32 // sequence number
	push bool
	many bool // more than one
}

// join adds a segment, of hdr bytes of headers, to those before it, or begins
// anew. false: it has to be delivered alone, after flush.
func (r *reader) join(h *ipHeader, p []byte, hdr int) bool {
	t := p[h.len:hdr]
	payload := p[hdr:]
	flags := t[13]
	if flags&^flagPSH != flagACK || len(payload) == 0 || h.len != ipLen(h.src) {
		return false
	}
	j := &r.joined
	if !j.takes(h, p, hdr) {
		r.flush()
		j.h, j.head, j.size, j.each = *h, p[:hdr], hdr, len(payload)
		j.data = buffer.MakeWithView(buffer.NewViewWithData(p[:hdr]))
		j.next = binary.BigEndian.Uint32(t[4:])
	} else {
		j.many = true
	}
	j.data.Append(buffer.NewViewWithData(payload))
	j.size += len(payload)
	j.next += uint32(len(payload))
	j.push = flags&flagPSH != 0
	if j.push || len(payload) < j.each {
		r.flush()
	}
	return true
}

// takes reports whether a segment continues the others in every respect.
func (j *joined) takes(h *ipHeader, p []byte, hdr int) bool {
	if j.head == nil || len(j.head) != hdr || j.h.len != h.len || j.size+len(p)-hdr > 0xffff || len(p)-hdr > j.each {
		return false
	}
	a, b := j.head, p
	if h.v6 {
		if !bytes.Equal(a[:4], b[:4]) || !bytes.Equal(a[8:40], b[8:40]) {
			return false
		}
	} else if a[0] != b[0] || a[1] != b[1] || !bytes.Equal(a[12:20], b[12:20]) {
		return false
	}
	a, b = a[h.len:], b[h.len:hdr]
	// Ports; acknowledgement and length; window; urgent pointer and options.
	return bytes.Equal(a[:4], b[:4]) && binary.BigEndian.Uint32(b[4:]) == j.next && bytes.Equal(a[8:13], b[8:13]) &&
		bytes.Equal(a[14:16], b[14:16]) && bytes.Equal(a[18:], b[18:])
}

// flush delivers what was joined.
func (r *reader) flush() {
	j := &r.joined
	if j.head == nil {
		return
	}
	if j.many || j.push {
		v, _ := j.data.PullUp(0, len(j.head))
		p := v.AsSlice()
		if j.h.v6 {
			binary.BigEndian.PutUint16(p[4:], uint16(j.size-ip6Len))
		} else {
			binary.BigEndian.PutUint16(p[2:], uint16(j.size))
		}
		if j.push {
			p[j.h.len+13] |= flagPSH
		}
	}
	r.give(j.h.v6, j.data)
	*j = joined{}
}
