// SPDX-License-Identifier: BSD-3-Clause

package eth

import (
	"encoding/binary"
	"errors"

	"o7gw/o7s/layer"
	"o7gw/o7s/qos"
)

// Codes of management messages. C knows the first four and ignores others,
// but logs a line for each.
const (
	codeRequest = iota
	codeReply
	codeQuery
	codeQueryReply
	codeTeardown // our extension, docs/extensions.md
)

// Lengths of the fixed part of management messages, bytes (spec 10 §3.5).
const (
	dixFixed = 39
	llcFixed = 37
)

// maxManageFrame is the largest frame with a management message that a C peer
// reads, bytes.
const maxManageFrame = 9000

var (
	errShort = errors.New("management message is too short")
	errCode  = errors.New("management message of unknown code")
)

// fixedLen returns the length of the fixed part.
func (f framing) fixedLen() int {
	if f.llc {
		return llcFixed
	}
	return dixFixed
}

// header is the fixed part of a management message.
type header struct {
	sender, receiver uint16 // endpoints of the flow
	response         int32
	qos              qos.Spec
	code             uint8
}

// parseHeader decodes the fixed part and returns how long it is.
func (f framing) parseHeader(b []byte) (h header, n int, err error) {
	if n = f.fixedLen(); len(b) < n {
		return header{}, 0, errShort
	}
	be := binary.BigEndian
	h.qos = qos.Spec{
		Loss:      be.Uint32(b[4:]),
		Bandwidth: be.Uint64(b[8:]),
		BER:       be.Uint32(b[16:]),
		MaxGap:    be.Uint32(b[20:]),
		Delay:     be.Uint32(b[24:]),
		Timeout:   be.Uint32(b[28:]),
		InOrder:   b[36],
	}
	h.response = int32(be.Uint32(b[32:]))
	if f.llc {
		h.sender, h.receiver = uint16(b[0]), uint16(b[1])
		h.code, h.qos.Availability = b[2], b[3]
	} else {
		h.sender, h.receiver = be.Uint16(b[0:]), be.Uint16(b[2:])
		h.code, h.qos.Availability = b[37], b[38]
	}
	return h, n, nil
}

func (h header) append(f framing, b []byte) []byte {
	be := binary.BigEndian
	if f.llc {
		b = append(b, uint8(h.sender), uint8(h.receiver), h.code, h.qos.Availability)
	} else {
		b = be.AppendUint16(b, h.sender)
		b = be.AppendUint16(b, h.receiver)
	}
	b = be.AppendUint32(b, h.qos.Loss)
	b = be.AppendUint64(b, h.qos.Bandwidth)
	b = be.AppendUint32(b, h.qos.BER)
	b = be.AppendUint32(b, h.qos.MaxGap)
	b = be.AppendUint32(b, h.qos.Delay)
	b = be.AppendUint32(b, h.qos.Timeout)
	b = be.AppendUint32(b, uint32(h.response))
	b = append(b, h.qos.InOrder)
	if !f.llc {
		b = append(b, h.code, h.qos.Availability)
	}
	return b
}

// message is a management message: request, reply, query, queryReply or
// teardown.
type message interface {
	append(f framing, b []byte) []byte
}

// parseManagement decodes a management message of a layer whose hashes have
// hashLen bytes. Byte slices in the result are part of b.
func (f framing) parseManagement(b []byte, hashLen int) (message, error) {
	h, n, err := f.parseHeader(b)
	if err != nil {
		return nil, err
	}
	b = b[n:]
	switch h.code {
	case codeReply:
		return reply{eid: h.receiver, peerEID: h.sender, response: h.response, data: b}, nil
	case codeTeardown:
		return teardown{peerEID: h.sender, eid: h.receiver}, nil
	case codeRequest, codeQuery, codeQueryReply:
	default:
		return nil, errCode
	}
	if len(b) < hashLen { // ETH-7
		return nil, errShort
	}
	name := layer.Hash(b[:hashLen])
	switch h.code {
	case codeQuery:
		return query{name}, nil
	case codeQueryReply:
		return queryReply{name}, nil
	}
	return request{eid: h.sender, qos: h.qos, dst: name, data: b[hashLen:]}, nil
}
