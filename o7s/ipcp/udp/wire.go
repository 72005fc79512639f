// SPDX-License-Identifier: BSD-3-Clause

package udp

import (
	"encoding/binary"
	"errors"

	"o7gw/o7s/qos"
)

// Lengths in bytes (spec 10 §2.3 and §2.4).
const (
	eidLen    = 4
	fixedLen  = 47 // fixed part of a management message, with its EID
	hashLen   = 16 // MD5
	manageEID = 0  // datagrams with this EID are management messages

	// maxManage is the largest management message that a C peer survives
	// (UDP-1).
	maxManage      = 2048
	maxRequestData = maxManage - fixedLen - hashLen
	maxReplyData   = maxManage - fixedLen
)

// Codes of management messages. C knows the first two and ignores others,
// but logs a line for each.
const (
	codeRequest  = 1
	codeReply    = 2
	codeTeardown = 3 // our extension, docs/extensions.md
)

var (
	errShort = errors.New("management message is too short")
	errCode  = errors.New("management message of unknown code")
)

// header is the fixed part of a management message. Which EID is whose
// depends on the code.
type header struct {
	sEID, dEID uint32
	response   int32
	qos        qos.Spec
	code       uint8
}

// parseHeader decodes the fixed part of a datagram whose EID is manageEID,
// and returns how long it is.
func parseHeader(b []byte) (h header, n int, err error) {
	if len(b) < fixedLen {
		return header{}, 0, errShort
	}
	be := binary.BigEndian
	h = header{
		sEID:     be.Uint32(b[4:]),
		dEID:     be.Uint32(b[8:]),
		response: int32(be.Uint32(b[12:])),
		qos: qos.Spec{
			Bandwidth:    be.Uint64(b[16:]),
			Delay:        be.Uint32(b[24:]),
			Loss:         be.Uint32(b[28:]),
			BER:          be.Uint32(b[32:]),
			MaxGap:       be.Uint32(b[36:]),
			Timeout:      be.Uint32(b[40:]),
			Availability: b[45],
			InOrder:      b[46],
		},
		code: b[44],
	}
	return h, fixedLen, nil
}

func (h header) append(b []byte) []byte {
	be := binary.BigEndian
	b = be.AppendUint32(b, manageEID)
	b = be.AppendUint32(b, h.sEID)
	b = be.AppendUint32(b, h.dEID)
	b = be.AppendUint32(b, uint32(h.response))
	b = be.AppendUint64(b, h.qos.Bandwidth)
	b = be.AppendUint32(b, h.qos.Delay)
	b = be.AppendUint32(b, h.qos.Loss)
	b = be.AppendUint32(b, h.qos.BER)
	b = be.AppendUint32(b, h.qos.MaxGap)
	b = be.AppendUint32(b, h.qos.Timeout)
	return append(b, h.code, h.qos.Availability, h.qos.InOrder)
}

// parseManagement decodes a whole management datagram into a request, reply
// or teardown. Byte slices in the result are part of b.
func parseManagement(b []byte) (any, error) {
	h, n, err := parseHeader(b)
	if err != nil {
		return nil, err
	}
	switch h.code {
	case codeRequest:
		return parseRequest(h, b[n:])
	case codeReply:
		return reply{eid: h.sEID, peerEID: h.dEID, response: h.response, data: b[n:]}, nil
	case codeTeardown:
		return teardown{peerEID: h.sEID, eid: h.dEID}, nil
	}
	return nil, errCode
}
