// SPDX-License-Identifier: BSD-3-Clause

package fa

import (
	"encoding/binary"
	"errors"

	"o7gw/o7s/qos"
)

const (
	headerLen  = 61   // bytes, of every message (spec 20 §6.1)
	maxMessage = 2048 // bytes: what a prototype reads (spec 20 §6.1)

	manageEID = 0         // where messages go
	firstEID  = 64        // smaller ones belong to components
	noEID     = 1<<64 - 1 // the prototype's "none"
)

// Codes of messages. A prototype knows the first three and ignores others, but
// logs a line for each.
const (
	codeRequest  = 0
	codeReply    = 1
	codeUpdate   = 2
	codeTeardown = 3 // our extension, docs/extensions.md
)

var (
	errLength = errors.New("message is too short or too long")
	errCode   = errors.New("message of unknown code")
)

// message is one of request, reply, update and teardown.
type message interface{ append(b []byte) []byte }

// header is the fixed part of a message. Which fields have a meaning depends on
// the code; the others are zero.
type header struct {
	source   uint64 // address of the sender
	receiver uint64 // EID of the flow at the receiver
	sender   uint64 // EID of the flow at the sender
	response int32
	qos      qos.Spec
	ece      uint16
	code     uint8
}

// parseHeader decodes the fixed part of a message, and returns how long it is.
func parseHeader(b []byte) (h header, n int, err error) {
	if len(b) < headerLen || len(b) > maxMessage {
		return header{}, 0, errLength
	}
	be := binary.BigEndian
	h = header{
		source:   be.Uint64(b),
		receiver: be.Uint64(b[8:]),
		sender:   be.Uint64(b[16:]),
		response: int32(be.Uint32(b[32:])),
		qos: qos.Spec{
			Bandwidth:    be.Uint64(b[24:]),
			Delay:        be.Uint32(b[36:]),
			Loss:         be.Uint32(b[40:]),
			BER:          be.Uint32(b[44:]),
			MaxGap:       be.Uint32(b[48:]),
			Timeout:      be.Uint32(b[52:]),
			Availability: b[59],
			InOrder:      b[60],
		},
		ece:  be.Uint16(b[56:]),
		code: b[58],
	}
	return h, headerLen, nil
}

func (h header) append(b []byte) []byte {
	be := binary.BigEndian
	b = be.AppendUint64(b, h.source)
	b = be.AppendUint64(b, h.receiver)
	b = be.AppendUint64(b, h.sender)
	b = be.AppendUint64(b, h.qos.Bandwidth)
	b = be.AppendUint32(b, uint32(h.response))
	b = be.AppendUint32(b, h.qos.Delay)
	b = be.AppendUint32(b, h.qos.Loss)
	b = be.AppendUint32(b, h.qos.BER)
	b = be.AppendUint32(b, h.qos.MaxGap)
	b = be.AppendUint32(b, h.qos.Timeout)
	b = be.AppendUint16(b, h.ece)
	return append(b, h.code, h.qos.Availability, h.qos.InOrder)
}

// parse decodes a whole message in a layer whose hashes have hashLen bytes.
// Byte slices in the result are part of b.
func parse(b []byte, hashLen int) (message, error) {
	h, n, err := parseHeader(b)
	if err != nil {
		return nil, err
	}
	switch h.code {
	case codeRequest:
		return parseRequest(h, b[n:], hashLen)
	case codeReply:
		return reply{eid: h.receiver, peerEID: h.sender, response: h.response, data: b[n:]}, nil
	case codeUpdate:
		return update{eid: h.receiver, ece: h.ece}, nil
	case codeTeardown:
		return teardown{source: h.source, eid: h.receiver, peerEID: h.sender}, nil
	}
	return nil, errCode
}

// validEID reports whether a flow may have the EID. Nothing is ever sent to
// another one (FA-1).
func validEID(eid uint64) bool { return eid >= firstEID && eid != noEID }
