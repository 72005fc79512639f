// SPDX-License-Identifier: BSD-3-Clause

package dht

import (
	"bytes"
	"slices"
	"time"

	"o7gw/o7s/layer"
)

// cNode behaves like the directory of a C node in a layer with one bucket (spec
// 20 §10.5 to §10.9): it stores and asks at its first 3 contacts only, in its
// order, does not iterate, never checks whether anybody is alive, and replicates
// nothing that matters here.
type cNode struct {
	self     contactMsg
	k, alpha int
	contacts []contactMsg // longest not heard of first
	held     map[string][][]byte
	own      map[string]bool
	asked    map[uint64]uint64 // look-up by cookie
	answers  map[uint64][]uint64
	cookies  uint64
	out      []sentMessage
}

var _ machine = (*cNode)(nil)

func (b *bus) addC() (*member, *cNode) {
	c := &cNode{
		self: contactMsg{[]byte(b.key()), b.rng.Uint64()>>32 | 1}, k: 8, alpha: 3,
		held: make(map[string][][]byte), own: make(map[string]bool),
		asked: make(map[uint64]uint64), answers: make(map[uint64][]uint64),
	}
	return b.attach(c.self.addr, c, nil), c
}

func (c *cNode) Tick(time.Time)      {}
func (c *cNode) Deadline() time.Time { return time.Time{} }

func (c *cNode) Drain(send func(uint64, []byte), found func(uint64, []uint64)) {
	out := c.out
	c.out = nil
	for _, m := range out {
		send(m.to, m.wire)
	}
	for id, a := range c.answers {
		delete(c.answers, id)
		found(id, a)
	}
}

func (c *cNode) send(to uint64, m message) {
	m.src = c.self
	c.out = append(c.out, sentMessage{to: to, wire: m.append(nil)})
}

func (c *cNode) find(k kind, to uint64, key []byte, lookup uint64) {
	c.cookies++
	c.asked[c.cookies] = lookup
	c.send(to, message{kind: k, find: findMsg{c.cookies, key}})
}

func (c *cNode) join(peer uint64) {
	c.find(findNode, peer, c.self.id, 0)
	c.find(findNode, peer, c.self.id, 0) // both copies
}

func (c *cNode) first(n int) []contactMsg { return c.contacts[:min(n, len(c.contacts))] }

func (c *cNode) register(now time.Time, key layer.Hash) {
	c.own[string(key)] = true
	for _, to := range c.first(c.alpha) {
		c.send(to.addr, message{kind: store, store: storeMsg{[]byte(key), value(c.self.addr), uint32(now.Unix() + 86400)}})
	}
}

func (c *cNode) lookup(id uint64, key layer.Hash) {
	for _, to := range c.first(c.alpha) {
		c.find(findValue, to.addr, []byte(key), id)
	}
}

func (c *cNode) insert(m contactMsg) {
	if m.addr == c.self.addr {
		return
	}
	c.contacts = slices.DeleteFunc(c.contacts, func(o contactMsg) bool { return o.addr == m.addr })
	if len(c.contacts) < c.k-1 {
		c.contacts = append(c.contacts, contactMsg{bytes.Clone(m.id), m.addr})
	}
}

func (c *cNode) Receive(now time.Time, wire []byte) {
	var m message
	if err := m.parse(wire); err != nil {
		panic(err) // a Debug build of the prototype aborts
	}
	c.insert(m.src)
	switch m.kind {
	case store:
		c.held[string(m.store.key)] = append(c.held[string(m.store.key)], bytes.Clone(m.store.val))
	case findNode, findValue:
		a := message{kind: m.kind + 1, node: nodeMsg{m.find.cookie, bytes.Clone(m.find.key), c.first(c.k)}}
		if m.kind == findValue {
			a.value.values = append(a.value.values, c.held[string(m.find.key)]...)
			if c.own[string(m.find.key)] {
				a.value.values = append(a.value.values, value(c.self.addr))
			}
		}
		c.send(m.src.addr, a)
	default:
		if len(m.node.contacts) == 0 {
			panic("response without contacts") // likewise
		}
		id, ok := c.asked[m.node.cookie]
		if !ok {
			return
		}
		delete(c.asked, m.node.cookie)
		for _, n := range m.node.contacts {
			c.insert(n)
		}
		if len(m.value.values) > 0 && id != 0 {
			c.answers[id] = []uint64{address(m.value.values[0])}
			for cookie, other := range c.asked {
				if other == id {
					delete(c.asked, cookie)
				}
			}
		}
	}
}
