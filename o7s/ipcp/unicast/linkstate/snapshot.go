// SPDX-License-Identifier: BSD-3-Clause

package linkstate

import (
	"slices"
	"strings"
	"time"

	"o7gw/o7s/rib"
)

// Stats counts since the beginning.
type Stats struct {
	Recomputations uint64 // of the routes
	Received       uint64 // records
	Sent           uint64 // records
	Rejected       uint64 // packets and records that are malformed
	Limited        uint64 // records above a peer's rate
	Full           uint64 // records that the database had no room for
	AgedOut        uint64 // links that were not announced any more
	Foreign        uint64 // records in our name that are not ours
}

// Link is a link of the database.
type Link struct {
	Src, Dst uint64
	Seqno    uint64
	Updated  time.Time // last announcement, wall clock
}

// Adjacency is a management connection.
type Adjacency struct {
	Peer Peer
	Addr uint64
	Caps Caps
}

// Snapshot is the state at one time, for publication.
type Snapshot struct {
	Self       uint64
	Links      []Link   // by destination, then source
	Neighbours []uint64 // of links of our own that are up, announced or not
	Management []Adjacency
	Withdrawn  int // links known to be gone
	Routes     int
	Collision  bool
	Stats      Stats
}

// Stats returns the counters.
func (s *State) Stats() Stats { return s.stats }

// Snapshot copies the state. now is taken for the wall clock only.
func (s *State) Snapshot(now time.Time) Snapshot {
	x := Snapshot{
		Self:  s.cfg.Self,
		Links: make([]Link, 0, s.db.alive), Withdrawn: len(s.db.entries) - s.db.alive,
		Routes: len(s.router.now.routes), Collision: s.Collision(), Stats: s.stats,
	}
	elapsed := now.Sub(s.epoch)
	for _, l := range s.db.sorted() {
		e := s.db.entries[l]
		x.Links = append(x.Links, Link{l.src, l.dst, e.seqno, now.Add(e.seen - elapsed).Round(0)})
	}
	for _, o := range s.own {
		if o.up {
			x.Neighbours = append(x.Neighbours, o.addr)
		}
	}
	slices.Sort(x.Neighbours)
	for _, p := range s.peers {
		x.Management = append(x.Management, Adjacency{p.id, p.addr, p.caps})
	}
	return x
}

// Dir makes the directory "lsdb" (spec 20 §11, spec 40 §7.5) of snapshots that
// take returns, e.g. under the driver's lock. text is the text form of an
// address.
func Dir(take func() Snapshot, text func(addr uint64) string) rib.Dir { return dir{take, text} }

type dir struct {
	take func() Snapshot
	text func(addr uint64) string
}

// Names of entries that are no links; the prototype has the first two.
const (
	dtName    = ".dt "
	mgmtName  = ".mgmt "
	statsName = ".stats"
)

func (d dir) Names() []string {
	x := d.take()
	names := make([]string, 0, len(x.Links)+len(x.Neighbours)+len(x.Management)+1)
	for _, l := range x.Links {
		names = append(names, d.text(l.Src)+"--"+d.text(l.Dst))
	}
	for _, n := range x.Neighbours {
		names = append(names, dtName+d.text(n))
	}
	for _, m := range x.Management {
		names = append(names, mgmtName+d.text(m.Addr))
	}
	names = append(names, statsName)
	slices.Sort(names)
	return slices.Compact(names)
}

func (d dir) Entry(name string) (rib.Entry, bool) {
	x := d.take()
	if name == statsName {
		return x.statistics(), true
	}
	if n, ok := strings.CutPrefix(name, dtName); ok {
		return d.neighbour(x, n)
	}
	if n, ok := strings.CutPrefix(name, mgmtName); ok {
		return d.adjacency(x, n)
	}
	src, dst, _ := strings.Cut(name, "--")
	for _, l := range x.Links {
		if d.text(l.Src) == src && d.text(l.Dst) == dst {
			return rib.Entry{LabelWidth: 7, ValueWidth: 18, Fields: []rib.Field{
				{Label: "src:", Value: src}, {Label: "dst:", Value: dst},
				{Label: "seqno:", Value: l.Seqno}, {Label: "upd:", Value: l.Updated},
			}}, true
		}
	}
	return rib.Entry{}, false
}

// neighbour says whether the link to a neighbour is announced.
func (d dir) neighbour(x Snapshot, addr string) (rib.Entry, bool) {
	i := slices.IndexFunc(x.Neighbours, func(n uint64) bool { return d.text(n) == addr })
	if i < 0 {
		return rib.Entry{}, false
	}
	state := "held down"
	if slices.ContainsFunc(x.Links, func(l Link) bool { return l.Src == x.Self && l.Dst == x.Neighbours[i] }) {
		state = "announced"
	}
	return rib.Entry{LabelWidth: 7, ValueWidth: 18, Fields: []rib.Field{{Label: "state:", Value: state}}}, true
}

// adjacency says what a management peer can do.
func (d dir) adjacency(x Snapshot, addr string) (rib.Entry, bool) {
	i := slices.IndexFunc(x.Management, func(m Adjacency) bool { return d.text(m.Addr) == addr })
	if i < 0 {
		return rib.Entry{}, false
	}
	var ext []string
	if x.Management[i].Caps.Batch {
		ext = append(ext, "batch")
	}
	if x.Management[i].Caps.Withdraw {
		ext = append(ext, "withdrawal")
	}
	if ext == nil {
		ext = []string{"none"}
	}
	return rib.Entry{LabelWidth: 12, ValueWidth: 20, Fields: []rib.Field{
		{Label: "Extensions:", Value: strings.Join(ext, " ")},
	}}, true
}

func (x Snapshot) statistics() rib.Entry {
	collision := "no"
	if x.Collision {
		collision = "suspected"
	}
	return rib.Entry{LabelWidth: 33, ValueWidth: 20, Fields: []rib.Field{
		{Label: "Links:", Value: uint64(len(x.Links))},
		{Label: "Links withdrawn:", Value: uint64(x.Withdrawn)},
		{Label: "Links aged out:", Value: x.Stats.AgedOut},
		{Label: "Routes:", Value: uint64(x.Routes)},
		{Label: "Recomputations:", Value: x.Stats.Recomputations},
		{Label: "LSAs received:", Value: x.Stats.Received},
		{Label: "LSAs sent:", Value: x.Stats.Sent},
		{Label: "LSAs rejected:", Value: x.Stats.Rejected},
		{Label: "LSAs above rate:", Value: x.Stats.Limited},
		{Label: "LSAs without room:", Value: x.Stats.Full},
		{Label: "LSAs in our name:", Value: x.Stats.Foreign},
		{Label: "Address collision:", Value: collision},
	}}
}
