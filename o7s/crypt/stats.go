// SPDX-License-Identifier: BSD-3-Clause

package crypt

import "sync/atomic"

// counts are updated by both directions.
type counts struct {
	sealed, opened                     atomic.Uint64
	short, forged, replayed, reflected atomic.Uint64
	rotations                          atomic.Uint64
}

// Stats counts packets.
type Stats struct {
	Sealed, Opened uint64
	Short          uint64 // too short for IV and tag
	Forged         uint64 // failed authentication
	Replayed       uint64 // seen before, or too late to tell
	Reflected      uint64 // came back from where we had sent them
	Rotations      uint64 // of the key
}

// Stats returns the counters.
func (b *Box) Stats() Stats {
	c := &b.counts
	return Stats{
		Sealed: c.sealed.Load(), Opened: c.opened.Load(),
		Short: c.short.Load(), Forged: c.forged.Load(),
		Replayed: c.replayed.Load(), Reflected: c.reflected.Load(),
		Rotations: c.rotations.Load(),
	}
}
