// SPDX-License-Identifier: BSD-3-Clause

//go:build linux

package segment

import (
	"fmt"
	"net/netip"
	"time"
)

// Status is the state of a segment for people and programs.
type Status struct {
	Name      string          `json:"name"`
	Device    string          `json:"device"`
	MAC       string          `json:"mac"` // of the device
	MTU       int             `json:"mtu"` // bytes
	Addresses []netip.Prefix  `json:"addresses"`
	Listen    []string        `json:"listen"`
	Connect   []string        `json:"connect"`
	Layer     string          `json:"layer,omitempty"`
	Relay     bool            `json:"relay"`
	Up        time.Duration   `json:"up_ns"`
	Local     PortStatus      `json:"local"`     // the device; rx is what the machine sends
	Ports     []PortStatus    `json:"ports"`     // the flows
	RxFrames  uint64          `json:"rx_frames"` // of all flows there were
	RxBytes   uint64          `json:"rx_bytes"`
	TxFrames  uint64          `json:"tx_frames"`
	TxBytes   uint64          `json:"tx_bytes"`
	MACs      int             `json:"macs"`          // known
	MaxMACs   int             `json:"max_macs"`      // that may be known
	Moves     uint64          `json:"mac_moves"`     // between ports
	Unlearnt  uint64          `json:"macs_unlearnt"` // frames whose source there was no room for
	Stations  []StationStatus `json:"stations"`      // some of them
	Failures  int             `json:"failures"`      // attempts to connect since one worked
	LastError string          `json:"last_error,omitempty"`
}

// PortStatus is the state of one port.
type PortStatus struct {
	Kind       string        `json:"kind"` // local, accepted, connected or layer
	Flow       int           `json:"flow,omitempty"`
	Name       string        `json:"name,omitempty"`   // of the flow
	Member     string        `json:"member,omitempty"` // at the other end
	Down       bool          `json:"down"`             // the layer cannot carry packets now
	MTU        int           `json:"mtu,omitempty"`    // of the flow, bytes
	Since      time.Duration `json:"connected_ns"`
	MACs       int           `json:"macs"`      // behind it
	RxFrames   uint64        `json:"rx_frames"` // came in
	RxBytes    uint64        `json:"rx_bytes"`
	TxFrames   uint64        `json:"tx_frames"` // went out
	TxBytes    uint64        `json:"tx_bytes"`
	TxDropped  uint64        `json:"tx_dropped"`
	Malformed  uint64        `json:"malformed_frames"`
	Repeated   uint64        `json:"repeated_frames"`   // were here before
	Filtered   uint64        `json:"filtered_frames"`   // need not, or must not, go on
	Flooding   uint64        `json:"flooding_frames"`   // to all, above the limit
	Incomplete uint64        `json:"incomplete_frames"` // lost a fragment
}

// StationStatus is one address that was learnt.
type StationStatus struct {
	MAC  string        `json:"mac"`
	VLAN int           `json:"vlan,omitempty"`
	Flow int           `json:"flow,omitempty"` // 0: behind the device
	Age  time.Duration `json:"age_ns"`         // since it was heard
}

// stationsShown is how many stations a Status has at most.
const stationsShown = 256

// totals are the sums of ports that are gone.
type totals struct{ rxFrames, rxBytes, txFrames, txBytes uint64 }

func (t *totals) add(p *port) {
	t.rxFrames += p.rx.frames.Load()
	t.rxBytes += p.rx.bytes.Load()
	t.txFrames += p.tx.frames.Load()
	t.txBytes += p.tx.bytes.Load()
}

func (p *port) status() PortStatus {
	s := PortStatus{
		Kind: p.kind.String(), Name: p.name, Down: p.down.Load(), MTU: p.mtu,
		Since: time.Since(p.since), MACs: int(p.macs.Load()),
		RxFrames: p.rx.frames.Load(), RxBytes: p.rx.bytes.Load(),
		TxFrames: p.tx.frames.Load(), TxBytes: p.tx.bytes.Load(), TxDropped: p.tx.dropped.Load(),
		Malformed: p.counts.malformed.Load(), Repeated: p.counts.repeated.Load(),
		Filtered: p.counts.filtered.Load(), Flooding: p.counts.flooding.Load(),
		Incomplete: p.counts.incomplete.Load(),
	}
	if p.flow != nil {
		s.Flow = p.flow.ID()
	}
	if id := p.neighbour.Load(); id != 0 {
		s.Member = fmt.Sprintf("%016x", id)
	}
	return s
}

// Status returns the state of a started segment.
func (s *Segment) Status() Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := Status{
		Name: s.cfg.Name, Device: s.dev.name, MAC: station(s.mac.Load() << vlanBits).String(), MTU: s.cfg.MTU,
		Addresses: s.cfg.Addresses, Listen: s.cfg.Listen, Connect: s.cfg.Connect, Layer: s.cfg.Layer,
		Relay: s.cfg.Relay, Up: time.Duration(s.clock()),
		Local: s.local.status(), Ports: []PortStatus{},
		MACs: s.table.size(), MaxMACs: s.cfg.MaxMACs, Moves: s.table.moves.Load(), Unlearnt: s.table.refused.Load(),
		Stations: []StationStatus{}, Failures: s.failures,
	}
	sum := s.ended
	for _, p := range s.ports {
		st.Ports = append(st.Ports, p.status())
		sum.add(p)
	}
	st.RxFrames, st.RxBytes, st.TxFrames, st.TxBytes = sum.rxFrames, sum.rxBytes, sum.txFrames, sum.txBytes
	if s.lastErr != nil {
		st.LastError = s.lastErr.Error()
	}
	s.table.each(func(x station, p *port, heard int64) bool {
		e := StationStatus{MAC: station(x.mac() << vlanBits).String(), VLAN: x.vlan(), Age: time.Duration(s.clock() - heard)}
		if p.flow != nil {
			e.Flow = p.flow.ID()
		}
		st.Stations = append(st.Stations, e)
		return len(st.Stations) < stationsShown
	})
	return st
}
