// SPDX-License-Identifier: BSD-3-Clause

package dht

import (
	"bytes"
	"reflect"
	"testing"
	"time"
)

// addMessages puts one message of each kind into a corpus.
func addMessages(f *testing.F, add func(b []byte)) {
	for _, file := range []string{"uni-dix.pcap", "line-eth2.pcap"} {
		for _, p := range captured(f, file) {
			add(p.Payload)
		}
	}
	add([]byte{8, 5, 0x12, 4, 0x0a, 0, 0x10, 0})
}

// What parses is the same after it was written and parsed again.
func FuzzMessage(f *testing.F) {
	addMessages(f, func(b []byte) { f.Add(b) })
	f.Fuzz(func(t *testing.T, b []byte) {
		var m, again message
		if m.parse(b) != nil {
			return
		}
		wire := m.append(nil)
		if err := again.parse(wire); err != nil {
			t.Fatalf("%x: written as %x, which does not parse: %v", b, wire, err)
		}
		if w := again.append(nil); !bytes.Equal(w, wire) {
			t.Fatalf("%x: written as %x, then as %x", b, wire, w)
		}
	})
}

// Each of the parsers of sub-messages.
func FuzzParts(f *testing.F) {
	f.Add(contactMsg{count(1, 32), 7}.append(nil))
	f.Add(findMsg{9, count(2, 32)}.append(nil))
	f.Add((&nodeMsg{9, count(2, 32), []contactMsg{{count(1, 32), 7}}}).append(nil))
	f.Add((&valueMsg{[][]byte{value(7), nil}}).append(nil))
	f.Add(storeMsg{count(2, 32), value(7), 1790000000}.append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		if c, err := parseContact(b); err == nil {
			if again, err := parseContact(c.append(nil)); err != nil || !reflect.DeepEqual(again, c) || len(c.append(nil)) != c.size() {
				t.Errorf("contact %+v, then %+v, %v", c, again, err)
			}
		}
		if m, err := parseFind(b); err == nil {
			if again, err := parseFind(m.append(nil)); err != nil || !reflect.DeepEqual(again, m) || len(m.append(nil)) != m.size() {
				t.Errorf("find %+v, then %+v, %v", m, again, err)
			}
		}
		if m, err := parseStore(b); err == nil {
			if again, err := parseStore(m.append(nil)); err != nil || !reflect.DeepEqual(again, m) || len(m.append(nil)) != m.size() {
				t.Errorf("store %+v, then %+v, %v", m, again, err)
			}
		}
		var n, n2 nodeMsg
		if n.parse(b) == nil {
			if err := n2.parse(n.append(nil)); err != nil || len(n.append(nil)) != n.size() || !bytes.Equal(n.append(nil), n2.append(nil)) {
				t.Errorf("node %+v, then %+v, %v", n, n2, err)
			}
		}
		var v, v2 valueMsg
		if v.parse(b) == nil {
			if err := v2.parse(v.append(nil)); err != nil || len(v.append(nil)) != v.size() || !bytes.Equal(v.append(nil), v2.append(nil)) {
				t.Errorf("value %+v, then %+v, %v", v, v2, err)
			}
		}
	})
}

// A machine in the middle of everything takes any sequence of messages: each is
// (length, flags, bytes). A flag gives it the cookie of an outstanding request and its
// sender, so that responses reach what is behind the check.
func FuzzReceive(f *testing.F) {
	addMessages(f, func(b []byte) {
		f.Add(append([]byte{byte(len(b)), 0}, b...))
		f.Add(append([]byte{byte(len(b)), 1}, b...))
		f.Add(append(append([]byte{byte(len(b)), 7}, b...), append([]byte{byte(len(b)), 9}, b...)...))
	})
	f.Fuzz(func(t *testing.T, b []byte) {
		now := epoch
		key := hashOf("op")
		d := New(Config{Self: 1, ID: count(0, 32), K: 2, Rand: bytes.NewReader(make([]byte, 32))}, now)
		d.Join(now, 7)
		d.Register(now, hashOf("own"))
		d.Lookup(now, 1, key)
		for len(b) >= 2 {
			n, flags := min(int(b[0]), len(b)-2), b[1]
			msg := b[2 : 2+n]
			b = b[2+n:]
			if flags&1 != 0 {
				msg = asAnswer(d, msg)
			}
			d.Receive(now, msg)
			if flags&2 != 0 {
				now = now.Add(350 * time.Millisecond)
				d.Tick(now)
			}
			if flags&4 != 0 {
				d.Lookup(now, 2, key)
				d.Cancel(2)
			}
			if flags&8 != 0 {
				now = now.Add(time.Hour)
				d.Tick(now)
			}
			d.Drain(func(to uint64, m []byte) {
				var x message
				if err := x.parse(m); err != nil {
					t.Fatalf("sent %x: %v", m, err)
				}
				if to == 0 || to == 1 || x.src.addr != 1 || len(x.src.id) != 32 {
					t.Fatalf("sent %+v to %d", x, to)
				}
				if x.kind == foundNode || x.kind == foundValue {
					if len(x.node.contacts) == 0 {
						t.Fatalf("response without contacts: %x", m)
					}
					for _, c := range x.node.contacts {
						if len(c.id) != 32 || c.addr == 0 {
							t.Fatalf("contact %+v", c)
						}
					}
				}
			}, func(uint64, []uint64) {})
		}
		check(t, d)
		d.Snapshot(now)
	})
}

// asAnswer turns a message into the response to an outstanding request.
func asAnswer(d *DHT, msg []byte) []byte {
	var m message
	if m.parse(msg) != nil {
		return msg
	}
	var r *request
	for _, o := range d.requests { // any, but the same each time
		if r == nil || o.cookie < r.cookie {
			r = o
		}
	}
	if r == nil {
		return msg
	}
	m.kind, m.src.addr = r.kind+1, r.to
	m.node.cookie, m.node.key = r.cookie, []byte(r.key)
	return m.append(nil)
}

// check looks for contradictions in the state.
func check(t *testing.T, d *DHT) {
	t.Helper()
	n := 0
	for key, h := range d.held {
		n += len(h.values)
		if len(h.values) == 0 || d.keys[h.pos] != h || h.key != key || h.timer.pos == 0 {
			t.Fatalf("held key %+v", h)
		}
	}
	billed := 0
	for _, b := range d.billed {
		billed += b
	}
	if n != d.values || billed != n || len(d.keys) != len(d.held) {
		t.Fatalf("%d values, counted %d, billed %d; %d keys, %d in the list", d.values, n, billed, len(d.held), len(d.keys))
	}
	probing := 0
	for _, r := range d.requests {
		if r.lookup == nil && !r.late {
			probing++
		}
		if r.timer.pos == 0 {
			t.Fatalf("request without a timer: %+v", r)
		}
	}
	if probing != d.probing {
		t.Fatalf("%d probes, counted %d", d.probing, probing)
	}
	d.table.each(func(c *contact) {
		if d.table.addrs[c.addr] != c || c.addr == d.cfg.Self || c.id == d.id || !c.spare && c.check.pos == 0 {
			t.Fatalf("contact %+v", c)
		}
	})
	for _, l := range d.active {
		if l.over || l.timer.pos == 0 {
			t.Fatalf("look-up %+v", l)
		}
	}
}
