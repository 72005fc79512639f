// SPDX-License-Identifier: BSD-3-Clause

package dht

import (
	"bytes"
	"encoding/binary"
	"testing"
	"time"

	"o7gw/o7s/layer"
)

// stage is one DHT whose only partner is the test.
type stage struct {
	t   *testing.T
	d   *DHT
	now time.Time
	out []sentMessage
}

var stageKey = hashOf("op")

func hashOf(name string) layer.Hash { return layer.SHA3_256.Sum(name) }

func newStage(t *testing.T) *stage {
	return &stage{t: t, d: New(Config{Self: 1, ID: count(0, 32)}, epoch), now: epoch}
}

// peerID returns the id of a member that the test plays; it is as good for a key.
func peerID(addr uint64) []byte {
	return []byte(layer.SHA3_256.Sum(string(binary.BigEndian.AppendUint64(nil, addr))))
}

func (s *stage) drain() {
	s.d.Drain(func(to uint64, msg []byte) {
		s.out = append(s.out, sentMessage{to: to, wire: bytes.Clone(msg)})
	}, func(uint64, []uint64) {})
}

// from plays a message of a member with the usual id.
func (s *stage) from(addr uint64, m message) []sentMessage {
	if m.src.id == nil {
		m.src = contactMsg{peerID(addr), addr}
	}
	return s.raw(m.append(nil))
}

// raw plays a message and returns what was sent because of it.
func (s *stage) raw(b []byte) []sentMessage {
	s.out = nil
	s.d.Receive(s.now, b)
	s.drain()
	return s.out
}

func (s *stage) pass(d time.Duration) []sentMessage {
	s.out = nil
	for end := s.now.Add(d); ; {
		at := s.d.Deadline()
		if at.IsZero() || at.After(end) {
			s.now = end
			return s.out
		}
		s.now = at
		s.d.Tick(s.now)
		s.drain()
	}
}

// kinds returns the messages of a kind.
func kinds(t *testing.T, list []sentMessage, k kind) (of []message) {
	for _, s := range list {
		if m := parsed(t, s.wire); m.kind == k {
			of = append(of, m)
		}
	}
	return of
}

// meet makes the member of an address known: it asks, and answers our request.
func (s *stage) meet(addr uint64) {
	for _, m := range kinds(s.t, s.from(addr, message{kind: findNode, find: findMsg{1, peerID(addr)}}), findNode) {
		s.from(addr, message{kind: foundNode, node: nodeMsg{m.find.cookie, m.find.key, nil}})
	}
	if c := s.d.table.addrs[addr]; c == nil || c.spare {
		s.t.Fatalf("%d is not in the table", addr)
	}
}

// Each copy of a request is answered, with at least one contact, and with node and
// val to FIND_VALUE (spec 20 §10.10, §12.11).
func TestAnswers(t *testing.T) {
	s := newStage(t)
	for range 2 {
		for _, k := range []kind{findNode, findValue} {
			out := kinds(t, s.from(7, message{kind: k, find: findMsg{99, []byte(stageKey)}}), k+1)
			if len(out) != 1 {
				t.Fatalf("%d answers", len(out))
			}
			m := out[0]
			if m.node.cookie != 99 || string(m.node.key) != string(stageKey) || m.src.addr != 1 || !bytes.Equal(m.src.id, count(0, 32)) {
				t.Errorf("answer %+v", m)
			}
			if len(m.node.contacts) != 1 || m.node.contacts[0].addr != 7 || !bytes.Equal(m.node.contacts[0].id, peerID(7)) {
				t.Errorf("contacts %+v, want the asker itself", m.node.contacts)
			}
			if k == findValue && (!m.has[fieldValue] || len(m.value.values) != 0) {
				t.Errorf("values %+v", m.value)
			}
		}
	}
	s.meet(8)
	s.d.Register(s.now, stageKey)
	s.from(9, message{kind: store, store: storeMsg{[]byte(stageKey), value(9), uint32(s.now.Unix() + 100)}})
	m := kinds(t, s.from(7, message{kind: findValue, find: findMsg{99, []byte(stageKey)}}), foundValue)[0]
	if len(m.value.values) != 2 || address(m.value.values[0]) != 1 || address(m.value.values[1]) != 9 {
		t.Errorf("values %x, want own and held", m.value.values)
	}
	if len(m.node.contacts) != 1 || m.node.contacts[0].addr != 8 {
		t.Errorf("contacts %+v", m.node.contacts)
	}
}

