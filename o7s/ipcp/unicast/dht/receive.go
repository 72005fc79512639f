// SPDX-License-Identifier: BSD-3-Clause

package dht

import (
	"encoding/binary"
	"time"
)

// Receive takes a message. It keeps nothing of msg.
func (d *DHT) Receive(now time.Time, msg []byte) {
	d.at(now)
	m := &d.in
	if err := m.parse(msg); err != nil {
		d.stats.Malformed++
		return
	}
	if !d.plausible(m.src) || !d.rightKey(m) {
		d.stats.Rejected++
		return
	}
	d.stats.Received[m.kind]++
	switch m.kind {
	case store:
		d.storeReceived(m)
	case findNode, findValue:
		d.respond(m)
	default:
		d.response(m)
		return
	}
	// Known members, the usual case, cost no memory.
	if c := d.table.addrs[m.src.addr]; c == nil || c.id != string(m.src.id) {
		d.heardOf(string(m.src.id), m.src.addr)
	}
}

// rightKey reports whether the key of a message has the length of this layer's.
func (d *DHT) rightKey(m *message) bool {
	switch m.kind {
	case store:
		return len(m.store.key) == len(d.id)
	case findNode, findValue:
		return len(m.find.key) == len(d.id)
	}
	return len(m.node.key) == len(d.id)
}

// respond answers a request, each copy of it. The answer goes to the address that
// the request names, since nothing else tells where it came from.
func (d *DHT) respond(m *message) {
	a := &d.answer
	a.kind = m.kind + 1
	a.node.cookie, a.node.key = m.find.cookie, m.find.key
	a.node.contacts, a.value.values = a.node.contacts[:0], a.value.values[:0]
	if m.kind == findValue {
		d.answerValues(string(m.find.key))
	}
	asker := m.src.addr
	d.near = d.table.closest(string(m.find.key), d.cfg.K, func(c *contact) bool {
		return !c.gone() && c.addr != asker && !d.isGone(c.addr)
	}, d.near[:0])
	size := a.node.size() + a.value.size() + 2*len(d.id)
	for _, c := range d.near {
		if size += bytesSize(c.msg.size()); size > maxAnswer {
			break
		}
		a.node.contacts = append(a.node.contacts, c.msg)
	}
	if len(a.node.contacts) == 0 { // none at all aborts some C nodes (spec 20 §10.4)
		a.node.contacts = append(a.node.contacts, m.src)
	}
	d.send(asker, a)
}

// answerValues puts the values of a key into the answer: the own one, which is
// right for sure, then those stored most recently.
func (d *DHT) answerValues(key string) {
	a := &d.answer
	add := func(addr uint64) {
		if n := len(a.value.values); n < maxAnswerValues {
			binary.BigEndian.PutUint64(d.value[n][:], addr)
			a.value.values = append(a.value.values, d.value[n][:])
		}
	}
	if d.own[key] != nil {
		add(d.cfg.Self)
	}
	if h := d.held[key]; h != nil {
		for _, v := range h.values {
			add(v.addr)
		}
	}
}
