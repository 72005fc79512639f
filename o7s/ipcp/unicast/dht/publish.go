// SPDX-License-Identifier: BSD-3-Clause

package dht

import (
	"encoding/binary"
	"maps"
	"slices"
	"time"

	"o7gw/o7s/layer"
)

// ownName is a name that is served here.
type ownName struct {
	key    string
	stored time.Duration // last STORE; 0: none yet
	times  int           // how often it was published
	size   int           // of the routing table at the last publication
	timer  timer         // the next one
}

// task is the publication of an own name, or of values of others that are
// held here: a look-up for the k nearest members, then STOREs to them.
type task struct {
	key  string
	held bool
}

// Register publishes that this member serves the name with that hash, until
// Unregister.
func (d *DHT) Register(now time.Time, key layer.Hash) {
	d.at(now)
	if !d.valid(key) || d.own[string(key)] != nil {
		return
	}
	o := &ownName{key: string(key)}
	o.timer.do = func() { d.publish(task{o.key, false}) }
	d.own[o.key] = o
	d.publish(task{o.key, false})
}

// Unregister ends the publication. Those that hold the value cannot be told:
// it expires.
func (d *DHT) Unregister(now time.Time, key layer.Hash) {
	d.at(now)
	if o := d.own[string(key)]; o != nil {
		d.timers.stop(&o.timer)
		delete(d.own, o.key)
	}
}

// publish puts a task in the queue, unless it is there.
func (d *DHT) publish(t task) {
	if d.queued[t] || t.held && len(d.work) >= maxWork {
		return
	}
	d.queued[t] = true
	d.work = append(d.work, t)
	d.startWork()
}

// startWork begins tasks as long as not too many are under way.
func (d *DHT) startWork() {
	for d.busy < maxPublications && len(d.work) > 0 {
		t := d.work[0]
		d.work = d.work[1:]
		delete(d.queued, t)
		o := d.own[t.key]
		if !t.held && o == nil || t.held && d.held[t.key] == nil {
			continue
		}
		var done []uint64 // those that have it
		if !t.held {
			d.again(o, d.now+searchLife+d.cfg.Replicate)
			if d.small() { // everybody, at once
				d.table.each(func(c *contact) { done = append(done, c.addr) })
				d.storeAt(done, t)
			}
		}
		d.busy++
		d.search(t.key, func(k []*candidate) {
			d.busy--
			var to []uint64
			for _, c := range k {
				if !slices.Contains(done, c.addr) {
					to = append(to, c.addr)
				}
			}
			d.storeAt(to, t)
			d.published(t, len(done)+len(to) > 0)
			d.startWork()
		})
	}
}

// published notes that a task is done.
func (d *DHT) published(t task, reached bool) {
	if t.held {
		if h := d.held[t.key]; h != nil {
			for i := range h.values {
				if v := &h.values[i]; v.pending {
					v.pending = false
					v.stored = d.now
				}
			}
		}
		return
	}
	o := d.own[t.key]
	if o == nil || !reached { // with the first new member it goes on
		return
	}
	o.times++
	o.size = d.table.size
	next := d.cfg.Replicate - d.jitter(d.cfg.Replicate/10)
	if o.times == 1 {
		next = min(next, secondStore)
	}
	d.again(o, d.now+next)
}

func (d *DHT) again(o *ownName, at time.Duration) { d.timers.set(&o.timer, at) }

// storeAt sends STOREs of what a task publishes.
func (d *DHT) storeAt(to []uint64, t task) {
	if !t.held {
		if o := d.own[t.key]; o != nil && len(to) > 0 {
			o.stored = max(d.now, 1)
			for _, addr := range to {
				d.sendStore(addr, t.key, d.cfg.Self, expiry(d.unix+int64(d.cfg.Expire/time.Second)))
			}
		}
		return
	}
	if h := d.held[t.key]; h != nil {
		for _, v := range h.values {
			if v.pending {
				d.giveValue(to, t.key, v)
			}
		}
	}
}

// giveValue sends a held value on; its owner needs no copy.
func (d *DHT) giveValue(to []uint64, key string, v heldValue) {
	for _, addr := range to {
		if addr != v.addr {
			d.sendStore(addr, key, v.addr, v.expiry)
		}
	}
}

func (d *DHT) sendStore(to uint64, key string, value uint64, expiry uint32) {
	m := message{kind: store, store: storeMsg{[]byte(key), binary.BigEndian.AppendUint64(nil, value), expiry}}
	d.send(to, &m)
}

// handOver gives new members what they should hold: own names, and values of
// others of which this member is one of the two nearest holders. In a small
// layer everybody should hold everything.
func (d *DHT) handOver() {
	if len(d.handing) == 0 {
		d.handing, d.fresh = d.fresh, nil
		d.cursor = 0
		d.handOwn()
	}
	for n := 0; n < maxHandOver && d.cursor < len(d.keys); n++ {
		h := d.keys[d.cursor]
		d.cursor++
		notNew := func(c *contact) bool { return !c.fresh && d.usable(c) }
		if d.table.rank(h.key, d.id, 2, notNew) >= 2 {
			continue
		}
		if to := d.shouldHold(h.key); len(to) > 0 {
			for _, v := range h.values {
				d.giveValue(to, h.key, v)
			}
		}
	}
	if d.cursor < len(d.keys) {
		d.timers.set(&d.handover, d.now+handOverAfter)
		return
	}
	for _, c := range d.handing {
		c.fresh = false
	}
	d.handing = nil
	if len(d.fresh) > 0 {
		d.timers.set(&d.handover, d.now+handOverAfter)
	}
}

// handOwn gives own names to new members, and publishes those anew whose
// holders were chosen when the layer seemed much smaller.
func (d *DHT) handOwn() {
	for _, key := range slices.Sorted(maps.Keys(d.own)) {
		o := d.own[key]
		if o.times == 0 || 2*d.table.size >= 3*o.size+2 {
			d.publish(task{key, false})
		} else {
			d.storeAt(d.shouldHold(key), task{key, false})
		}
	}
}

// shouldHold returns those of the new members that are among the k nearest to a key.
func (d *DHT) shouldHold(key string) (to []uint64) {
	small := d.small()
	for _, c := range d.handing {
		if small || d.table.rank(key, c.id, d.cfg.K, d.usable) < d.cfg.K {
			to = append(to, c.addr)
		}
	}
	return to
}

// rate counts events in the current second.
type rate struct {
	second int64
	n      int
}

// allow counts one more, if there were fewer than most in this second.
func (r *rate) allow(second int64, most int) bool {
	if r.second != second {
		*r = rate{second: second}
	}
	if r.n >= most {
		return false
	}
	r.n++
	return true
}