// Responses fit an Ethernet frame whatever k is.
func TestAnswerSize(t *testing.T) {
	s := newStage(t)
	s.d = New(Config{Self: 1, ID: make([]byte, 64), K: 255}, epoch)
	for addr := uint64(1 << 40); addr < 1<<40+255; addr++ {
		s.d.alive(string(append(peerID(addr), peerID(addr)...)), addr)
	}
	for addr := range uint64(20) {
		key := make([]byte, 64)
		s.from(2, message{kind: store, src: contactMsg{make([]byte, 64), 2}, store: storeMsg{key, value(addr + 3), uint32(s.now.Unix() + 100)}})
		key[0] = 1
		s.raw((&message{kind: store, src: contactMsg{key, 2}, store: storeMsg{make([]byte, 64), value(addr + 3), uint32(s.now.Unix() + 100)}}).append(nil))
	}
	id := bytes.Repeat([]byte{9}, 64)
	out := s.raw((&message{kind: findValue, src: contactMsg{id, 1 << 63}, find: findMsg{1 << 63, make([]byte, 64)}}).append(nil))
	for _, o := range out {
		if m := parsed(t, o.wire); m.kind == foundValue {
			if n := len(o.wire); n > maxAnswer+20 || n < 1000 || len(m.value.values) != maxAnswerValues {
				t.Errorf("%d bytes, %d values, %d contacts", n, len(m.value.values), len(m.node.contacts))
			}
			return
		}
	}
	t.Error("no answer")
}

// What cannot be is neither answered nor kept.
func TestRejected(t *testing.T) {
	find := findMsg{5, []byte(stageKey)}
	for name, m := range map[string]message{
		"source 0":               {kind: findNode, src: contactMsg{peerID(7), 0}, find: find},
		"source self":            {kind: findNode, src: contactMsg{peerID(7), 1}, find: find},
		"own id":                 {kind: findNode, src: contactMsg{count(0, 32), 7}, find: find},
		"short id":               {kind: findNode, src: contactMsg{count(1, 31), 7}, find: find},
		"long id":                {kind: findValue, src: contactMsg{count(1, 33), 7}, find: find},
		"no id":                  {kind: findValue, src: contactMsg{[]byte{}, 7}, find: find},
		"short key":              {kind: findValue, src: contactMsg{peerID(7), 7}, find: findMsg{5, count(1, 31)}},
		"store, long key":        {kind: store, src: contactMsg{peerID(7), 7}, store: storeMsg{count(1, 33), value(7), 1<<32 - 1}},
		"response, short key":    {kind: foundNode, src: contactMsg{peerID(7), 7}, node: nodeMsg{5, count(1, 31), nil}},
		"response to nobody":     {kind: foundNode, src: contactMsg{peerID(7), 7}, node: nodeMsg{5, []byte(stageKey), []contactMsg{{peerID(9), 9}}}},
		"value nobody asked for": {kind: foundValue, src: contactMsg{peerID(7), 7}, node: nodeMsg{5, []byte(stageKey), nil}, value: valueMsg{[][]byte{value(9)}}},
	} {
		s := newStage(t)
		if out := s.raw(m.append(nil)); len(out) != 0 {
			t.Errorf("%s: sent %d messages", name, len(out))
		}
		if n := s.d.table.known(); n != 0 || len(s.d.held) != 0 {
			t.Errorf("%s: %d contacts, %d keys", name, n, len(s.d.held))
		}
		if c := s.d.Snapshot(s.now).Counters; c.Rejected+c.Unexpected != 1 {
			t.Errorf("%s: counted %+v", name, c)
		}
	}
}

