// SPDX-License-Identifier: BSD-3-Clause

package irm

import (
	"slices"
	"strconv"

	"o7gw/o7s/oap/cipher"
	"o7gw/o7s/rib"
)

// ribName is the directory of what the IRM itself publishes; an IPC process of
// that name shares it.
const ribName = "irm"

// RIB returns the statistics of the node (spec 40 §7):
//
//	<IPC process>/info/_state, _type, _layer
//	<IPC process>/stats/counters   what a type counts
//	<IPC process>/...              what it publishes itself
//	irm/flows/<id>  irm/names/<name>  irm/processes/<pid>
//	irm/status/counts  irm/status/handshakes
//
// Names in it are written as rib.Escape does. It says no more than the lists,
// and is for everybody, like them.
func (i *IRM) RIB() *rib.Tree { return i.rib }

// publish makes the IRM's own directories.
func (i *IRM) publish() {
	t := i.rib.Sub(ribName)
	t.Mount("flows", flowDir{i})
	t.Mount("names", nameDir{i})
	t.Mount("processes", processDir{i})
	t.Mount("status", rib.Files{"counts": i.countsEntry, "handshakes": i.handshakesEntry})
}

// counted is implemented by IPC processes that count something but do not
// publish it themselves.
type counted interface{ Counters() rib.Entry }

// publish makes the directories that every IPC process has, and returns what
// takes them away.
func (m *member) publish() (unpublish func()) {
	t := m.irm.ribOf(m.name)
	ends := []func(){t.Mount("info", rib.Files{
		"_state": func() rib.Entry { return rib.Word(m.ipcp.State().String()) },
		"_type":  func() rib.Entry { return rib.Word(m.typ.String()) },
		"_layer": func() rib.Entry { return rib.Word(m.layerName()) },
	})}
	if c, ok := m.ipcp.(counted); ok {
		ends = append(ends, t.Mount("stats", rib.Files{"counters": c.Counters}))
	}
	return func() {
		for _, end := range ends {
			end()
		}
	}
}

// ribOf is the subtree of an IPC process.
func (i *IRM) ribOf(name string) *rib.Tree { return i.rib.Sub(rib.Escape(name)) }

// layerName is what the prototype says of the layer.
func (m *member) layerName() string {
	m.irm.mu.Lock()
	defer m.irm.mu.Unlock()
	if !m.joined {
		return "(null)"
	}
	return m.info.Layer
}

func (i *IRM) countsEntry() rib.Entry {
	i.mu.Lock()
	defer i.mu.Unlock()
	programs := make(map[string]bool)
	for _, n := range i.names {
		for _, b := range n.programs {
			programs[b.program()] = true
		}
	}
	applications := 0
	for p := range i.procs {
		if p.member == nil {
			applications++
		}
	}
	return table(
		"IPCPs", len(i.ipcps), "Names", len(i.names), "Programs", len(programs),
		"Processes", applications, "Flows", len(i.flows.byID),
	)
}

// handshakesEntry counts the requests for flows that processes of this node
// accept, and those that did not get theirs.
func (i *IRM) handshakesEntry() rib.Entry {
	h := &i.handshakes
	s := h.server.Stats()
	return table(
		"Requests taken", s.Accepted, "Requests malformed", s.Malformed, "Requests replayed", s.Replayed,
		"Requests with a wrong time", s.OutOfTime, "Requests too many", s.Overloaded,
		"Requests not authenticated", s.Unauthenticated, "Requests without agreed cipher", s.Disagreed,
		"Own, not authenticated", h.unauthenticated.Load(), "Own, without agreed cipher", h.disagreed.Load(),
		"Security files not usable", h.unusable.Load(),
	)
}

// table is an entry of labels and values by turns.
func table(labelsAndValues ...any) rib.Entry {
	e := rib.Entry{LabelWidth: rib.LabelWidth, ValueWidth: rib.ValueWidth}
	for pair := range slices.Chunk(labelsAndValues, 2) {
		e.Fields = append(e.Fields, rib.Field{Label: pair[0].(string) + ":", Value: pair[1]})
	}
	return e
}

// flowDir is irm/flows.
type flowDir struct{ i *IRM }

func (d flowDir) Names() []string {
	d.i.mu.Lock()
	defer d.i.mu.Unlock()
	names := make([]string, 0, len(d.i.flows.byID))
	for id := range d.i.flows.byID {
		names = append(names, strconv.Itoa(id))
	}
	slices.Sort(names)
	return names
}

