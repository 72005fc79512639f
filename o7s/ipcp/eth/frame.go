// SPDX-License-Identifier: BSD-3-Clause

package eth

import (
	"encoding/binary"
	"math/bits"
	"net"
)

// mac is the address of a device.
type mac [6]byte

var broadcast = mac{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

// String returns the usual text, for logs and errors.
func (m mac) String() string { return net.HardwareAddr(m[:]).String() }

// group reports whether the address is of several devices; no frame comes
// from one.
func (m mac) group() bool { return m[0]&1 != 0 }

// Lengths of frame headers in bytes (spec 10 §3.3 and §3.4).
const (
	etherLen  = 14           // addresses and Ethertype or length
	dixLen    = etherLen + 4 // and EID, length
	llcLen    = etherLen + 3 // and DSAP, SSAP, control
	maxHeader = dixLen
)

const (
	manageEID = 0    // eth-dix: endpoint of management messages
	manageSAP = 1    // eth-llc: likewise, before its bits are reversed
	controlUI = 0x03 // LLC control field: unnumbered information
	maxLength = 1500 // largest IEEE 802.3 length field
)

// The endpoint ids that we give to our flows (spec 10 §3.7). A C node has no
// room for others in its tables.
const (
	firstEID, lastEID = 64, 4095
	firstSAP, lastSAP = 2, 63
)

// framing is how packets are put into frames: eth-dix or eth-llc.
type framing struct {
	llc       bool
	ethertype uint16 // eth-dix only
}

// headerLen returns the length of the frame header in bytes.
func (f framing) headerLen() int {
	if f.llc {
		return llcLen
	}
	return dixLen
}

// manageID returns the endpoint id of management messages, at both ends.
func (f framing) manageID() uint16 {
	if f.llc {
		return manageSAP
	}
	return manageEID
}

// ids returns the endpoint ids that flows may have here.
func (f framing) ids() (first, last uint16) {
	if f.llc {
		return firstSAP, lastSAP
	}
	return firstEID, lastEID
}

// validRemote reports whether a peer may have announced the endpoint id.
func (f framing) validRemote(id uint16) bool {
	if f.llc {
		return id >= firstSAP && id <= lastSAP
	}
	return id != manageEID
}

// head fills the frame header h, headerLen bytes, but for the length.
func (f framing) head(h []byte, to, from mac, dst, src uint16) {
	copy(h[0:6], to[:])
	copy(h[6:12], from[:])
	if f.llc {
		h[14] = bits.Reverse8(uint8(dst))
		h[15] = bits.Reverse8(uint8(src))
		h[16] = controlUI
		return
	}
	binary.BigEndian.PutUint16(h[12:], f.ethertype)
	binary.BigEndian.PutUint16(h[14:], dst)
}

// setLen fills in the length: n is that of the payload.
func (f framing) setLen(h []byte, n int) {
	if f.llc {
		binary.BigEndian.PutUint16(h[12:], uint16(n+llcLen-etherLen))
	} else {
		binary.BigEndian.PutUint16(h[16:], uint16(n))
	}
}

// decoded is a frame header. src is 0 in eth-dix, whose frames do not tell.
type decoded struct {
	to, from mac
	dst, src uint16
	n        int // length of the payload in bytes
}

// decode reads the frame header h, headerLen bytes, of which rest bytes
// follow in the frame; padding is behind the payload (ETH-1, ETH-2, ETH-4).
func (f framing) decode(h []byte, rest int) (d decoded, ok bool) {
	d.to, d.from = mac(h[0:6]), mac(h[6:12])
	if !f.llc {
		d.dst, d.n = binary.BigEndian.Uint16(h[14:]), int(binary.BigEndian.Uint16(h[16:]))
		return d, binary.BigEndian.Uint16(h[12:]) == f.ethertype && d.n <= rest
	}
	d.dst, d.src = uint16(bits.Reverse8(h[14])), uint16(bits.Reverse8(h[15]))
	d.n = int(binary.BigEndian.Uint16(h[12:])) - (llcLen - etherLen)
	return d, d.n >= 0 && d.n <= min(rest, maxLength-(llcLen-etherLen)) &&
		d.dst <= lastSAP && d.src <= lastSAP && h[16] == controlUI
}
