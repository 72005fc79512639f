// SPDX-License-Identifier: BSD-3-Clause

package cep

import (
	"fmt"
	"strconv"

	"o7gw/o7s/rib"
)

// RIB returns the directory "connections": an entry for each, by number.
func (m *Manager) RIB() rib.Dir { return connections{m} }

type connections struct{ m *Manager }

func (d connections) Names() []string {
	var names []string
	for _, c := range d.m.list() {
		names = append(names, strconv.FormatUint(c.number, 10))
	}
	return names
}

func (d connections) Entry(name string) (rib.Entry, bool) {
	for _, c := range d.m.list() {
		if strconv.FormatUint(c.number, 10) == name {
			return c.entry(), true
		}
	}
	return rib.Entry{}, false
}

func (c *Conn) entry() rib.Entry {
	from, kind := "peer", "prototype"
	if c.Initiated() {
		from = "this side"
	}
	if c.Ours() {
		kind = fmt.Sprintf("o7gw, capabilities 0x%x", c.peer.Caps)
	}
	return rib.Entry{LabelWidth: 26, ValueWidth: 40, Fields: []rib.Field{
		{Label: "Component:", Value: c.component},
		{Label: "Established at:", Value: c.made},
		{Label: "Connected by:", Value: from},
		{Label: "Name:", Value: c.dst},
		{Label: "Peer address:", Value: c.peer.Address},
		{Label: "Peer:", Value: kind},
		{Label: "MTU (bytes):", Value: c.MTU()},
	}}
}
