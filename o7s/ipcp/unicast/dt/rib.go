// SPDX-License-Identifier: BSD-3-Clause

package dt

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"o7gw/o7s/ipcp/unicast/addr"
	"o7gw/o7s/qos"
	"o7gw/o7s/rib"
)

// Columns of the text form (spec 40 §7.4).
const (
	labelWidth = 26
	valueWidth = 20
)

// componentNames are what the entries of components say instead of an address.
var componentNames = [...]string{"flow-allocator", "dht"}

// RIB returns the directory dt.<address>: components by EID, neighbours from 64
// on. Lines are those of the prototype and no others, which exporters refuse (spec
// 50 §3.2); Details has more.
func (d *DT) RIB() rib.Dir { return counterDir{d} }

type counterDir struct{ d *DT }

func (r counterDir) Names() []string {
	var names []string
	for eid, c := range r.d.components {
		if c != nil {
			names = append(names, strconv.Itoa(eid))
		}
	}
	names = append(names, r.d.numbers()...)
	slices.Sort(names)
	return names
}

func (r counterDir) Entry(name string) (rib.Entry, bool) {
	number, err := strconv.Atoi(name)
	switch {
	case err != nil || name != strconv.Itoa(number) || number < 0:
	case number < Components:
		if c := r.d.components[number]; c != nil {
			return c.entry(number), true
		}
	default:
		if n := r.d.numbered(name); n != nil {
			return n.entry(), true
		}
	}
	return rib.Entry{}, false
}

// entry: sent is what was delivered to the component, local rcvd what was sent to
// its peers (spec 20 §11).
func (c *component) entry(eid int) rib.Entry {
	name := "component " + strconv.Itoa(eid)
	if eid < len(componentNames) {
		name = componentNames[eid]
	}
	return counterEntry(c.since, name, 0, Stats{
		Sent: c.delivered.load(), LocalRecvd: c.asked.load(), NoNextHop: c.noRoute.load(),
	})
}

func (n *Neighbour) entry() rib.Entry {
	return counterEntry(n.since, addr.Text(n.addr), n.queued(), n.Stats())
}

func counterEntry(since time.Time, endpoint string, queued int, s Stats) rib.Entry {
	e := rib.Entry{LabelWidth: labelWidth, ValueWidth: valueWidth, Fields: []rib.Field{
		{Label: "Flow established at:", Value: since},
		{Label: "Endpoint address:", Value: endpoint},
		{Label: "Queued packets (rx):", Value: 0}, // nothing queues on the way in
		{Label: "Queued packets (tx):", Value: queued},
		{},
	}}
	for cube := range qos.Cubes {
		e.Fields = append(e.Fields, rib.Field{Label: fmt.Sprintf("Qos cube %3d:", cube)})
		for _, c := range []struct {
			label string
			count Count
		}{
			{"sent", s.Sent[cube]}, {"rcvd", s.Received[cube]},
			{"local sent", s.LocalSent[cube]}, {"local rcvd", s.LocalRecvd[cube]},
			{"dropped ttl", s.TTL[cube]}, {"failed writes", s.FailedSends[cube]}, {"failed nhop", s.NoNextHop[cube]},
		} {
			e.Fields = append(e.Fields,
				rib.Field{Label: " " + c.label + " (packets):", Value: c.count.Packets},
				rib.Field{Label: " " + c.label + " (bytes):", Value: c.count.Bytes})
		}
	}
	return e
}

// Details returns a directory of what the lines of RIB do not say: further drops
// of each neighbour, under the same name; those of own packets, in "own"; and the
// next hops of every destination, in "table".
func (d *DT) Details() rib.Dir { return detailDir{d} }

type detailDir struct{ d *DT }

func (r detailDir) Names() []string {
	names := append(r.d.numbers(), "own", "table")
	slices.Sort(names)
	return names
}

func (r detailDir) Entry(name string) (rib.Entry, bool) {
	e := rib.Entry{LabelWidth: labelWidth, ValueWidth: valueWidth}
	switch name {
	case "own":
		e.Fields = []rib.Field{{Label: "No route (packets):", Value: r.d.NoRoute()}}
	case "table":
		for _, route := range r.d.table.All() {
			var hops []string
			for _, n := range route.Hops {
				hops = append(hops, addr.Text(n.addr))
			}
			e.Fields = append(e.Fields, rib.Field{Label: addr.Text(route.Dst) + ":", Value: strings.Join(hops, " ")})
		}
	default:
		n := r.d.numbered(name)
		if n == nil {
			return rib.Entry{}, false
		}
		e.Fields = []rib.Field{
			{Label: "Endpoint address:", Value: addr.Text(n.addr)},
			{Label: "Malformed (packets):", Value: n.stats.malformed.Load()},
			{Label: "Unknown EID (packets):", Value: n.stats.unknown.Load()},
			{Label: "Too long (packets):", Value: n.stats.tooLong.Load()},
		}
	}
	return e, true
}

// numbers returns the names of the neighbours' entries.
func (d *DT) numbers() (names []string) {
	for _, n := range *d.neighbours.Load() {
		names = append(names, strconv.Itoa(n.number))
	}
	return names
}

// numbered returns the neighbour of an entry's name, nil if there is none.
func (d *DT) numbered(name string) *Neighbour {
	for _, n := range *d.neighbours.Load() {
		if strconv.Itoa(n.number) == name {
			return n
		}
	}
	return nil
}
