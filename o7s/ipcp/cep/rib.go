// SPDX-License-Identifier: BSD-3-Clause

package cep

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"

	"o7gw/o7s/rib"
)

// RIB returns the directory "connections": an entry for each, by number, and for
// each that is lost and tried again.
func (m *Manager) RIB() rib.Dir { return connections{m} }

type connections struct{ m *Manager }

// Names implements rib.Dir.
func (d connections) Names() []string {
	var names []string
	for _, e := range d.m.entries() {
		names = append(names, e.name)
	}
	return names
}

// Entry implements rib.Dir.
func (d connections) Entry(name string) (rib.Entry, bool) {
	for _, e := range d.m.entries() {
		if e.name == name {
			return rib.Entry{LabelWidth: 26, ValueWidth: 40, Fields: e.fields()}, true
		}
	}
	return rib.Entry{}, false
}

// entry is one of the directory.
type entry struct {
	name   string
	fields func() []rib.Field
}

func (m *Manager) entries() []entry {
	var list []entry
	for _, c := range m.list() {
		list = append(list, entry{strconv.FormatUint(c.number, 10), func() []rib.Field { return m.fields(c) }})
	}
	for i, l := range m.lost() {
		list = append(list, entry{fmt.Sprintf("lost-%d", i+1), l.fields})
	}
	slices.SortFunc(list, func(a, b entry) int { return cmp.Compare(a.name, b.name) })
	return list
}

// lost returns the connections that are tried again, in a fixed order.
func (m *Manager) lost() []*link {
	m.mu.Lock()
	defer m.mu.Unlock()
	var list []*link
	for _, l := range m.kept {
		if l.conn == nil {
			list = append(list, l)
		}
	}
	slices.SortFunc(list, func(a, b *link) int {
		return cmp.Or(cmp.Compare(a.dst, b.dst), cmp.Compare(a.component, b.component), cmp.Compare(a.qos.String(), b.qos.String()))
	})
	return list
}

// fields describes a connection that a component has.
func (m *Manager) fields(c *Conn) []rib.Field {
	from, kind := "peer", "prototype"
	if c.Initiated() {
		from = "this side"
	}
	if c.Ours() {
		kind = fmt.Sprintf("o7gw, capabilities 0x%x", c.peer.Caps)
	}
	return []rib.Field{
		{Label: "Component:", Value: c.component},
		{Label: "State:", Value: "established"},
		{Label: "Established at:", Value: c.made},
		{Label: "Connected by:", Value: from},
		{Label: "Name:", Value: c.flow.Name()},
		{Label: "Peer address:", Value: m.address(c.peer.Address)},
		{Label: "Peer:", Value: kind},
		{Label: "QoS:", Value: c.QoS().String()},
		{Label: "MTU (bytes):", Value: c.MTU()},
	}
}

// fields describes a connection that there is not.
func (l *link) fields() []rib.Field {
	return []rib.Field{
		{Label: "Component:", Value: l.component},
		{Label: "State:", Value: "lost"},
		{Label: "Connected by:", Value: "this side"},
		{Label: "Name:", Value: l.dst},
		{Label: "QoS:", Value: l.qos.String()},
	}
}
