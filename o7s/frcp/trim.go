// SPDX-License-Identifier: BSD-3-Clause

package frcp

// Trim gives back the memory that a flow has needed when it was busy, for one that is
// quiet now: after a transfer that may be hundreds of kilobytes. It costs nothing
// but to make it anew.
func (e *Endpoint) Trim() {
	e.begin()
	s, r := &e.snd, &e.rcv
	if s.una == s.end {
		s.ring = nil
	}
	if r.unread.count == 0 {
		r.unread = fifo{}
	}
	if r.apart.empty() {
		r.slots = nil
	}
	e.dead, e.lent = nil, nil
}
