// SPDX-License-Identifier: BSD-3-Clause

package local

// Stats are the counters of a local IPC process.
type Stats struct {
	Names     int    // registered
	Ports     int    // open ends of flows, two for each flow
	Requests  uint64 // flow requests
	Accepted  uint64
	Refused   uint64
	Abandoned uint64 // requester gave up
	Packets   uint64 // carried, both directions
	Bytes     uint64
	Dropped   uint64 // too long, peer gone, or receiver too slow
}

// Stats returns the counters. Packets that are under way may be counted in
// part.
func (l *IPCP) Stats() Stats {
	s := Stats{
		Names:     l.names.Len(),
		Requests:  l.requests.Load(),
		Accepted:  l.accepted.Load(),
		Refused:   l.refused.Load(),
		Abandoned: l.abandoned.Load(),
		Packets:   l.packets.Load(),
		Bytes:     l.bytes.Load(),
		Dropped:   l.dropped.Load(),
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	s.Ports = len(l.ports)
	for p := range l.ports {
		s.Packets += p.packets.Load()
		s.Bytes += p.bytes.Load()
		s.Dropped += p.dropped.Load() + p.in.Dropped()
	}
	return s
}

// count adds a port that was closed to the totals.
func (l *IPCP) count(p *port) {
	l.packets.Add(p.packets.Load())
	l.bytes.Add(p.bytes.Load())
	l.dropped.Add(p.dropped.Load() + p.in.Dropped())
}
