// SPDX-License-Identifier: BSD-3-Clause

package fa

import "o7gw/o7s/packet"

// Deliver takes packets that came in a row for the endpoint of a flow, all
// with the same congestion mark. It takes ownership of the buffers, but not of
// the slice.
func (a *FA) Deliver(eid uint64, ecn uint8, pkts []*packet.Buffer) {
	f := a.flows.get(eid)
	if f == nil {
		a.stats.noFlow.Add(uint64(len(pkts)))
		release(pkts)
		return
	}
	size := 0
	for _, b := range pkts {
		size += b.Len()
	}
	f.received.add(len(pkts), size)
	if f.state.Load() == closing { // nobody reads any more
		f.recvFailed.add(len(pkts), size)
	}
	if ecn != 0 || f.marked.Load() {
		f.notice(ecn, len(pkts))
	}
	f.in.Deliver(pkts)
}

// notice takes note of the mark of n packets in a row, and tells the sender
// when that is due.
func (f *flow) notice(ecn uint8, n int) {
	f.recvMu.Lock()
	ece, due := f.level.Received(ecn, n)
	f.marked.Store(f.level.Marked())
	f.recvMu.Unlock()
	remote := f.remote.Load()
	if !due || !validEID(remote) { // FA-1
		return
	}
	f.updates.sent.Add(1)
	if f.fa.send(f.addr, control, update{remote, ece}) != nil {
		f.fa.stats.sendFailed.Add(1)
	}
}
