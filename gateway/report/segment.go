// SPDX-License-Identifier: BSD-3-Clause

package report

import (
	"o7gw/gateway/segment"
	"o7gw/proxy/ledger"
)

// SetSegment fills in what a segment says of itself; its flows are its
// sessions.
func (o *Object) SetSegment(s segment.Status) {
	o.Device, o.Detail = s.Device, s
	o.State = StateUp
	if len(s.Listen) == 0 && s.Layer == "" && len(s.Ports) == 0 {
		o.State = "not connected"
	}
	o.Service, o.Serves = s.Layer, false
	if len(s.Listen) > 0 {
		o.Service, o.Serves = s.Listen[0], true
	} else if len(s.Connect) > 0 {
		o.Service = s.Connect[0]
	}
	o.Book = ledger.Snapshot{
		Kind: o.Kind, Name: o.Name, State: o.State,
		Open: len(s.Ports), Failed: uint64(s.Failures), LastError: s.LastError,
		RxPackets: s.RxFrames, RxBytes: s.RxBytes, TxPackets: s.TxFrames, TxBytes: s.TxBytes,
		Sessions: []ledger.Entry{},
	}
}

// segmentPeers are the ends of a segment's flows.
func segmentPeers(o *Object, s *segment.Status) (out []Peer) {
	for i := range s.Ports {
		p := &s.Ports[i]
		state := StateUp
		if p.Down {
			state = "down"
		}
		name := p.Member
		if name == "" {
			name = p.Name
		}
		out = append(out, Peer{Name: name, Object: o.ID(), Flow: p.Flow, State: state, Sessions: 1, RxBytes: p.RxBytes, TxBytes: p.TxBytes})
	}
	return out
}
