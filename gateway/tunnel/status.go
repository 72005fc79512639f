// SPDX-License-Identifier: BSD-3-Clause

package tunnel

import (
	"net/netip"
	"time"
)

// Status is the state of a tunnel for people and programs.
type Status struct {
	Name      string         `json:"name"`
	Device    string         `json:"device"`
	Role      string         `json:"role"` // server or client
	Service   string         `json:"service"`
	Mode      string         `json:"mode"` // o7gw or plain
	MTU       int            `json:"mtu"`  // bytes, of the interface
	Addresses []netip.Prefix `json:"addresses"`
	Routes    []netip.Prefix `json:"routes"`
	Up        time.Duration  `json:"up_ns"`
	Peers     []PeerStatus   `json:"peers"`
	Admitted  uint64         `json:"admitted_peers"` // so far
	RxPackets uint64         `json:"rx_packets"`     // from all peers so far
	RxBytes   uint64         `json:"rx_bytes"`
	TxPackets uint64         `json:"tx_packets"` // to all peers so far
	TxBytes   uint64         `json:"tx_bytes"`
	NoRoute   uint64         `json:"no_route_packets"`
	TooBig    uint64         `json:"too_big_packets"`
	Malformed uint64         `json:"malformed_packets"`
	Failures  int            `json:"failures"` // attempts to connect since it last worked
	LastError string         `json:"last_error,omitempty"`
}

// PeerStatus is the state of one peer.
type PeerStatus struct {
	Flow       int            `json:"flow"`
	Exchanged  bool           `json:"exchanged"` // has announced itself
	Down       bool           `json:"down"`      // the layer cannot carry packets now
	MTU        int            `json:"mtu"`       // bytes
	Since      time.Duration  `json:"connected_ns"`
	Prefixes   []netip.Prefix `json:"prefixes"`
	RxPackets  uint64         `json:"rx_packets"`
	RxBytes    uint64         `json:"rx_bytes"`
	RxDropped  uint64         `json:"rx_dropped"` // by the kernel
	TxPackets  uint64         `json:"tx_packets"`
	TxBytes    uint64         `json:"tx_bytes"`
	TxDropped  uint64         `json:"tx_dropped"`
	BadSource  uint64         `json:"bad_source_packets"`
	Malformed  uint64         `json:"malformed_packets"`
	BadControl uint64         `json:"bad_control_packets"`
}

// Status returns the state of a started tunnel.
func (t *Tunnel) Status() Status {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := Status{
		Name: t.cfg.Name, Device: t.dev.Name(), Role: "client", Service: t.cfg.Connect, Mode: "o7gw",
		MTU: t.mtu, Addresses: t.cfg.Addresses, Routes: []netip.Prefix{}, Peers: []PeerStatus{},
		Up: time.Since(t.started), Failures: t.attempts,
		NoRoute: t.out.noRoute.Load(), TooBig: t.out.tooBig.Load(), Malformed: t.out.malformed.Load(),
	}
	if t.cfg.Listen != "" {
		s.Role, s.Service = "server", t.cfg.Listen
	}
	if t.cfg.Plain {
		s.Mode = "plain"
	}
	if t.lastErr != nil {
		s.LastError = t.lastErr.Error()
	}
	for p := range t.routes {
		s.Routes = append(s.Routes, p)
	}
	sum := t.past
	for _, p := range t.peers {
		sum.add(p)
		s.Peers = append(s.Peers, PeerStatus{
			Flow: p.flow.ID(), Exchanged: p.exchanged.Load() || t.cfg.Plain, Down: p.down.Load(),
			MTU: int(p.mtu.Load()), Since: time.Since(p.since), Prefixes: p.prefixes,
			RxPackets: p.rx.packets.Load(), RxBytes: p.rx.bytes.Load(), RxDropped: p.sink.Stats().Dropped,
			TxPackets: p.tx.packets.Load(), TxBytes: p.tx.bytes.Load(), TxDropped: p.tx.dropped.Load(),
			BadSource: p.badSource.Load(), Malformed: p.malformed.Load(), BadControl: p.badControl.Load(),
		})
	}
	s.Admitted = t.admitted
	s.RxPackets, s.RxBytes, s.TxPackets, s.TxBytes = sum.rxPackets, sum.rxBytes, sum.txPackets, sum.txBytes
	return s
}
