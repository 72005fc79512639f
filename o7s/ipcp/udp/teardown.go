// SPDX-License-Identifier: BSD-3-Clause

package udp

// teardown tells the peer that the flow has ended (code 3, our extension):
// s_eid is the endpoint of the sender, d_eid that of the receiver. All other
// fields are sent as zero and ignored on receipt, as are bytes behind the
// fixed part.
type teardown struct {
	peerEID uint32 // endpoint of the sender
	eid     uint32 // endpoint of the receiver
}

func (t teardown) append(b []byte) []byte {
	return header{sEID: t.peerEID, dEID: t.eid, code: codeTeardown}.append(b)
}
