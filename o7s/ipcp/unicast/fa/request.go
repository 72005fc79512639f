// SPDX-License-Identifier: BSD-3-Clause

package fa

import (
	"o7gw/o7s/layer"
	"o7gw/o7s/qos"
)

// request asks for a flow (code 0).
type request struct {
	source uint64 // address of the requester
	eid    uint64 // of the flow at the requester
	qos    qos.Spec
	dst    layer.Hash
	data   []byte // piggyback
}

func parseRequest(h header, rest []byte, hashLen int) (message, error) {
	if len(rest) < hashLen {
		return nil, errLength
	}
	return request{
		source: h.source, eid: h.sender, qos: h.qos,
		dst: layer.Hash(rest[:hashLen]), data: rest[hashLen:],
	}, nil
}

func (r request) append(b []byte) []byte {
	b = header{source: r.source, sender: r.eid, qos: r.qos, code: codeRequest}.append(b)
	b = append(b, r.dst...)
	return append(b, r.data...)
}
