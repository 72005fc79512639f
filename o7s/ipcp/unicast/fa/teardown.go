// SPDX-License-Identifier: BSD-3-Clause

package fa

// teardown tells that a flow has ended (code 3, our extension,
// docs/extensions.md). Only a peer that announced the capability gets it.
type teardown struct {
	source  uint64 // address of the sender
	eid     uint64 // of the flow at the receiver of the notice
	peerEID uint64 // of the flow at its sender
}

func (t teardown) append(b []byte) []byte {
	return header{source: t.source, receiver: t.eid, sender: t.peerEID, code: codeTeardown}.append(b)
}

// torn takes a notice of a peer that its end of a flow has ended.
func (a *FA) torn(t teardown) {
	f := a.flows.get(t.eid)
	if f == nil || f.state.Load() == pending {
		a.stats.stray.Add(1)
		return
	}
	if f.remote.Load() != t.peerEID || f.addr != t.source {
		a.stats.source.Add(1)
		return
	}
	if f.end() {
		a.stats.teardowns.Add(1)
	}
}
