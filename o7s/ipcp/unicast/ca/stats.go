// SPDX-License-Identifier: BSD-3-Clause

package ca

// Stats is the state of a sender as statistics show it (spec 20 §11).
type Stats struct {
	Level   uint16 // as the peer reported last, X
	Since   int    // packets sent since then, c
	Slot    int64  // length of a slot in ns, 2^m
	Packets int    // sent since the last adaptation, p
	Bytes   int64  // sent in this slot, b
	Window  int64  // bytes that may be sent in a slot, W
	Regime  string
}

// Rate returns the limit in bytes per second.
func (s Stats) Rate() float64 { return float64(s.Window) * 1e9 / float64(s.Slot) }

// Stats returns the present state.
func (s *Sender) Stats() Stats {
	regime := "Slow start"
	switch {
	case s.avoid && s.level > 0:
		regime = "Multiplicative dec"
	case s.avoid:
		regime = "Additive inc"
	}
	return Stats{
		Level: uint16(s.level), Since: s.since,
		Slot: 1 << s.shift, Packets: s.earlier + s.packets, Bytes: s.bytes, Window: s.window,
		Regime: regime,
	}
}

// Level returns the averaged level R and the counter n.
func (r *Receiver) Level() (level uint16, count uint) { return r.r, r.n }
