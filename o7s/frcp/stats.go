// SPDX-License-Identifier: BSD-3-Clause

package frcp

import "time"

// Stats counts what an Endpoint did.
type Stats struct {
	SentPackets   uint64 // with data, retransmissions included
	SentControl   uint64 // without data
	Retransmitted uint64
	Lost          uint64 // packets found lost
	Timeouts      uint64 // retransmission timeouts
	Probes        uint64 // tail-loss probes
	Rendezvous    uint64 // requests for a window

	Received   uint64 // packets with data
	Duplicates uint64 // of those, had before
	Outside    uint64 // of those, beyond the window or of no run
	Malformed  uint64 // too short, or malformed blocks
	Gaps       uint64 // ordered only: numbers jumped over

	RTT, RTTVar, MinRTT time.Duration // 0: not known yet
	RTO                 time.Duration
	Window              int     // own receive window, packets
	PeerWindow          int     // what the peer lets us send just now, packets
	Waiting             int     // packets that wait to be sent
	Flying              int     // packets under way
	Unread              int     // packets in order that wait to be read
	Rate                float64 // pace, bytes per second; 0: none
}

// Stats returns the counters and the present state.
func (e *Endpoint) Stats() Stats {
	st := e.stats
	s, r := &e.snd, &e.rcv
	if s.rtt.known {
		st.RTT, st.RTTVar, st.MinRTT = s.rtt.srtt, s.rtt.mdev, s.rtt.min
	}
	st.RTO = s.rtt.rto()
	st.Window = int(r.window)
	st.PeerWindow = max(int(int32(s.edge-s.next)), 0)
	st.Waiting = int(s.end - s.next)
	st.Flying = s.flying.count
	st.Unread = r.unread.count
	st.Rate = e.cfg.Congestion.Rate()
	return st
}
