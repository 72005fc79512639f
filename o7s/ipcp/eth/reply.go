// SPDX-License-Identifier: BSD-3-Clause

package eth

// reply answers a request (code 1).
type reply struct {
	eid      uint16 // endpoint of the requester, to whom it goes
	peerEID  uint16 // endpoint of the responder; any if refused
	response int32  // 0: accepted; else a negated error number
	data     []byte // piggyback; empty if refused
}

func (r reply) append(f framing, b []byte) []byte {
	b = header{sender: r.peerEID, receiver: r.eid, response: r.response, code: codeReply}.append(f, b)
	return append(b, r.data...)
}
