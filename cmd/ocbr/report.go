// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"math"
	"time"

	"o7gw/o7s/load"
)

// report is how much passed in a time.
type report struct {
	Kind    string  `json:"report"` // interval or total of a server, sent of a client
	Name    string  `json:"name"`
	QoS     string  `json:"qos"`
	FD      int     `json:"fd,omitempty"`   // of a server's flow
	Size    int     `json:"size,omitempty"` // bytes, of a client's packets
	Packets uint64  `json:"packets"`
	Bytes   uint64  `json:"bytes"`
	Time    float64 `json:"time_ms"`
	PPS     float64 `json:"packets_per_s"`
	Mbps    float64 `json:"bandwidth_mbps"`
	End     string  `json:"end,omitempty"` // of sent and total: done, signal, timeout, or an error
}

// Kinds of reports.
const (
	interval = "interval"
	total    = "total"
	sent     = "sent"
)

// print prints r, of that time, whose rates it fills in.
func (r report) print(o *load.Output, d time.Duration) {
	if o.JSON {
		r.Time = float64(d.Microseconds()) / 1e3
		r.PPS = math.Round(load.PerSecond(r.Packets, d))
		r.Mbps = math.Round(load.Mbps(r.Bytes, d)*1e4) / 1e4
		o.Object(r)
		return
	}
	ms, mbps := d.Milliseconds(), load.Mbps(r.Bytes, d)
	switch r.Kind {
	case interval:
		o.Say("Flow %4d: %9d packets (%12d bytes) in %9d ms => %9.4f pps, %9.4f Mbps\n",
			r.FD, r.Packets, r.Bytes, ms, load.PerSecond(r.Packets, d), mbps)
	case total:
		o.Say("received statistics: %9d packets, %12d bytes in %9d ms, %.4f Mb/s\n", r.Packets, r.Bytes, ms, mbps)
	case sent:
		o.Say("sent statistics: %9d packets, %12d bytes in %9d ms, %.4f Mb/s\n", r.Packets, r.Bytes, ms, mbps)
	}
}
