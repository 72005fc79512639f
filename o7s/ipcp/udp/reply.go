// SPDX-License-Identifier: BSD-3-Clause

package udp

// reply answers a request (code 2). On the wire the requester's endpoint, to
// which the reply goes, is called s_eid.
type reply struct {
	eid      uint32 // endpoint of the requester, echoed
	peerEID  uint32 // endpoint of the responder; any if refused
	response int32  // 0: accepted; else a negated error number
	data     []byte // piggyback; empty if refused
}

func (r reply) append(b []byte) []byte {
	b = header{sEID: r.eid, dEID: r.peerEID, response: r.response, code: codeReply}.append(b)
	return append(b, r.data...)
}
