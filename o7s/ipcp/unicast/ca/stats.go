// SPDX-License-Identifier: BSD-3-Clause

package ca

// Stats is the state of a flow as statistics show it (spec 20 §11).
type Stats struct {
	Upstream        uint16 // level that the peer reported last, X
	UpstreamCount   int    // packets sent since then, c
	Downstream      uint16 // level of what arrives, R
	DownstreamCount uint   // marked packets since it was 0, n
	Slot            int64  // length of a slot in ns, 2^m
	Packets         int    // sent since the last adaptation, p
	Bytes           int64  // sent in this slot, b
	Window          int64  // bytes that may be sent in a slot, W
	Regime          string
}

// Rate returns the limit in bytes per second.
func (s Stats) Rate() float64 { return float64(s.Window) * 1e9 / float64(s.Slot) }

// Stats returns the half of the statistics that the sender knows.
func (s *Sender) Stats() Stats {
	regime := "Slow start"
	switch {
	case s.avoid && s.level > 0:
		regime = "Multiplicative dec"
	case s.avoid:
		regime = "Additive inc"
	}
	return Stats{
		Upstream: uint16(s.level), UpstreamCount: s.since,
		Slot: 1 << s.shift, Packets: s.packets, Bytes: max(s.bytes, 0), Window: s.window,
		Regime: regime,
	}
}

// Level returns R and n, the half of the statistics that the receiver knows.
func (r *Receiver) Level() (level uint16, count uint) { return r.level, r.count }
