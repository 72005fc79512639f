// SPDX-License-Identifier: BSD-3-Clause

package eth

import (
	"o7gw/o7s/layer"
	"o7gw/o7s/qos"
)

// request asks for a flow (code 0).
type request struct {
	eid  uint16 // endpoint of the requester
	qos  qos.Spec
	dst  layer.Hash
	data []byte // piggyback
}

func (r request) append(f framing, b []byte) []byte {
	b = header{sender: r.eid, qos: r.qos, code: codeRequest}.append(f, b)
	b = append(b, r.dst...)
	return append(b, r.data...)
}
