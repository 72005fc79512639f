// SPDX-License-Identifier: BSD-3-Clause

package metrics

import (
	"fmt"
	"runtime/debug"

	"o7gw/gateway/report"
)

// gateway adds what a report says.
func gateway(e *exposition, r *report.Report) {
	e.add("o7gw_build", info, "The program.", 1, "version", version())
	e.add("o7gw_start_time_seconds", gauge, "When the gateway was started, Unix time.", float64(r.Started.UnixMilli())/1000)
	e.add("o7gw_uses_daemon", gauge, "1: the gateway uses an IRM daemon; 0: it has a node of its own.", number(r.IRMd))
	for i := range r.Objects {
		object(e, &r.Objects[i])
	}
	for i := range r.Tunnels {
		t := &r.Tunnels[i]
		drop := func(reason string, n uint64) {
			e.add("o7gw_tunnel_dropped_packets", counter, "Packets that a tunnel did not send, by reason.", float64(n), "name", t.Name, "reason", reason)
		}
		drop("no_route", t.NoRoute)
		drop("too_big", t.TooBig)
		drop("malformed", t.Malformed)
		e.add("o7gw_tunnel_mtu_bytes", gauge, "MTU of a tunnel's interface.", float64(t.MTU), "name", t.Name)
	}
	served, known := 0, 0
	for i := range r.Names {
		if r.Names[i].Served {
			served++
		}
		if len(r.Names[i].Addresses) > 0 {
			known++
		}
	}
	e.add("o7gw_names_served", gauge, "Ouroboros names that the gateway serves.", float64(served))
	e.add("o7gw_names_with_addresses", gauge, "Ouroboros names that addresses of this machine stand for.", float64(known))
}

func object(e *exposition, o *report.Object) {
	add := func(name string, k kind, help string, v float64) {
		e.add("o7gw_"+name, k, help, v, "kind", o.Kind, "name", o.Name)
	}
	b := &o.Book
	add("object_up", gauge, "1: the object works.", number(o.State == report.StateUp))
	add("sessions_open", gauge, "Open sessions, or peers of a tunnel.", float64(b.Open))
	add("sessions", counter, "Sessions that were begun.", float64(b.Total))
	add("sessions_refused", counter, "Sessions refused by a rule, a limit or the other end.", float64(b.Refused))
	add("sessions_failed", counter, "Sessions that failed before they began, for another reason.", float64(b.Failed))
	add("received_bytes", counter, "Bytes from the Ouroboros side.", float64(b.RxBytes))
	add("sent_bytes", counter, "Bytes to the Ouroboros side.", float64(b.TxBytes))
	add("received_packets", counter, "Packets or datagrams from the Ouroboros side.", float64(b.RxPackets))
	add("sent_packets", counter, "Packets or datagrams to the Ouroboros side.", float64(b.TxPackets))
	if b.ErrorTime != nil {
		add("last_error_time_seconds", gauge, "When something last went wrong, Unix time.", float64(b.ErrorTime.UnixMilli())/1000)
	}
	details(e, o)
}

func number(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// version is that of the program's build.
func version() string {
	b, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	v := b.Main.Version
	for _, s := range b.Settings {
		if s.Key == "vcs.revision" {
			v = fmt.Sprintf("%s %.12s", v, s.Value)
		}
	}
	return v
}
