// SPDX-License-Identifier: BSD-3-Clause

// Package screen shows a report.Report in a terminal: once as text, or live.
//
// Start with Text and Watch. What comes from the network is shown without its
// control characters.
package screen

import (
	"cmp"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"time"

	"o7gw/gateway/report"
	"o7gw/proxy/ledger"
)

// style is how a line looks in a live screen.
type style uint8

const (
	plain style = iota
	head        // names of columns
	bad         // an error
)

// line is one line of text, without its end.
type line struct {
	style style
	text  string
}

// Text writes a report with at most sessions sessions, the newest.
func Text(w io.Writer, r *report.Report, sessions int) error {
	var b strings.Builder
	for _, l := range lines(r, sessions) {
		b.WriteString(l.text)
		b.WriteByte('\n')
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// lines writes a report.
func lines(r *report.Report, sessions int) []line {
	kind := "embedded node"
	if r.IRMd {
		kind = "irmd"
	}
	out := []line{{text: fmt.Sprintf("Gateway %d, %s, %s, since %s.", r.PID, clean(r.Config), kind, r.Started.Format(time.DateTime))}}
	if len(r.Objects) > 0 {
		out = append(out, totals(&r.Totals))
	}
	out = append(out, objects(r)...)
	for i := range r.Tunnels {
		out = append(out, tunnelLines(&r.Tunnels[i])...)
	}
	out = append(out, segmentLines(r)...)
	return append(out, sessionLines(r, sessions)...)
}

func totals(t *report.Totals) line {
	s := fmt.Sprintf("%d of %d objects up. Sessions: %d open, %d in all, %d refused, %d failed.", t.Up, t.Objects, t.Open, t.Total, t.Refused, t.Failed)
	if t.Rate != nil {
		s += fmt.Sprintf(" Receives %s, sends %s, %.1f new sessions/s.", Speed(t.Rate.Rx), Speed(t.Rate.Tx), t.Rate.Sessions)
	}
	return line{text: s}
}

// objects lists all objects but tunnels, which have a part of their own.
func objects(r *report.Report) []line {
	t := table{columns: []string{"OBJECT", "STATE", "SERVICE", "AT", "SESSIONS", "REFUSED", "FAILED", "RECEIVED", "SENT", "RATES (IN, OUT)"}}
	for i := range r.Objects {
		o := &r.Objects[i]
		if o.Kind == report.Tunnel {
			continue
		}
		at := o.Listen
		if o.Device != "" {
			at = append(slices.Clone(at), o.Device)
		}
		b := &o.Book
		sessions := fmt.Sprintf("%d of %d", b.Open, b.Total)
		if o.Kind == report.Segment {
			sessions = fmt.Sprint(b.Open)
		}
		rates := ""
		if o.Rate != nil {
			rates = Speed(o.Rate.Rx) + ", " + Speed(o.Rate.Tx)
		}
		t.row(o.ID(), o.State, o.Service, strings.Join(at, " "), sessions,
			fmt.Sprint(b.Refused), fmt.Sprint(b.Failed), Size(b.RxBytes), Size(b.TxBytes), rates)
		if b.LastError != "" {
			when := ""
			if b.ErrorTime != nil {
				when = b.ErrorTime.Format(time.TimeOnly) + " "
			}
			t.note("  last error: " + when + b.LastError)
		}
	}
	return t.lines("")
}

// segmentLines lists the flows of segments.
func segmentLines(r *report.Report) []line {
	t := table{columns: []string{"PEER OF", "FLOW", "PEER", "STATE", "RECEIVED", "SENT"}}
	for i := range r.Peers {
		p := &r.Peers[i]
		if strings.HasPrefix(p.Object, report.Segment+" ") {
			t.row(p.Object, fmt.Sprint(p.Flow), p.Name, p.State, Size(p.RxBytes), Size(p.TxBytes))
		}
	}
	return t.lines("")
}

// sessionLines lists the newest sessions of all objects.
func sessionLines(r *report.Report, n int) []line {
	type entry struct {
		object string
		*ledger.Entry
	}
	var all []entry
	open := 0
	for i := range r.Objects {
		o := &r.Objects[i]
		if o.Kind != report.Tunnel && o.Kind != report.Segment {
			open += o.Book.Open
		}
		for j := range o.Book.Sessions {
			all = append(all, entry{o.ID(), &o.Book.Sessions[j]})
		}
	}
	slices.SortStableFunc(all, func(a, b entry) int { return cmp.Compare(a.Age, b.Age) })
	all = all[:min(len(all), max(n, 0))]
	t := table{columns: []string{"SESSION OF", "PROTOCOL", "FROM", "TO", "SERVICE", "PEER", "AGE", "RECEIVED", "SENT"}}
	for _, e := range all {
		t.row(e.object, e.Proto, e.Source, e.Target, e.Service, e.Peer, e.Age.Round(time.Second).String(), Size(e.RxBytes), Size(e.TxBytes))
	}
	if len(all) > 0 && len(all) < open {
		t.note(fmt.Sprintf("and %d older ones", open-len(all)))
	}
	return t.lines("")
}

func list(prefixes []netip.Prefix) string {
	var s []string
	for _, p := range prefixes {
		s = append(s, p.String())
	}
	return strings.Join(s, " ")
}
