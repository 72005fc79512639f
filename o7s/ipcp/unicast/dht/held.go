// SPDX-License-Identifier: BSD-3-Clause

package dht

import (
	"math"
	"slices"
	"time"
)

// heldKey has the values of a key that other members stored here. There is at
// least one.
type heldKey struct {
	key    string
	pos    int         // in DHT.keys
	values []heldValue // that which expires last first: its owner published it last
	timer  timer       // the next of its values to expire or to be replicated
}

// heldValue is the address of a member that serves a name.
type heldValue struct {
	addr    uint64
	expiry  uint32        // UNIX seconds, as it is passed on
	until   time.Duration // the same by our clock, which no step disturbs
	stored  time.Duration // last STORE, received or sent
	due     time.Duration // when to replicate it, unless somebody else does before
	pending bool          // it is being replicated
	sender  uint64        // who stored it first
}

// storeReceived takes a STORE whose key is right in length.
func (d *DHT) storeReceived(m *message) {
	s := m.store
	addr := address(s.val)
	left := int64(s.expiry) - d.unix // s
	switch {
	case addr == 0:
		d.stats.Rejected++
		return
	case addr == d.cfg.Self, left < 0:
		return // an own value, or one of long ago
	}
	if most := int64(d.cfg.Expire / time.Second); left > most {
		left = most
		s.expiry = expiry(d.unix + most)
	}
	if m.src.addr == addr {
		delete(d.wrong, wrongValue{string(s.key), addr})
	}
	v := heldValue{
		addr: addr, expiry: s.expiry, until: d.now + time.Duration(left+1)*time.Second,
		stored: d.now, due: d.nextReplication(), sender: m.src.addr,
	}
	h := d.held[string(s.key)]
	if h == nil {
		h = d.newKey(string(s.key))
	}
	if i := slices.IndexFunc(h.values, func(o heldValue) bool { return o.addr == addr }); i >= 0 {
		old := h.values[i]
		v.sender = old.sender
		if old.expiry > v.expiry {
			v.expiry, v.until = old.expiry, old.until
		}
		h.values = slices.Delete(h.values, i, i+1)
		h.insert(v)
		d.arm(h)
		return
	}
	if !d.mayHold(h, v) {
		d.stats.StoresRefused++
		if len(h.values) == 0 {
			d.dropKey(h)
		}
		return
	}
	d.values++
	d.billed[v.sender]++
	if d.misplaced(h.key) {
		v.due = d.now + forwardAfter + d.jitter(forwardAfter)
	}
	h.insert(v)
	d.arm(h)
}

// mayHold reports whether there is room for a value. Of a key with too many the
// one that was published longest ago goes.
func (d *DHT) mayHold(h *heldKey, v heldValue) bool {
	if d.values >= maxHeld || d.billed[v.sender] >= maxPerSender {
		return false
	}
	if n := len(h.values); n >= maxPerKey {
		if h.values[n-1].expiry >= v.expiry {
			return false
		}
		d.dropValue(h, n-1)
	}
	return true
}

// misplaced reports whether k other members are nearer to a key, in a layer where
// not everybody holds everything. C nodes store anywhere; look-ups would not find
// it there.
func (d *DHT) misplaced(key string) bool {
	return !d.small() && d.table.rank(key, d.id, d.cfg.K, d.usable) >= d.cfg.K && d.forwards.allow(d.unix, maxForwards)
}

// nextReplication returns when a value stored now is to be replicated. The owner
// publishes it again before; if not, one of the holders is the first, and the
// others hear that.
func (d *DHT) nextReplication() time.Duration {
	r := d.cfg.Replicate
	return d.now + r + r/4 + d.jitter(r/2)
}

// insert puts a value in its place.
func (h *heldKey) insert(v heldValue) {
	i := 0
	for i < len(h.values) && h.values[i].expiry > v.expiry {
		i++
	}
	h.values = slices.Insert(h.values, i, v)
}

func (d *DHT) newKey(key string) *heldKey {
	h := &heldKey{key: key, pos: len(d.keys)}
	h.timer.do = func() { d.heldDue(h) }
	d.held[key] = h
	d.keys = append(d.keys, h)
	return h
}

func (d *DHT) dropKey(h *heldKey) {
	d.timers.stop(&h.timer)
	delete(d.held, h.key)
	last := len(d.keys) - 1
	d.keys[h.pos] = d.keys[last]
	d.keys[h.pos].pos = h.pos
	d.keys[last] = nil
	d.keys = d.keys[:last]
}

// dropValue removes a value, but not its key.
func (d *DHT) dropValue(h *heldKey, i int) {
	sender := h.values[i].sender
	if d.billed[sender]--; d.billed[sender] == 0 {
		delete(d.billed, sender)
	}
	d.values--
	h.values = slices.Delete(h.values, i, i+1)
}

// arm sets the timer of a key.
func (d *DHT) arm(h *heldKey) {
	at := time.Duration(math.MaxInt64)
	for _, v := range h.values {
		at = min(at, v.until, v.due)
	}
	d.timers.set(&h.timer, at)
}

// heldDue removes what has expired and replicates what is due.
func (d *DHT) heldDue(h *heldKey) {
	due := false
	for i := len(h.values) - 1; i >= 0; i-- {
		v := &h.values[i]
		switch {
		case v.until <= d.now:
			d.dropValue(h, i)
		case v.due <= d.now:
			v.due, v.pending = d.nextReplication(), true
			due = true
		}
	}
	if len(h.values) == 0 {
		d.dropKey(h)
		return
	}
	d.arm(h)
	if due {
		d.publish(task{h.key, true})
	}
}

// heldAddrs returns the values of a key for a caller on this node, none if all
// proved wrong.
func (d *DHT) heldAddrs(key string) []uint64 {
	h := d.held[key]
	if h == nil {
		return nil
	}
	var good, bad []uint64
	for _, v := range h.values {
		if d.isWrong(key, v.addr) {
			bad = append(bad, v.addr)
		} else {
			good = append(good, v.addr)
		}
	}
	if len(good) == 0 {
		return nil
	}
	return append(good, bad...)
}

// expiry returns UNIX seconds as they travel, up to the year 2106 (DHT-12).
func expiry(unix int64) uint32 { return uint32(max(0, min(unix, math.MaxUint32))) }
