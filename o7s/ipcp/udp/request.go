// SPDX-License-Identifier: BSD-3-Clause

package udp

import (
	"o7gw/o7s/layer"
	"o7gw/o7s/qos"
)

// request asks for a flow (code 1).
type request struct {
	eid  uint32 // endpoint of the requester
	qos  qos.Spec
	dst  layer.Hash
	data []byte // piggyback
}

func parseRequest(h header, rest []byte) (any, error) {
	if len(rest) < hashLen { // UDP-2
		return nil, errShort
	}
	return request{eid: h.sEID, qos: h.qos, dst: layer.Hash(rest[:hashLen]), data: rest[hashLen:]}, nil
}

func (r request) append(b []byte) []byte {
	b = header{sEID: r.eid, qos: r.qos, code: codeRequest}.append(b)
	b = append(b, r.dst...)
	return append(b, r.data...)
}
