// SPDX-License-Identifier: BSD-3-Clause

//go:build linux

package tun

import (
	"bytes"
	"encoding/binary"

	"o7gw/gateway/ip"
	"o7gw/o7s/packet"
)

// The Writer joins packets of one connection that follow each other, as the
// kernel's own GRO does, so that the kernel's stack is passed once for up to
// 64 KiB. Unlike GRO in one flow list it keeps several connections open at
// once, because the batches of a tunnel are interleaved.

const (
	// openItems is how many connections are followed at once in a batch.
	openItems = 8
	// maxJoined is the largest packet made by joining, bytes.
	maxJoined = 65535
	// maxPieces limits the packets joined to one: the kernel's limit of
	// fragments per socket buffer does not count copied data, but its lists
	// of I/O vectors end at 1024.
	maxPieces = 256
)

// kind is what may be joined with what.
type kind uint8

const (
	single kind = iota
	tcp4
	tcp6
	udp4
	udp6
)

// segment is one packet as the coalescer sees it.
type segment struct {
	p       []byte
	kind    kind
	ipLen   int // bytes of the IP header
	hdrLen  int // bytes of IP and transport header
	payload int // bytes behind them
	last    bool
}

const (
	tcpPSH = 0x08
	tcpACK = 0x10
)

// classify says whether p may be joined with others, and how.
func classify(p []byte, uso bool) segment {
	s := segment{p: p}
	if len(p) < ip.IPv4Len+ip.UDPLen {
		return s
	}
	var proto byte
	switch p[0] {
	case 0x45: // options are not joined
		// Only what must not be fragmented: then the identification has no
		// meaning and may change when the kernel splits again.
		if int(binary.BigEndian.Uint16(p[2:])) != len(p) || binary.BigEndian.Uint16(p[6:]) != 0x4000 {
			return s
		}
		proto, s.ipLen = p[9], ip.IPv4Len
	default:
		if p[0]>>4 != 6 || len(p) < ip.IPv6Len+ip.UDPLen ||
			int(binary.BigEndian.Uint16(p[4:]))+ip.IPv6Len != len(p) {
			return s
		}
		proto, s.ipLen = p[6], ip.IPv6Len
	}
	t := p[s.ipLen:]
	switch proto {
	case ip.TCP:
		if len(t) < ip.TCPLen || t[13]&^tcpPSH != tcpACK {
			return s
		}
		n := int(t[12]>>4) * 4
		if n < ip.TCPLen || n >= len(t) {
			return s
		}
		s.hdrLen, s.payload, s.last = s.ipLen+n, len(t)-n, t[13]&tcpPSH != 0
		s.kind = tcp4
	case ip.UDP:
		if !uso || int(binary.BigEndian.Uint16(t[4:])) != len(t) || len(t) == ip.UDPLen ||
			t[6] == 0 && t[7] == 0 {
			return s
		}
		s.hdrLen, s.payload = s.ipLen+ip.UDPLen, len(t)-ip.UDPLen
		s.kind = udp4
	default:
		return s
	}
	if s.ipLen == ip.IPv6Len {
		s.kind++
	}
	return s
}

// item is one packet for the kernel, made of one or more packets of the batch.
type item struct {
	seg         segment // the first
	first, tail int     // in the batch, linked by Writer.next
	pieces      int
	size        int    // bytes
	seq         uint32 // TCP: of the byte that must follow
	shut        bool   // nothing may be appended
	checked     bool   // the checksum of the first was verified
}

// sameFlow compares addresses and ports.
func (it *item) sameFlow(s *segment) bool {
	if it.seg.kind != s.kind {
		return false
	}
	a, b := it.seg.p, s.p
	return bytes.Equal(a[s.ipLen:s.ipLen+4], b[s.ipLen:s.ipLen+4]) && bytes.Equal(ip.Addrs(a), ip.Addrs(b))
}

// takes reports whether s continues the item in every respect but checksums.
func (it *item) takes(s *segment) bool {
	h := &it.seg
	if it.shut || h.hdrLen != s.hdrLen || s.payload > h.payload ||
		it.size+s.payload > maxJoined || it.pieces == maxPieces {
		return false
	}
	a, b := h.p, s.p
	if h.ipLen == ip.IPv4Len {
		if a[1] != b[1] || a[8] != b[8] { // TOS, TTL
			return false
		}
	} else if a[7] != b[7] || !bytes.Equal(a[:4], b[:4]) { // hop limit, class and flow label
		return false
	}
	if s.kind >= udp4 {
		return true
	}
	a, b = a[h.ipLen:h.hdrLen], b[h.ipLen:h.hdrLen]
	// Sequence; acknowledgement; window and urgent pointer; options.
	return binary.BigEndian.Uint32(b[4:]) == it.seq && bytes.Equal(a[8:12], b[8:12]) &&
		bytes.Equal(a[14:16], b[14:16]) && bytes.Equal(a[18:], b[18:])
}

// valid verifies the transport checksum. A joined packet gets a new one, so a
// damaged packet must not be joined.
func (s *segment) valid() bool {
	proto := uint8(ip.TCP)
	if s.kind >= udp4 {
		proto = ip.UDP
	}
	t := s.p[s.ipLen:]
	return ip.Fold(ip.Sum(t, ip.PseudoSum(ip.Addrs(s.p), proto, len(t)))) == 0xffff
}

// plan sorts the batch into w.items.
func (w *Writer) plan(pkts []*packet.Buffer) {
	w.items, w.open = w.items[:0], w.open[:0]
	for i, b := range pkts {
		w.next[i] = -1
		s := classify(b.Bytes(), w.dev.uso)
		if s.kind != single && w.join(&s, i) {
			continue
		}
		it := item{seg: s, first: i, tail: i, pieces: 1, size: len(s.p)}
		if s.kind != single {
			if s.kind < udp4 {
				it.seq = binary.BigEndian.Uint32(s.p[s.ipLen+4:]) + uint32(s.payload)
			}
			it.shut = s.last
			w.follow(len(w.items))
		}
		w.items = append(w.items, it)
	}
}

// follow makes the item the latest of the open ones.
func (w *Writer) follow(i int) {
	if len(w.open) == openItems {
		copy(w.open, w.open[1:])
		w.open = w.open[:openItems-1]
	}
	w.open = append(w.open, i)
}

// join appends packet i to the open item of its connection, if there is one
// that it continues. If it cannot, that item is out of the race: later
// packets of the connection must not overtake this one.
func (w *Writer) join(s *segment, i int) bool {
	for k := len(w.open) - 1; k >= 0; k-- {
		it := &w.items[w.open[k]]
		if !it.sameFlow(s) {
			continue
		}
		if it.takes(s) && it.verify() && s.valid() {
			w.next[it.tail] = i
			it.tail = i
			it.pieces++
			it.size += s.payload
			it.seq += uint32(s.payload)
			it.seg.last = it.seg.last || s.last
			it.shut = s.last || s.payload < it.seg.payload
			return true
		}
		w.open = append(w.open[:k], w.open[k+1:]...)
		return false
	}
	return false
}

// verify checks the first packet of the item, once.
func (it *item) verify() bool {
	if !it.checked {
		it.checked = true
		it.shut = !it.seg.valid()
	}
	return !it.shut
}
