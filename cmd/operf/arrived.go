// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"time"

	"o7gw/o7s/load"
	"o7gw/o7s/packet"
)

// arrived counts what comes out of a flow. One goroutine uses it.
type arrived struct {
	seq     load.Sequence
	bytes   uint64 // without those of packets that came again
	invalid uint64
	first   time.Time // arrival; zero before
	last    time.Time
}

// add counts one message.
func (a *arrived) add(b *packet.Buffer) (n uint32, ok bool) {
	if n, ok = number(b.Bytes()); !ok {
		a.invalid++
		return 0, false
	}
	before := a.seq.Received
	a.seq.Add(n)
	if a.seq.Received > before {
		a.bytes += uint64(b.Len())
	}
	return n, true
}

// at notes when messages have arrived.
func (a *arrived) at(now time.Time) {
	if a.first.IsZero() {
		a.first = now
	}
	a.last = now
}

// figures returns the counts. expected is how many packets the peer sent.
func (a *arrived) figures(expected uint64) *arrivals {
	lost := expected - min(expected, a.seq.Received)
	return &arrivals{
		count: count{a.seq.Received, a.bytes}, Lost: lost, Percent: load.Percent(lost, expected),
		OutOfOrder: a.seq.OutOfOrder, Duplicates: a.seq.Duplicates, Invalid: a.invalid,
	}
}
