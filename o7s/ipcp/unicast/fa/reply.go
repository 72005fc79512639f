// SPDX-License-Identifier: BSD-3-Clause

package fa

// reply answers a request (code 1).
type reply struct {
	eid      uint64 // of the flow at the requester, echoed
	peerEID  uint64 // of the flow at the responder; 0 if refused
	response int32  // 0: accepted; else a negated error number
	data     []byte // piggyback; empty if refused
}

func (r reply) append(b []byte) []byte {
	b = header{receiver: r.eid, sender: r.peerEID, response: r.response, code: codeReply}.append(b)
	return append(b, r.data...)
}
