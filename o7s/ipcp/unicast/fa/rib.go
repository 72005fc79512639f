// SPDX-License-Identifier: BSD-3-Clause

package fa

import (
	"strconv"

	"o7gw/o7s/ipcp/unicast/ca"
	"o7gw/o7s/rib"
)

// Columns of the text form (spec 40 §7.3).
const (
	labelWidth = 33
	valueWidth = 20
)

// RIB returns the directory "flow-allocator" of the statistics: an entry for
// each flow, named by the lower half of its EID. The prototype's exporter takes each
// entry for a flow, and ignores labels that it does not know (spec 50 §3.2).
func (a *FA) RIB() rib.Dir { return flowDir{a} }

type flowDir struct{ fa *FA }

// Names implements rib.Dir.
func (d flowDir) Names() []string {
	var names []string
	for f := range d.fa.flows.all() {
		names = append(names, f.name())
	}
	return names
}

// Entry implements rib.Dir.
func (d flowDir) Entry(name string) (rib.Entry, bool) {
	i, err := strconv.ParseUint(name, 10, 32)
	if err != nil {
		return rib.Entry{}, false
	}
	f := d.fa.flows.at(i)
	if f == nil || f.name() != name { // 064
		return rib.Entry{}, false
	}
	return entry(f.fields()), true
}

// totals is the entry about all flows together.
const totals = "stats"

// Details returns a directory of what the prototype has no place for: the
// counters of all flows together.
func (a *FA) Details() rib.Dir { return detailDir{a} }

type detailDir struct{ fa *FA }

// Names implements rib.Dir.
func (d detailDir) Names() []string { return []string{totals} }

// Entry implements rib.Dir.
func (d detailDir) Entry(name string) (rib.Entry, bool) {
	if name != totals {
		return rib.Entry{}, false
	}
	return entry(d.fa.Stats().fields()), true
}

func entry(fields []rib.Field) rib.Entry {
	return rib.Entry{LabelWidth: labelWidth, ValueWidth: valueWidth, Fields: fields}
}

func (f *flow) name() string { return strconv.FormatUint(uint64(uint32(f.eid)), 10) }

// fields returns what the prototype shows of a flow, with its labels, and then
// what it does not.
func (f *flow) fields() []rib.Field {
	f.recvMu.Lock()
	level, count := f.level.Level()
	f.recvMu.Unlock()
	f.mu.Lock()
	s := f.ca.Stats()
	waiting, bytes := f.waitingLocked(), f.bytes
	f.mu.Unlock()

	fields := []rib.Field{
		{Label: "Flow established at:", Value: f.since},
		{Label: "Remote address:", Value: f.addr},
		{Label: "Local endpoint ID:", Value: f.eid},
		{Label: "Remote endpoint ID:", Value: f.remote.Load()},
		{Label: "Sent (packets):", Value: f.sent.packets.Load()},
		{Label: "Sent (bytes):", Value: f.sent.bytes.Load()},
		{Label: "Send failed (packets):", Value: f.sendFailed.packets.Load()},
		{Label: "Send failed (bytes):", Value: f.sendFailed.bytes.Load()},
		{Label: "Received (packets):", Value: f.received.packets.Load()},
		{Label: "Received (bytes):", Value: f.received.bytes.Load()},
		{Label: "Receive failed (packets):", Value: f.recvFailed.packets.Load()},
		{Label: "Receive failed (bytes):", Value: f.recvFailed.bytes.Load()},
		{Label: "Sent flow updates (packets):", Value: f.updates.sent.Load()},
		{Label: "Received flow updates (packets):", Value: f.updates.received.Load()},
	}
	if f.fa.cfg.CA == ca.MBECN {
		fields = append(fields,
			rib.Field{Label: "Congestion avoidance algorithm:", Value: ca.MBECN.String()},
			rib.Field{Label: "Upstream congestion level:", Value: s.Level},
			rib.Field{Label: "Upstream packet counter:", Value: s.Since},
			rib.Field{Label: "Downstream congestion level:", Value: level},
			rib.Field{Label: "Downstream packet counter:", Value: count},
			rib.Field{Label: "Congestion window size (ns):", Value: s.Slot},
			rib.Field{Label: "Packets in this window:", Value: s.Packets},
			rib.Field{Label: "Bytes in this window:", Value: s.Bytes},
			rib.Field{Label: "Max bytes in this window:", Value: s.Window},
			rib.Field{Label: "Current congestion regime:", Value: s.Regime},
		)
	}
	return append(fields,
		rib.Field{Label: "Queued (packets):", Value: waiting},
		rib.Field{Label: "Queued (bytes):", Value: bytes},
		rib.Field{Label: "Dropped queue full (packets):", Value: f.dropped.full.Load()},
		rib.Field{Label: "Dropped too long (packets):", Value: f.dropped.tooLong.Load()},
		rib.Field{Label: "Dropped by reader (packets):", Value: f.in.Dropped()},
	)
}

func (s Stats) fields() []rib.Field {
	return []rib.Field{
		{Label: "Flows:", Value: s.Flows},
		{Label: "Requests:", Value: s.Requests},
		{Label: "Requests for unknown names:", Value: s.Unregistered},
		{Label: "Copies of requests:", Value: s.Copies},
		{Label: "Replies:", Value: s.Replies},
		{Label: "Requests repeated:", Value: s.Repeats},
		{Label: "Teardown notices:", Value: s.Teardowns},
		{Label: "Dropped closed (packets):", Value: s.DropNotUp},
		{Label: "Dropped too long (packets):", Value: s.DropTooLong},
		{Label: "Dropped queue full (packets):", Value: s.DropFull},
		{Label: "Dropped unknown EID (packets):", Value: s.DropNoFlow},
		{Label: "Messages not sent:", Value: s.DropSendFail},
		{Label: "Messages malformed:", Value: s.DropMalformed},
		{Label: "Messages of unknown code:", Value: s.DropCode},
		{Label: "Messages for no flow:", Value: s.DropStray},
		{Label: "Messages not from the peer:", Value: s.DropSource},
		{Label: "Requests dropped, too many:", Value: s.DropBusy},
	}
}
