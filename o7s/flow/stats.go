// SPDX-License-Identifier: BSD-3-Clause

package flow

import "o7gw/o7s/frcp"

// Stats are the totals of a flow. Keepalives count as packets.
type Stats struct {
	SentPackets, SentBytes         uint64
	ReceivedPackets, ReceivedBytes uint64
	// Dropped counts packets that arrived while the queue was full, and
	// packets of a batch that could not be written.
	Dropped             uint64
	QueuedIn, QueuedOut int // bytes that wait for the reader, and for the other side
	// FRCP is what the protocol did for an ordered or reliable flow, nil on
	// others.
	FRCP *frcp.Stats
}

// Stats returns the totals.
func (f *Flow) Stats() Stats {
	s := f.low.stats()
	s.Dropped += f.drops.Load()
	return s
}
