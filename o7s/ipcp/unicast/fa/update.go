// SPDX-License-Identifier: BSD-3-Clause

package fa

// update reports the level of congestion that a flow meets (code 2). It goes to
// the sender of the flow's packets.
type update struct {
	eid uint64 // of the flow at the receiver of the report
	ece uint16
}

func (u update) append(b []byte) []byte {
	return header{receiver: u.eid, ece: u.ece, code: codeUpdate}.append(b)
}

// updated takes a report.
func (a *FA) updated(u update) {
	f := a.flows.get(u.eid)
	if f == nil {
		a.stats.stray.Add(1)
		return
	}
	f.updates.received.Add(1)
	now := a.now()
	f.mu.Lock()
	f.ca.Update(now, u.ece)
	f.mu.Unlock()
}
