// SPDX-License-Identifier: BSD-3-Clause

package session

import (
	"encoding/binary"
	"net/netip"
)

// Flags in the kind of a datagram packet, KindDatagram | flags.
const (
	flagAddr4    = 0x01 // an IPv4 address and port follow
	flagAddr6    = 0x02 // an IPv6 address and port follow
	flagFragment = 0x04 // id, index and last index of a fragment follow
	datagramMask = 0xf8
)

// MaxDatagram is the largest payload of a datagram, bytes: that of UDP over
// IPv4.
const MaxDatagram = 65507

// Lengths in bytes.
const (
	fragmentLen = 4 // id (2), index, last index
	// MaxDatagramHeader is what a datagram packet has in front of its payload
	// at most.
	MaxDatagramHeader = 1 + addr16 + 2 + fragmentLen
	// maxFragments is how many fragments a datagram can have.
	maxFragments = 256
)

// DatagramHeader is what stands in front of a datagram, or of one of its
// fragments.
type DatagramHeader struct {
	// Addr is the target, or where the datagram comes from; invalid: that of
	// the request. All fragments of a datagram have it.
	Addr netip.AddrPort
	// Last is the index of the last fragment; 0: not fragmented.
	ID          uint16
	Index, Last uint8
}

// Len returns the length of the header, bytes.
func (h *DatagramHeader) Len() int {
	n := 1
	if h.Addr.IsValid() {
		n += h.Addr.Addr().Unmap().BitLen()/8 + 2
	}
	if h.Last > 0 {
		n += fragmentLen
	}
	return n
}

// Put writes the header to b, which has Len bytes.
func (h *DatagramHeader) Put(b []byte) {
	b[0] = byte(KindDatagram)
	p := b[1:]
	if h.Addr.IsValid() {
		if a := h.Addr.Addr().Unmap(); a.Is4() {
			b[0] |= flagAddr4
			v := a.As4()
			p = p[copy(p, v[:]):]
		} else {
			b[0] |= flagAddr6
			v := a.As16()
			p = p[copy(p, v[:]):]
		}
		binary.BigEndian.PutUint16(p, h.Addr.Port())
		p = p[2:]
	}
	if h.Last > 0 {
		b[0] |= flagFragment
		binary.BigEndian.PutUint16(p, h.ID)
		p[2], p[3] = h.Index, h.Last
	}
}

// IsDatagram reports whether a packet is of the kind.
func IsDatagram(p []byte) bool { return len(p) > 0 && p[0]&datagramMask == byte(KindDatagram) }

// ParseDatagram reads the header of a datagram packet and returns its length.
func ParseDatagram(p []byte) (h DatagramHeader, n int, err error) {
	if !IsDatagram(p) {
		return h, 0, malformed("no datagram")
	}
	flags, n := p[0]&^datagramMask, 1
	var a netip.Addr
	switch flags & (flagAddr4 | flagAddr6) {
	case flagAddr4:
		if len(p) < n+addr4+2 {
			return h, 0, malformed("datagram address cut off")
		}
		a = netip.AddrFrom4([4]byte(p[n:]))
		n += addr4
	case flagAddr6:
		if len(p) < n+addr16+2 {
			return h, 0, malformed("datagram address cut off")
		}
		a = netip.AddrFrom16([16]byte(p[n:]))
		n += addr16
		if a.Is4In6() {
			return h, 0, malformed("IPv4 address in IPv6 form")
		}
	case flagAddr4 | flagAddr6:
		return h, 0, malformed("datagram with two addresses")
	}
	if a.IsValid() {
		h.Addr = netip.AddrPortFrom(a, binary.BigEndian.Uint16(p[n:]))
		n += 2
	}
	if flags&flagFragment != 0 {
		if len(p) < n+fragmentLen {
			return h, 0, malformed("fragment cut off")
		}
		h.ID, h.Index, h.Last = binary.BigEndian.Uint16(p[n:]), p[n+2], p[n+3]
		n += fragmentLen
		if h.Last == 0 || h.Index > h.Last {
			return h, 0, malformed("fragment %d of %d", h.Index, h.Last)
		}
	}
	return h, n, nil
}
