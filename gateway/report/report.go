// SPDX-License-Identifier: BSD-3-Clause

// Package report is what a running gateway tells about itself: "o7gw status",
// its JSON, the live web page and the metrics all show the one Report
// (DESIGN §7).
//
// Start with Report and its Complete; Meter finds rates between two reports,
// History keeps the last minutes of them.
package report

import (
	"net/netip"
	"time"

	"o7gw/gateway/tunnel"
	"o7gw/proxy/ledger"
)

// Report is the state of a gateway at one moment.
type Report struct {
	PID     int             `json:"pid"`
	Config  string          `json:"config"` // path of the file
	IRMd    bool            `json:"irmd"`   // uses a daemon
	Started time.Time       `json:"started"`
	Tunnels []tunnel.Status `json:"tunnels"`
	Objects []Object        `json:"objects"` // all, with the tunnels after Complete
	Totals  Totals          `json:"totals"`
	Peers   []Peer          `json:"peers"`
	Names   []Name          `json:"names"`
}

// Object is one object of the configuration, of any kind.
type Object struct {
	Kind    string          `json:"kind"` // as the table of the configuration: "expose"
	Name    string          `json:"name,omitempty"`
	State   string          `json:"state"`             // StateUp, "starting", "draining" or what is wrong
	Service string          `json:"service,omitempty"` // Ouroboros name that it serves or dials
	Serves  bool            `json:"serves,omitempty"`  // it serves that name
	Listen  []string        `json:"listen,omitempty"`  // "tcp:127.0.0.1:80"
	Device  string          `json:"device,omitempty"`  // network interface
	Book    ledger.Snapshot `json:"book"`
	Rate    *Rate           `json:"rate,omitempty"`   // nil: not measured
	Detail  any             `json:"detail,omitempty"` // what only this kind has
}

// StateUp is the state of an object that works.
const StateUp = "up"

// ID is what the object is called in logs and by a reload.
func (o *Object) ID() string {
	if o.Name == "" {
		return o.Kind
	}
	return o.Kind + " " + o.Name
}

// Rate is what happens per second. Rx is what came from Ouroboros.
type Rate struct {
	Rx       float64 `json:"rx_bytes"`
	Tx       float64 `json:"tx_bytes"`
	Sessions float64 `json:"sessions"` // begun
}

// Totals are the sums over all objects.
type Totals struct {
	Objects int    `json:"objects"`
	Up      int    `json:"objects_up"`
	Open    int    `json:"open_sessions"`
	Total   uint64 `json:"total_sessions"`
	Refused uint64 `json:"refused_sessions"`
	Failed  uint64 `json:"failed_sessions"`
	RxBytes uint64 `json:"rx_bytes"`
	TxBytes uint64 `json:"tx_bytes"`
	Rate    *Rate  `json:"rate,omitempty"` // nil: not measured
}

// Peer is who is at the other end of flows now.
type Peer struct {
	Name     string         `json:"name,omitempty"` // authenticated, or of a segment's member; empty: it showed no certificate
	Object   string         `json:"object"`         // ID of the object
	Flow     int            `json:"flow,omitempty"` // of a tunnel or segment
	State    string         `json:"state"`
	Sessions int            `json:"sessions"`
	RxBytes  uint64         `json:"rx_bytes"` // of what is open
	TxBytes  uint64         `json:"tx_bytes"`
	Prefixes []netip.Prefix `json:"prefixes,omitempty"`
}

// Name is an Ouroboros name that the gateway has to do with.
type Name struct {
	Name      string       `json:"name"`
	Served    bool         `json:"served"`              // by this gateway
	Objects   []string     `json:"objects,omitempty"`   // IDs of who serves or dials it
	Addresses []netip.Addr `json:"addresses,omitempty"` // that stand for it on this machine
}
