// SPDX-License-Identifier: BSD-3-Clause

package eth

// teardown tells the peer that the flow has ended (code 4, our extension). All
// other fields are sent as zero and ignored on receipt, as are bytes behind
// the fixed part.
type teardown struct {
	peerEID uint16 // endpoint of the sender
	eid     uint16 // endpoint of the receiver
}

func (t teardown) append(f framing, b []byte) []byte {
	return header{sender: t.peerEID, receiver: t.eid, code: codeTeardown}.append(f, b)
}
