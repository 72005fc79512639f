// SPDX-License-Identifier: BSD-3-Clause

package broadcast

import (
	"slices"
	"strconv"
	"sync/atomic"

	"o7gw/o7s/rib"
)

// counters of a neighbour.
type counters struct {
	received, sent tally
	repeats        atomic.Uint64 // received and known already
	tooLong        atomic.Uint64 // not sent
}

// tally counts packets and bytes.
type tally struct{ packets, bytes atomic.Uint64 }

func (t *tally) add(packets, bytes uint64) {
	if packets > 0 {
		t.packets.Add(packets)
		t.bytes.Add(bytes)
	}
}

// manyRepeats of a neighbour, and a quarter of all that it sent, look like a
// cycle.
const manyRepeats = 16

// repeated counts repeats, and tells the operator, once, when they are many.
func (n *neighbour) repeated(count uint64) {
	total := n.stats.repeats.Add(count)
	if total >= manyRepeats && total*4 >= n.stats.received.packets.Load() && !n.warned.Swap(true) {
		n.hub.log.Warn("the connections of the layer seem to form a cycle; packets came again and were dropped, disconnect one of the neighbours", "neighbour", n.name)
	}
}

// ribDir is the directory of the neighbours, by their numbers.
type ribDir struct{ h *hub }

var _ rib.Dir = ribDir{}

// Names implements rib.Dir.
func (d ribDir) Names() []string {
	var names []string
	for _, n := range d.h.list.Load().all {
		names = append(names, strconv.FormatUint(uint64(n.id), 10))
	}
	slices.Sort(names)
	return names
}

// Entry implements rib.Dir.
func (d ribDir) Entry(name string) (rib.Entry, bool) {
	for _, n := range d.h.list.Load().all {
		if strconv.FormatUint(uint64(n.id), 10) == name {
			return n.entry(), true
		}
	}
	return rib.Entry{}, false
}

func (n *neighbour) entry() rib.Entry {
	kind := "application"
	switch {
	case n.ours:
		kind = "member with extensions"
	case n.member:
		kind = "member"
	}
	return rib.Entry{LabelWidth: 26, ValueWidth: 24, Fields: []rib.Field{
		{Label: "Added at:", Value: n.since},
		{Label: "Neighbour:", Value: n.name},
		{Label: "Kind:", Value: kind},
		{Label: "Longest packet (bytes):", Value: n.limit()},
		{Label: "rcvd (packets):", Value: n.stats.received.packets.Load()},
		{Label: "rcvd (bytes):", Value: n.stats.received.bytes.Load()},
		{Label: "sent (packets):", Value: n.stats.sent.packets.Load()},
		{Label: "sent (bytes):", Value: n.stats.sent.bytes.Load()},
		{Label: "repeats (packets):", Value: n.stats.repeats.Load()},
		{Label: "too long (packets):", Value: n.stats.tooLong.Load()},
	}}
}
