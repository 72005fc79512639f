// SPDX-License-Identifier: BSD-3-Clause

package segment

import (
	"encoding/binary"
	"fmt"
	"net"
)

// Lengths of Ethernet, bytes (IEEE 802.3, 802.1Q).
const (
	etherLen = 14 // without the checksum, which a TAP device does not show
	tagLen   = 4
)

// station is where frames come from and go to: a MAC address in a VLAN, since
// one address may be in different places in different VLANs.
//
//	bits 59…12: address   11…0: VLAN, 0 without tag
type station uint64

const vlanBits = 12

// group reports whether the address is a multicast or broadcast one.
func (s station) group() bool { return s>>(vlanBits+40)&1 == 1 }

// mac returns the address in the lower 48 bits.
func (s station) mac() uint64 { return uint64(s) >> vlanBits }

// vlan returns the VLAN, 0 without tag.
func (s station) vlan() int { return int(s & (1<<vlanBits - 1)) }

// String writes the address as usual.
func (s station) String() string {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], s.mac())
	mac := net.HardwareAddr(b[2:]).String()
	if v := s.vlan(); v != 0 {
		return fmt.Sprintf("%s vlan %d", mac, v)
	}
	return mac
}

// reserved is the first of the 16 group addresses that bridges do not forward
// (IEEE 802.1Q, table 8-1).
const reserved = 0x0180C2000000

// parseFrame returns the stations of a frame; false if it is too short, or
// comes from an address that is none.
func parseFrame(b []byte) (dst, src station, ok bool) {
	if len(b) < etherLen {
		return 0, 0, false
	}
	d := binary.BigEndian.Uint64(b) >> 16
	s := binary.BigEndian.Uint64(b[4:]) & (1<<48 - 1) // the bytes 6…11
	var vlan uint64
	if t := binary.BigEndian.Uint16(b[12:]); t == 0x8100 || t == 0x88A8 {
		if len(b) < etherLen+tagLen {
			return 0, 0, false
		}
		vlan = uint64(binary.BigEndian.Uint16(b[14:])) & (1<<vlanBits - 1)
	}
	dst, src = station(d<<vlanBits|vlan), station(s<<vlanBits|vlan)
	return dst, src, s != 0 && !src.group()
}

// linkLocal reports whether a frame to the station must stay on its link: all
// reserved addresses but that of the spanning tree protocol, which finds loops
// that other LANs close, and only if its frames come through.
func (s station) linkLocal() bool {
	m := s.mac()
	return m&^0xF == reserved && m != reserved
}