// Values that cannot be used are not stored; the expiry is bounded.
func TestStores(t *testing.T) {
	now := uint32(epoch.Unix())
	for name, c := range map[string]struct {
		val    []byte
		expiry uint32
		held   uint32 // 0: not
	}{
		"good":              {value(9), now + 100, now + 100},
		"expires now":       {value(9), now, now},
		"of the past":       {value(9), now - 1, 0},
		"for ever":          {value(9), 1<<32 - 1, now + 86400},
		"empty":             {nil, now + 100, 0},
		"short":             {count(1, 4), now + 100, 0},
		"long":              {count(1, 9), now + 100, 0},
		"address 0":         {value(0), now + 100, 0},
		"our own, long ago": {value(1), now + 100, 0},
	} {
		s := newStage(t)
		s.from(7, message{kind: store, store: storeMsg{[]byte(stageKey), c.val, c.expiry}})
		h := s.d.held[string(stageKey)]
		switch {
		case c.held == 0 && h != nil:
			t.Errorf("%s: held", name)
		case c.held != 0 && (h == nil || len(h.values) != 1 || h.values[0].expiry != c.held):
			t.Errorf("%s: held %+v, want expiry %d", name, h, c.held)
		}
		s.pass(86401 * time.Second)
		if len(s.d.held) != 0 || s.d.values != 0 || len(s.d.billed) != 0 {
			t.Errorf("%s: still held after a day", name)
		}
	}
	// A second STORE makes the life longer, never shorter.
	s := newStage(t)
	for _, more := range []uint32{100, 50, 200, 150} {
		s.from(7, message{kind: store, store: storeMsg{[]byte(stageKey), value(9), now + more}})
	}
	if v := s.d.held[string(stageKey)].values; len(v) != 1 || v[0].expiry != now+200 {
		t.Errorf("held %+v", v)
	}
	s.pass(199 * time.Second)
	if len(s.d.held) != 1 {
		t.Error("expired too early")
	}
}

func TestStoreLimits(t *testing.T) {
	s := newStage(t)
	put := func(sender uint64, key layer.Hash, addr uint64, life int64) {
		s.from(sender, message{kind: store, store: storeMsg{[]byte(key), value(addr), uint32(s.now.Unix() + life)}})
	}
	for i := range uint64(2 * maxPerKey) { // each published later than the one before
		put(7, stageKey, 100+i, int64(1000+i))
	}
	h := s.d.held[string(stageKey)]
	if len(h.values) != maxPerKey || h.values[0].addr != 100+2*maxPerKey-1 || s.d.values != maxPerKey {
		t.Errorf("%d values of a key, the first %d", len(h.values), h.values[0].addr)
	}
	put(7, stageKey, 1000, 10) // older than all
	if len(h.values) != maxPerKey || h.values[maxPerKey-1].addr == 1000 {
		t.Error("an old value pushed a newer one out")
	}
	for i := range uint64(maxPerSender) {
		put(7, layer.Hash(peerID(i)), 9, 1000)
	}
	if n := s.d.billed[7]; n != maxPerSender {
		t.Errorf("%d values of one sender", n)
	}
	for i := range uint64(maxHeld) {
		put(i>>8<<32|8, layer.Hash(peerID(i|1<<32)), 9, 1000)
	}
	if s.d.values != maxHeld {
		t.Errorf("%d values", s.d.values)
	}
	if c := s.d.Snapshot(s.now).Counters; c.StoresRefused != 1+uint64(maxPerKey)+maxPerSender {
		t.Errorf("%d refused", c.StoresRefused)
	}
	s.pass(1040 * time.Second)
	if s.d.values+len(s.d.held)+len(s.d.keys)+len(s.d.billed) != 0 {
		t.Errorf("%d values left", s.d.values)
	}
}

// Only the member that was asked can answer, and only what it was asked.
func TestForgedResponses(t *testing.T) {
	s := newStage(t)
	s.meet(7)
	s.d.Lookup(s.now, 1, stageKey)
	s.out = nil
	s.drain()
	asked := kinds(t, s.out, findValue)
	if len(asked) != 1 || s.out[0].to != 7 {
		t.Fatalf("asked %+v", asked)
	}
	cookie := asked[0].find.cookie
	answer := func(cookie uint64, key []byte) message {
		return message{kind: foundValue, node: nodeMsg{cookie, key, []contactMsg{{peerID(66), 66}}}, value: valueMsg{[][]byte{value(66)}}}
	}
	for name, m := range map[string]struct {
		from uint64
		msg  message
	}{
		"other address": {8, answer(cookie, []byte(stageKey))},
		"other cookie":  {7, answer(cookie+1, []byte(stageKey))},
		"other key":     {7, answer(cookie, peerID(3))},
		"other kind":    {7, message{kind: foundNode, node: nodeMsg{cookie, []byte(stageKey), nil}}},
	} {
		s.from(m.from, m.msg)
		if len(s.d.cache) != 0 || s.d.table.addrs[66] != nil {
			t.Errorf("%s: believed", name)
		}
	}
	s.from(7, answer(cookie, []byte(stageKey)))
	if got := s.d.cache[string(stageKey)].addrs; len(got) != 1 || got[0] != 66 {
		t.Errorf("cached %x", got)
	}
	unexpected := s.d.stats.Unexpected
	s.from(7, answer(cookie, []byte(stageKey))) // the second copy
	if s.d.stats.Unexpected != unexpected+1 {
		t.Error("second copy not counted")
	}
}

