// SPDX-License-Identifier: BSD-3-Clause

package ip

import "encoding/binary"

// Fragment splits an IPv4 packet that Parse accepted and that may be
// fragmented into pieces of at most mtu bytes, and calls emit with each; the
// slice is only valid during the call. It reports false, and emits nothing,
// if mtu has no room for header and eight bytes. Options stay with the first
// piece only if they must be copied (RFC 791 §3.1).
func Fragment(p []byte, h Header, mtu int, emit func(frag []byte)) bool {
	rest := copiedOptions(p[IPv4Len:h.Len])
	if mtu < h.Len+8 {
		return false
	}
	payload := p[h.Len:h.Total]
	frag := binary.BigEndian.Uint16(p[6:])
	offset, more := int(frag&0x1fff), frag&0x2000
	head := p[:h.Len]
	buf := make([]byte, 0, mtu)
	for len(payload) > 0 {
		n, flag := len(payload), more
		if len(head)+n > mtu {
			n, flag = (mtu-len(head))&^7, 0x2000
		}
		buf = append(append(buf[:0], head...), payload[:n]...)
		buf[0] = 0x40 | byte(len(head)/4)
		binary.BigEndian.PutUint16(buf[2:], uint16(len(buf)))
		binary.BigEndian.PutUint16(buf[6:], flag|uint16(offset))
		buf[10], buf[11] = 0, 0
		binary.BigEndian.PutUint16(buf[10:], ^Fold(Sum(buf[:len(head)], 0)))
		emit(buf)
		payload = payload[n:]
		offset += n / 8
		head = append(append(make([]byte, 0, h.Len), p[:IPv4Len]...), rest...)
	}
	return true
}

// copiedOptions returns the options that go into every fragment, padded to
// whole words.
func copiedOptions(opts []byte) []byte {
	var out []byte
	for i := 0; i < len(opts); {
		switch {
		case opts[i] == optEnd:
			i = len(opts)
			continue
		case opts[i] == optNop:
			i++
			continue
		case i+1 >= len(opts) || opts[i+1] < 2 || i+int(opts[i+1]) > len(opts):
			i = len(opts)
			continue
		}
		n := int(opts[i+1])
		if opts[i]&0x80 != 0 {
			out = append(out, opts[i:i+n]...)
		}
		i += n
	}
	for len(out)%4 != 0 {
		out = append(out, optEnd)
	}
	return out
}