func (d flowDir) Entry(name string) (rib.Entry, bool) {
	id, err := strconv.Atoi(name)
	if err != nil || strconv.Itoa(id) != name {
		return rib.Entry{}, false
	}
	d.i.mu.Lock()
	f := d.i.flows.byID[id]
	if f == nil {
		d.i.mu.Unlock()
		return rib.Entry{}, false
	}
	info, carrier, end := f.infoLocked(), "", f.end
	if f.m != nil {
		carrier = f.m.name
	}
	user := "process " + strconv.Itoa(info.PID)
	if f.p.member != nil {
		user = "IPCP " + f.p.member.name
	}
	d.i.mu.Unlock()

	role := "client"
	if info.Server {
		role = "server"
	}
	e := table("Name", info.Name, "User", user, "Role", role, "State", info.State.String(), "QoS", info.QoS.String(),
		"MTU (bytes)", info.MTU, "Maximum packet lifetime (ms)", info.MPL.Milliseconds())
	if info.Cipher != 0 {
		e.Fields = append(e.Fields, rib.Field{Label: "Cipher:", Value: cipher.Name(info.Cipher)})
	}
	if info.PeerName != "" {
		e.Fields = append(e.Fields, rib.Field{Label: "Authenticated peer:", Value: info.PeerName})
	}
	if info.Direct {
		e.Fields = append(e.Fields, rib.Field{Label: "Other end (flow):", Value: info.Peer})
	} else {
		e.Fields = append(e.Fields, rib.Field{Label: "Carried by (IPCP):", Value: carrier})
	}
	if end != nil {
		s := end.Stats()
		e.Fields = append(e.Fields, table(
			"Sent (packets)", s.SentPackets, "Sent (bytes)", s.SentBytes,
			"Received (packets)", s.ReceivedPackets, "Received (bytes)", s.ReceivedBytes, "Dropped (packets)", s.Dropped,
		).Fields...)
	}
	return e, true
}

// nameDir is irm/names.
type nameDir struct{ i *IRM }

func (d nameDir) Names() []string {
	d.i.mu.Lock()
	defer d.i.mu.Unlock()
	names := make([]string, 0, len(d.i.names))
	for n := range d.i.names {
		names = append(names, rib.Escape(n))
	}
	slices.Sort(names)
	return names
}

func (d nameDir) Entry(escaped string) (rib.Entry, bool) {
	s, ok := rib.Unescape(escaped)
	d.i.mu.Lock()
	n := d.i.names[s]
	if !ok || n == nil {
		d.i.mu.Unlock()
		return rib.Entry{}, false
	}
	info := n.infoLocked()
	listeners, accepts, pending := n.listeners, n.active.Len(), n.pending.Len()
	d.i.mu.Unlock()

	e := table("Load-balance policy", info.Policy.String(), "Owner (uid)", info.Owner, "Listeners", listeners,
		"Waiting accepts", accepts, "Waiting requests", pending)
	add := func(label string, value any) { e.Fields = append(e.Fields, rib.Field{Label: label, Value: value}) }
	if r := FormatRequire(info.Server.Require); r != "" {
		add("Required of clients:", r)
	}
	if r := FormatRequire(info.Client.Require); r != "" {
		add("Required of servers:", r)
	}
	for _, b := range info.Programs {
		add("Program:", b.Path)
	}
	for _, pid := range info.Processes {
		add("Process:", pid)
	}
	for _, b := range info.IPCPs {
		add("IPCP:", b.Name)
	}
	for _, r := range info.Registered {
		add("Registered with "+r.Name+":", r.Hash.Short())
	}
	return e, true
}

// processDir is irm/processes. A process that is attached more than once has
// one entry.
type processDir struct{ i *IRM }

func (d processDir) Names() []string {
	d.i.mu.Lock()
	defer d.i.mu.Unlock()
	var names []string
	for p := range d.i.procs {
		if p.member == nil {
			names = append(names, strconv.Itoa(p.info.PID))
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func (d processDir) Entry(name string) (rib.Entry, bool) {
	var all []ProcessInfo
	d.i.mu.Lock()
	for p := range d.i.procs {
		if p.member == nil && strconv.Itoa(p.info.PID) == name {
			all = append(all, p.infoLocked())
		}
	}
	d.i.mu.Unlock()
	if all == nil {
		return rib.Entry{}, false
	}
	sum := all[0]
	for _, o := range all[1:] {
		sum.Accepts += o.Accepts
		sum.Flows += o.Flows
		sum.Names = append(sum.Names, o.Names...)
	}
	slices.Sort(sum.Names)
	e := table("Program", sum.Program, "User (uid)", sum.UID, "Attached (times)", len(all), "Waiting accepts", sum.Accepts,
		"Flows", sum.Flows)
	for _, n := range slices.Compact(sum.Names) {
		e.Fields = append(e.Fields, rib.Field{Label: "Name:", Value: n})
	}
	return e, true
}
