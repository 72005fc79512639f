// SPDX-License-Identifier: BSD-3-Clause

package capture

import (
	"encoding/binary"
	"net"
	"net/netip"
)

// Codes of management messages of the shims.
const (
	codeOther = iota
	codeRequest
	codeReply
)

// shimPacket is what a frame carries for a shim: a packet of a flow (eid not
// 0), or a management message (eid 0).
type shimPacket struct {
	from, to string // MAC or IPv4 address
	eid      uint32 // endpoint at the receiver
	data     []byte // packet of the flow, or piggyback

	// Of a request or reply.
	code                 int
	requester, responder uint32 // endpoints; the responder's is 0 in a request
	response             int32
	name                 string // hash of the name asked for
}

var be = binary.BigEndian

// decode takes a frame apart; false if no shim sent it.
func decode(f []byte) (p shimPacket, ok bool) {
	const etherLen = 14
	if len(f) < etherLen {
		return p, false
	}
	switch be.Uint16(f[12:]) {
	case 0xA000:
		p.from, p.to = net.HardwareAddr(f[6:12]).String(), net.HardwareAddr(f[:6]).String()
		return p, p.dix(f[etherLen:])
	case 0x0800:
		return p, p.ip(f[etherLen:])
	}
	return p, false
}

// dix decodes eth-dix: EID, length, payload (spec 10 §3.3, §3.5).
func (p *shimPacket) dix(b []byte) bool {
	const fixed, hashLen = 39, 32
	if len(b) < 4 || int(be.Uint16(b[2:])) > len(b)-4 {
		return false
	}
	p.eid = uint32(be.Uint16(b))
	p.data = b[4 : 4+be.Uint16(b[2:])]
	if p.eid != 0 {
		return true
	}
	m := p.data
	if len(m) < fixed {
		return false
	}
	sender, receiver := uint32(be.Uint16(m)), uint32(be.Uint16(m[2:]))
	p.data = m[fixed:]
	switch m[37] {
	case 0:
		return p.request(sender, hashLen)
	case 1:
		p.reply(receiver, sender, be.Uint32(m[32:]))
	}
	return true // name queries and their answers
}

// ip decodes udp4: EID, payload (spec 10 §2.3, §2.4).
func (p *shimPacket) ip(b []byte) bool {
	const header, udpHeader, port, udp, fixed, hashLen = 20, 8, 3435, 17, 47, 16
	if len(b) < header+udpHeader+4 || b[0] != 0x45 || b[9] != udp || be.Uint16(b[header+2:]) != port {
		return false
	}
	n := int(be.Uint16(b[header+4:]))
	if n < udpHeader+4 || n > len(b)-header {
		return false
	}
	p.from, p.to = netip.AddrFrom4([4]byte(b[12:])).String(), netip.AddrFrom4([4]byte(b[16:])).String()
	m := b[header+udpHeader : header+n]
	p.eid = be.Uint32(m)
	if p.eid != 0 {
		p.data = m[4:]
		return true
	}
	if len(m) < fixed {
		return false
	}
	p.data = m[fixed:]
	switch m[44] {
	case 1:
		return p.request(be.Uint32(m[4:]), hashLen)
	case 2:
		p.reply(be.Uint32(m[4:]), be.Uint32(m[8:]), be.Uint32(m[12:]))
	}
	return true
}

func (p *shimPacket) request(requester uint32, hashLen int) bool {
	if len(p.data) < hashLen {
		return false
	}
	p.code, p.requester = codeRequest, requester
	p.name, p.data = string(p.data[:hashLen]), p.data[hashLen:]
	return true
}

func (p *shimPacket) reply(requester, responder, response uint32) {
	p.code, p.requester, p.responder, p.response = codeReply, requester, responder, int32(response)
}
