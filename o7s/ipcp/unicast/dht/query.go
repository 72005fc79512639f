// SPDX-License-Identifier: BSD-3-Clause

package dht

import (
	"slices"
	"time"

	"o7gw/o7s/layer"
)

// cached is the answer to a look-up.
type cached struct {
	addrs []uint64
	until time.Duration
}

// wrongValue is a value that proved wrong.
type wrongValue struct {
	key  string
	addr uint64
}

// Lookup asks who serves a name. The answer comes once, from Drain, with the
// id, which the caller chooses, within 2 s.
func (d *DHT) Lookup(now time.Time, id uint64, key layer.Hash) {
	d.at(now)
	d.stats.Lookups++
	k := string(key)
	if !d.valid(key) {
		d.refuse(id)
		return
	}
	if c, ok := d.cache[k]; ok && d.now < c.until {
		d.results = append(d.results, result{id, slices.Clone(c.addrs)})
		return
	}
	if addrs := d.heldAddrs(k); len(addrs) > 0 {
		d.results = append(d.results, result{id, addrs})
		return
	}
	l := d.lookups[k]
	if l == nil {
		if len(d.lookups) >= maxLookups {
			d.refuse(id)
			return
		}
		l = &lookup{kind: findValue, key: k}
		d.lookups[k] = l
	}
	l.waiters = append(l.waiters, id)
	d.waiting[id] = l
	if len(l.waiters) == 1 {
		d.begin(l, lookupLife)
	}
}

// refuse answers a look-up that is not made.
func (d *DHT) refuse(id uint64) {
	d.stats.LookupsFailed++
	d.results = append(d.results, result{id, nil})
}

// Cancel ends the look-up of that id without an answer.
func (d *DHT) Cancel(id uint64) {
	l := d.waiting[id]
	if l == nil {
		d.results = slices.DeleteFunc(d.results, func(r result) bool { return r.id == id })
		return
	}
	delete(d.waiting, id)
	l.waiters = slices.DeleteFunc(l.waiters, func(w uint64) bool { return w == id })
	if len(l.waiters) == 0 {
		delete(d.lookups, l.key)
		d.forgetLookup(l)
	}
}

// Forget tells that a value was wrong: the member does not serve the name, or does not
// answer. For a minute look-ups of the key prefer other values.
func (d *DHT) Forget(now time.Time, key layer.Hash, addr uint64) {
	d.at(now)
	delete(d.cache, string(key))
	if !d.valid(key) {
		return
	}
	makeRoom(d.wrong, maxWrong, func(_ wrongValue, until time.Duration) bool { return d.now >= until })
	d.wrong[wrongValue{string(key), addr}] = d.now + wrongLife
}

// makeRoom removes the entries of a map that are over, and any one, if it is full.
func makeRoom[K comparable, V any](m map[K]V, most int, over func(K, V) bool) {
	if len(m) < most {
		return
	}
	for k, v := range m {
		if over(k, v) {
			delete(m, k)
		}
	}
	for k := range m {
		if len(m) < most {
			return
		}
		delete(m, k)
	}
}

// isWrong reports whether a value proved wrong lately.
func (d *DHT) isWrong(key string, addr uint64) bool {
	until, ok := d.wrong[wrongValue{key, addr}]
	return ok && d.now < until
}

// lookupValues takes the values of an answer. It ends the look-up if one is good and
// reports whether it did.
func (d *DHT) lookupValues(l *lookup, values [][]byte) bool {
	var addrs []uint64
	for _, v := range values {
		a := address(v)
		switch {
		case a == 0 || a == d.cfg.Self || slices.Contains(addrs, a) || slices.Contains(l.wrong, a):
		case d.isWrong(l.key, a):
			l.wrong = append(l.wrong, a)
		default:
			addrs = append(addrs, a)
		}
	}
	if len(addrs) == 0 {
		return false
	}
	addrs = append(addrs, l.wrong...)
	makeRoom(d.cache, maxCache, func(_ string, c cached) bool { return d.now >= c.until })
	d.cache[l.key] = cached{addrs, d.now + cacheLife}
	d.forgetLookup(l)
	d.lookupFound(l, addrs)
	return true
}

// lookupFound answers those that wait for a look-up.
func (d *DHT) lookupFound(l *lookup, addrs []uint64) {
	delete(d.lookups, l.key)
	for _, id := range l.waiters {
		delete(d.waiting, id)
		d.results = append(d.results, result{id, slices.Clone(addrs)})
		if len(addrs) == 0 {
			d.stats.LookupsFailed++
		}
	}
	l.waiters = nil
}
