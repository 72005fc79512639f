// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"fmt"
	"math"
	"time"

	"o7gw/o7s/load"
)

// result are the figures of one test on one flow, as one end saw it. Of sent and
// received, that is absent which this end did not see: a client of a
// unidirectional test sees no packet arrive, a server knows what was sent
// only from the numbers of what arrived.
type result struct {
	Role string `json:"role"` // client or server
	Name string `json:"name"` // of the service
	FD   int    `json:"fd,omitempty"`
	QoS  string `json:"qos"`
	Test string `json:"test"`           // uni or bi
	Size int    `json:"size,omitempty"` // bytes, of a client's packets
	Sent *count `json:"sent,omitempty"`
	// Received does not count packets that came again.
	Received *arrivals `json:"received,omitempty"`
	Time     float64   `json:"time_ms"`
	// Mbps and PPS are of what was received; of what was sent if none of it
	// can be.
	Mbps float64 `json:"bandwidth_mbps"`
	PPS  float64 `json:"packets_per_s"`
	End  string  `json:"end"` // done, signal, timeout, or an error

	elapsed time.Duration
}

type count struct {
	Packets uint64 `json:"packets"`
	Bytes   uint64 `json:"bytes"`
}

type arrivals struct {
	count
	Lost       uint64 `json:"lost"`
	Percent    int    `json:"loss_percent"` // rounded up
	OutOfOrder uint64 `json:"out_of_order"`
	Duplicates uint64 `json:"duplicates"`
	Invalid    uint64 `json:"invalid"` // no message of a test
}

// took completes the result with the time of the test.
func (r *result) took(d time.Duration) {
	r.elapsed = d
	r.Time = float64(d.Microseconds()) / 1e3
	c := r.Sent
	if r.Received != nil {
		c = &r.Received.count
	}
	r.Mbps = math.Round(load.Mbps(c.Bytes, d)*1e3) / 1e3
	r.PPS = math.Round(load.PerSecond(c.Packets, d))
}

// text is the final lines. Those of a bidirectional test begin as the
// prototype's do.
func (r *result) text() string {
	in := r.Received
	ms := r.elapsed.Seconds() * 1e3
	switch {
	case r.Role == "server":
		return fmt.Sprintf("\n--- flow %d perf statistics ---\n"+
			"%d packets received, %d bytes, %d lost, %d%% packet loss, time: %.3f ms, bandwidth: %.3f Mb/s.\n%s",
			r.FD, in.Packets, in.Bytes, in.Lost, in.Percent, ms, r.Mbps, in.details(r.PPS))
	case in == nil:
		return fmt.Sprintf("\n--- %s perf statistics ---\n"+
			"%d packets transmitted, %d bytes, time: %.3f ms, bandwidth: %.3f Mb/s.\n%.0f packets/s\n",
			r.Name, r.Sent.Packets, r.Sent.Bytes, ms, r.Mbps, r.PPS)
	}
	return fmt.Sprintf("\n--- %s perf statistics ---\n"+
		"%d packets transmitted, %d received, %d%% packet loss, time: %.3f ms, bandwidth: %.3f Mb/s.\n%s",
		r.Name, r.Sent.Packets, in.Packets, in.Percent, ms, r.Mbps, in.details(r.PPS))
}

func (a *arrivals) details(pps float64) string {
	return fmt.Sprintf("%d out-of-order, %d duplicates, %d invalid, %.0f packets/s\n", a.OutOfOrder, a.Duplicates, a.Invalid, pps)
}
