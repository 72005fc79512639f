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

// Rest returns how long after now the endpoint ids of the flow must not be used
// for another one, so that no packet of this flow is taken for one of that
// (Delta-t, spec 30 §3.11).
func (e *Endpoint) Rest(now time.Duration) time.Duration {
	var rest time.Duration
	whole := func(limit, last time.Duration) time.Duration {
		return limit.Truncate(time.Second) + time.Second - (now - last).Truncate(time.Second)
	}
	if e.snd.active {
		rest = whole(3*e.cfg.MPL+ackLimit+retransmitLimit, e.snd.lastSent)
	}
	if e.rcv.open {
		rest = max(rest, whole(2*e.cfg.MPL+ackLimit+retransmitLimit, e.rcv.lastData))
	}
	return max(rest, 0)
}
