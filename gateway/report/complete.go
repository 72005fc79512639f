// SPDX-License-Identifier: BSD-3-Clause

package report

import (
	"cmp"
	"slices"

	"o7gw/gateway/segment"
	"o7gw/gateway/tunnel"
	"o7gw/proxy/ledger"
)

// Bounds of lists that grow with what others do.
const (
	maxPeers = 200
	maxNames = 1000
)

// Kinds of objects whose sessions are their peers: of Tunnel are those that
// Complete makes of tunnels.
const (
	Tunnel  = "tunnel"
	Segment = "segment"
)

// Complete fills in what follows from Tunnels, Objects and Names: the tunnels
// as objects, totals, peers and the names of objects. To be called once.
func (r *Report) Complete() {
	tunnels := make([]Object, 0, len(r.Tunnels)+len(r.Objects))
	for i := range r.Tunnels {
		tunnels = append(tunnels, tunnelObject(&r.Tunnels[i]))
	}
	r.Objects = append(tunnels, r.Objects...)
	r.sum()
	r.findPeers()
	r.findNames()
	if r.Tunnels == nil {
		r.Tunnels = []tunnel.Status{}
	}
}

// tunnelObject shows a tunnel as the other objects are; its peers are its
// sessions.
func tunnelObject(t *tunnel.Status) Object {
	o := Object{
		Kind: Tunnel, Name: t.Name, State: StateUp, Service: t.Service, Serves: t.Role == "server", Device: t.Device,
		Book: ledger.Snapshot{
			Kind: Tunnel, Name: t.Name, Open: len(t.Peers), Total: t.Admitted, Failed: uint64(t.Failures), LastError: t.LastError,
			RxPackets: t.RxPackets, RxBytes: t.RxBytes, TxPackets: t.TxPackets, TxBytes: t.TxBytes,
			Sessions: []ledger.Entry{},
		},
	}
	if !o.Serves && len(t.Peers) == 0 {
		o.State = "not connected"
	}
	o.Book.State = o.State
	return o
}

func (r *Report) sum() {
	t := Totals{Objects: len(r.Objects)}
	for i := range r.Objects {
		o := &r.Objects[i]
		if o.State == StateUp {
			t.Up++
		}
		t.Open += o.Book.Open
		t.Total += o.Book.Total
		t.Refused += o.Book.Refused
		t.Failed += o.Book.Failed
		t.RxBytes += o.Book.RxBytes
		t.TxBytes += o.Book.TxBytes
	}
	r.Totals = t
}

// findPeers lists the flows of tunnels and segments, and who has sessions, among those that
// the books show.
func (r *Report) findPeers() {
	r.Peers = []Peer{}
	for i := range r.Tunnels {
		t := &r.Tunnels[i]
		for j := range t.Peers {
			p := &t.Peers[j]
			r.Peers = append(r.Peers, Peer{
				Object: Tunnel + " " + t.Name, Flow: p.Flow, State: PeerState(p), Sessions: 1,
				RxBytes: p.RxBytes, TxBytes: p.TxBytes, Prefixes: p.Prefixes,
			})
		}
	}
	type key struct{ object, peer string }
	known := map[key]int{}
	for i := range r.Objects {
		o := &r.Objects[i]
		if s, ok := o.Detail.(segment.Status); ok {
			r.Peers = append(r.Peers, segmentPeers(o, &s)...)
		}
		for j := range o.Book.Sessions {
			s := &o.Book.Sessions[j]
			k := key{o.ID(), s.Peer}
			at, ok := known[k]
			if !ok {
				at = len(r.Peers)
				known[k] = at
				r.Peers = append(r.Peers, Peer{Name: s.Peer, Object: k.object, State: StateUp})
			}
			p := &r.Peers[at]
			p.Sessions++
			p.RxBytes += s.RxBytes
			p.TxBytes += s.TxBytes
		}
	}
	r.Peers = r.Peers[:min(len(r.Peers), maxPeers)]
}

// PeerState says how a peer of a tunnel is: "up", "down", or "waiting" for
// what it announces.
func PeerState(p *tunnel.PeerStatus) string {
	switch {
	case p.Down:
		return "down"
	case !p.Exchanged:
		return "waiting"
	}
	return StateUp
}

// findNames adds the names of objects to those that the name service has given
// addresses to.
func (r *Report) findNames() {
	at := make(map[string]int, len(r.Names))
	for i := range r.Names {
		at[r.Names[i].Name] = i
	}
	for i := range r.Objects {
		o := &r.Objects[i]
		if o.Service == "" {
			continue
		}
		k, ok := at[o.Service]
		if !ok {
			k = len(r.Names)
			at[o.Service] = k
			r.Names = append(r.Names, Name{Name: o.Service})
		}
		n := &r.Names[k]
		n.Served = n.Served || o.Serves
		n.Objects = append(n.Objects, o.ID())
	}
	if r.Names == nil {
		r.Names = []Name{}
	}
	// What is served first: that is what an owner looks for.
	slices.SortStableFunc(r.Names, func(a, b Name) int {
		if a.Served != b.Served {
			if a.Served {
				return -1
			}
			return 1
		}
		return cmp.Compare(a.Name, b.Name)
	})
	r.Names = r.Names[:min(len(r.Names), maxNames)]
}
