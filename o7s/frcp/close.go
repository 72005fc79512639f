// SPDX-License-Identifier: BSD-3-Clause

package frcp

import "time"

// Lingering reports, after Finish, whether the Endpoint must still be driven:
// something is not acknowledged by either side yet, or the peer may repeat the end of its data because
// our last acknowledgement was lost.
func (e *Endpoint) Lingering() bool {
	if e.err != nil {
		return false
	}
	r := &e.rcv
	return !e.Flushed() || r.open && (r.due || r.dueAt != never) || r.lingers != never
}

// lingerMax bounds the wait for a repeated end of data; by then the peer has repeated
// it twice, or its layer has told it of our end.
const lingerMax = time.Second

// linger begins, or begins again, the wait for repetitions.
func (e *Endpoint) linger(now time.Duration) {
	e.rcv.due = true
	e.rcv.lingers = now + min(3*e.snd.rtt.rto(), lingerMax)
}

// endLinger ends it when its time has come.
func (e *Endpoint) endLinger(now time.Duration) {
	if e.rcv.lingers <= now {
		e.rcv.lingers = never
	}
}
