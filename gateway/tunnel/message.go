// SPDX-License-Identifier: BSD-3-Clause

package tunnel

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
)

// Control packets of a tunnel (docs/tunnel.md). The first byte has neither 4
// nor 6 in its upper half, so that none can be taken for an IP packet.
const (
	controlMagic   = 0xC7
	controlVersion = 1
	headerLen      = 16 // bytes

	typeAnnounce = 1
	typeAck      = 2

	family4, family6 = 4, 6
	entryLen4        = 2 + 4  // bytes
	entryLen6        = 2 + 16 // bytes
)

// maxParts and maxPrefixes bound what a peer can make us remember.
const (
	maxParts    = 255
	maxPrefixes = 4096
)

// message is one control packet.
type message struct {
	typ      uint8
	part     uint8 // 0-based number of this part of the announcement
	parts    uint8 // how many there are, at least 1
	seq      uint32
	mtu      uint32         // bytes: the largest packet that the sender takes
	refused  uint16         // ack: prefixes of the part that were not accepted
	prefixes []netip.Prefix // announce
}

var (
	errNotControl = errors.New("no control packet")
	errVersion    = errors.New("control packet of another version")
)

// isControl tells a control packet from an IP packet.
func isControl(b []byte) bool { return len(b) > 0 && b[0] == controlMagic }

// append appends the encoded message.
func (m *message) append(b []byte) []byte {
	n := m.refused
	if m.typ == typeAnnounce {
		n = uint16(len(m.prefixes))
	}
	b = append(b, controlMagic, controlVersion, m.typ, m.part, m.parts, 0)
	b = binary.BigEndian.AppendUint16(b, n)
	b = binary.BigEndian.AppendUint32(b, m.seq)
	b = binary.BigEndian.AppendUint32(b, m.mtu)
	for _, p := range m.prefixes {
		if p.Addr().Is4() {
			b = append(b, family4, byte(p.Bits()))
		} else {
			b = append(b, family6, byte(p.Bits()))
		}
		b = append(b, p.Addr().AsSlice()...)
	}
	return b
}

// parseMessage decodes a control packet and returns how many bytes it used:
// what follows is for later versions and to be ignored.
func parseMessage(b []byte) (m message, n int, err error) {
	if len(b) < headerLen || b[0] != controlMagic {
		return m, 0, errNotControl
	}
	if b[1] != controlVersion {
		return m, 0, fmt.Errorf("%w: %d", errVersion, b[1])
	}
	m.typ, m.part, m.parts = b[2], b[3], b[4]
	count := int(binary.BigEndian.Uint16(b[6:]))
	m.seq = binary.BigEndian.Uint32(b[8:])
	m.mtu = binary.BigEndian.Uint32(b[12:])
	if m.part >= m.parts {
		return m, 0, fmt.Errorf("control packet: part %d of %d", m.part, m.parts)
	}
	n = headerLen
	switch m.typ {
	case typeAck:
		m.refused = uint16(count)
		return m, n, nil
	case typeAnnounce:
	default:
		return m, 0, fmt.Errorf("control packet: unknown type %d", m.typ)
	}
	// The count is the sender's word; the bytes that are there bound it.
	if count*entryLen4 > len(b)-n {
		return m, 0, fmt.Errorf("control packet: %d prefixes in %d bytes", count, len(b)-n)
	}
	m.prefixes = make([]netip.Prefix, 0, count)
	for range count {
		p, k, err := parseEntry(b[n:])
		if err != nil {
			return m, 0, err
		}
		m.prefixes = append(m.prefixes, p)
		n += k
	}
	return m, n, nil
}

// parseEntry decodes one prefix; host bits must be zero.
func parseEntry(b []byte) (netip.Prefix, int, error) {
	if len(b) < entryLen4 {
		return netip.Prefix{}, 0, errors.New("control packet: prefix is cut short")
	}
	var addr netip.Addr
	n := entryLen4
	switch b[0] {
	case family4:
		addr = netip.AddrFrom4([4]byte(b[2:6]))
	case family6:
		if n = entryLen6; len(b) < n {
			return netip.Prefix{}, 0, errors.New("control packet: prefix is cut short")
		}
		addr = netip.AddrFrom16([16]byte(b[2:18]))
		if addr.Is4In6() {
			return netip.Prefix{}, 0, errors.New("control packet: IPv4 address in an IPv6 prefix")
		}
	default:
		return netip.Prefix{}, 0, fmt.Errorf("control packet: unknown family %d", b[0])
	}
	p := netip.PrefixFrom(addr, int(b[1]))
	if !p.IsValid() || p != p.Masked() {
		return netip.Prefix{}, 0, fmt.Errorf("control packet: bad prefix %v/%d", addr, b[1])
	}
	return p, n, nil
}
