// SPDX-License-Identifier: BSD-3-Clause

package sim

import "sync/atomic"

// Stats are the counters of a link, both directions between all stations.
// Messages of flow allocation count like packets.
type Stats struct {
	Sent       uint64
	Arrived    uint64
	Lost       uint64 // by chance, or by Params.Drop
	Cut        uint64 // no carrier, partition, or station gone
	Overflow   uint64 // queue was full
	Duplicated uint64
	Late       uint64 // to be overtaken
	TooLong    uint64 // above the MTU
	Stray      uint64 // sent by a flow that has ended
}

type counters struct {
	sent, arrived, lost, cut, overflow, duplicated, late, tooLong, stray atomic.Uint64
}

// Stats returns the counters.
func (l *Link) Stats() Stats {
	c := &l.counters
	return Stats{
		Sent:       c.sent.Load(),
		Arrived:    c.arrived.Load(),
		Lost:       c.lost.Load(),
		Cut:        c.cut.Load(),
		Overflow:   c.overflow.Load(),
		Duplicated: c.duplicated.Load(),
		Late:       c.late.Load(),
		TooLong:    c.tooLong.Load(),
		Stray:      c.stray.Load(),
	}
}