// Contacts in responses are hearsay until they answer; what cannot be a contact
// is ignored.
func TestHearsay(t *testing.T) {
	s := newStage(t)
	s.meet(7)
	s.d.Lookup(s.now, 1, stageKey)
	s.out = nil
	s.drain()
	m := kinds(t, s.out, findValue)[0]
	out := s.from(7, message{kind: foundValue, node: nodeMsg{m.find.cookie, m.find.key, []contactMsg{
		{peerID(8), 8}, {peerID(9), 0}, {peerID(10), 1}, {count(0, 32), 11}, {count(1, 31), 12}, {nil, 13}, {peerID(7), 14},
	}}})
	for _, o := range out {
		if o.to != 8 {
			t.Errorf("%d was asked", o.to)
		}
	}
	if c := s.d.table.addrs[8]; c == nil || !c.spare || s.d.table.size != 1 || s.d.table.known() != 2 {
		t.Errorf("contact %+v of %d", c, s.d.table.known())
	}
	for _, k := range kinds(t, s.from(20, message{kind: findNode, find: findMsg{1, []byte(stageKey)}}), foundNode) {
		for _, c := range k.node.contacts {
			if c.addr == 8 {
				t.Error("hearsay is passed on")
			}
		}
	}
	s.pass(10 * time.Second)
	if s.d.table.addrs[8] != nil {
		t.Error("hearsay that never answered is kept")
	}
}

// However many strangers knock, what is kept and what is sent stays bounded.
func TestFlood(t *testing.T) {
	s := newStage(t)
	sent := 0
	for i := range uint64(20000) {
		sent += len(s.from(100+i, message{kind: findNode, find: findMsg{1, []byte(stageKey)}}))
	}
	if s.d.table.known() > 8*8*32 || len(s.d.requests) > maxRequests || s.d.probing > maxProbes {
		t.Errorf("%d contacts, %d requests, %d probes", s.d.table.known(), len(s.d.requests), s.d.probing)
	}
	if sent > 20000+2*maxProbes {
		t.Errorf("%d messages to 20000 requests", sent)
	}
	for i := range uint64(3 * maxLookups) {
		s.d.Lookup(s.now, i, layer.Hash(peerID(i)))
	}
	if len(s.d.lookups) > maxLookups || len(s.d.requests) > maxRequests {
		t.Errorf("%d look-ups, %d requests", len(s.d.lookups), len(s.d.requests))
	}
	answered := 0
	s.d.Drain(func(uint64, []byte) {}, func(uint64, []uint64) { answered++ })
	for end := s.now.Add(lookupLife); !s.now.After(end); s.now = s.now.Add(50 * time.Millisecond) {
		s.d.Tick(s.now)
		s.d.Drain(func(uint64, []byte) {}, func(_ uint64, addrs []uint64) {
			if len(addrs) > 0 {
				t.Error("found something")
			}
			answered++
		})
	}
	if answered != 3*maxLookups {
		t.Errorf("%d look-ups answered", answered)
	}
	for i := range uint64(3000) {
		s.d.Neighbour(s.now, 1<<40+i)
		s.d.Unreachable(s.now, 1<<41+i)
		s.d.Forget(s.now, stageKey, i)
	}
	s.drain()
	if len(s.d.seeds) > maxSeeds || len(s.d.gone) > maxGone || len(s.d.wrong) > maxWrong {
		t.Errorf("%d seeds, %d gone, %d wrong", len(s.d.seeds), len(s.d.gone), len(s.d.wrong))
	}
}
