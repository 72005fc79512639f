// SPDX-License-Identifier: BSD-3-Clause

package dht

import (
	"slices"
	"time"
)

// lookup is an iterative look-up (spec 20 §10.10): the candidates next to
// the key are asked, alpha at a time, more after silence, for nearer ones, until
// the k nearest have answered or, if a value is looked for, one has it. Members
// that are silent are asked again, but do not hold up the others.
type lookup struct {
	kind  kind // findNode or findValue
	key   string
	list  []*candidate // nearest first
	wide  bool         // everybody must answer, not only the k nearest
	over  bool
	timer timer // its end, whatever has been found

	waiters []uint64             // findValue: ids of the caller
	wrong   []uint64             // findValue: values found that proved wrong before
	done    func(k []*candidate) // findNode: is called with the k nearest that answered
}

// state is what a candidate of a look-up has done.
//
//	fresh ─ask─▶ asked ─patience─▶ late ─tries used up─▶ failed
//	               └──answer──▶ answered ◀──answer──┴──────┘
type state uint8

const (
	fresh state = iota
	asked
	late // asked again
	failed
	answered
)

// candidate is a member that a look-up may ask.
type candidate struct {
	id    string
	addr  uint64
	state state
	tries int
}

// search looks for the members next to a key. done is called once.
func (d *DHT) search(key string, done func([]*candidate)) {
	d.begin(&lookup{kind: findNode, key: key, done: done}, searchLife)
}

// begin starts a look-up.
func (d *DHT) begin(l *lookup, life time.Duration) {
	d.active = append(d.active, l)
	if i := sharedBits(d.id, l.key); i < len(d.table.buckets) {
		d.table.buckets[i].looked = d.now
	}
	l.timer.do = func() { d.end(l) }
	d.timers.set(&l.timer, d.now+life)
	d.near = d.table.closest(l.key, max(d.cfg.K, d.cfg.Alpha), d.usable, d.near[:0])
	if len(d.near) < d.cfg.Alpha { // better one that was silent than none
		d.near = d.table.closest(l.key, d.cfg.K, func(*contact) bool { return true }, d.near[:0])
	}
	for _, c := range d.near {
		l.add(d, c.id, c.addr)
	}
	d.step(l)
}

// add inserts a candidate, one for each address.
func (l *lookup) add(d *DHT, id string, addr uint64) {
	if slices.ContainsFunc(l.list, func(c *candidate) bool { return c.addr == addr }) || d.isGone(addr) {
		return
	}
	at, _ := slices.BinarySearchFunc(l.list, id, func(c *candidate, id string) int {
		if nearer(l.key, c.id, id) {
			return -1
		}
		return 1
	})
	if len(l.list) >= maxCandidates {
		if at == len(l.list) || l.list[len(l.list)-1].state == asked {
			return
		}
		l.list = l.list[:len(l.list)-1]
	}
	l.list = slices.Insert(l.list, at, &candidate{id: id, addr: addr})
}

// step asks who is to be asked now, and ends the look-up if nobody is and no
// answer is worth waiting for.
func (d *DHT) step(l *lookup) {
	for !l.over {
		asking, hoping := d.pursue(l)
		switch {
		case asking:
			return
		case len(l.list) == 0 && d.joining():
			return // lookupsMeet goes on
		case d.refill(l):
			continue
		case hoping:
			return
		}
		if l.wide || l.kind == findNode || !d.small() {
			d.end(l)
			return
		}
		l.wide = true
		d.table.each(func(c *contact) { l.add(d, c.id, c.addr) })
	}
}

// refill adds contacts that are farther away if fewer than k members have answered,
// and reports whether there were any. Neighbours know the same members; when all
// of these are silent, others know others.
func (d *DHT) refill(l *lookup) bool {
	n := 0
	for _, c := range l.list {
		if c.state == answered {
			n++
		}
	}
	if n >= d.cfg.K {
		return false
	}
	before := len(l.list)
	d.near = d.table.closest(l.key, before+d.cfg.K, d.usable, d.near[:0])
	for _, c := range d.near {
		l.add(d, c.id, c.addr)
	}
	return len(l.list) > before
}

// pursue asks fresh candidates among the k nearest that are not silent. It reports
// whether answers of such are awaited, and whether those of silent ones are.
func (d *DHT) pursue(l *lookup) (asking, hoping bool) {
	busy, parallel, window := 0, d.cfg.Alpha, d.cfg.K
	if l.wide {
		window = len(l.list)
	}
	for _, c := range l.list {
		switch c.state {
		case asked:
			busy++
		case late, failed: // where many are silent, three at a time take too long
			parallel = min(parallel+1, 3*d.cfg.Alpha)
		}
	}
	for _, c := range l.list {
		switch c.state {
		case failed:
			continue
		case late: // does not count as one of the k nearest, but may turn out to be
			hoping = true
			continue
		case fresh:
			if busy < parallel {
				if !d.askCandidate(l, c) {
					c.state = failed
					continue
				}
				c.state = asked
				busy++
			}
			asking = true
		case asked:
			asking = true
		}
		if window--; window == 0 {
			break
		}
	}
	return asking, hoping
}

func (d *DHT) askCandidate(l *lookup, c *candidate) bool {
	c.tries++
	return d.ask(&request{kind: l.kind, key: l.key, to: c.addr, id: c.id, lookup: l, cand: c})
}

// lookupLate goes on without a candidate that has not answered in time, after asking
// it once more. While nobody has answered at all it is asked until the end.
func (d *DHT) lookupLate(l *lookup, c *candidate) {
	if c.state == answered {
		return
	}
	alone := !slices.ContainsFunc(l.list, func(c *candidate) bool { return c.state == answered })
	c.state = late
	if c.tries >= tries && !alone || d.isGone(c.addr) || !d.askCandidate(l, c) {
		c.state = failed
	}
	d.step(l)
}

// lookupAnswered takes the answer of a candidate, whose id may be another one
// than somebody said.
func (d *DHT) lookupAnswered(l *lookup, c *candidate, id string, m *message) {
	if c.id != id {
		l.list = slices.DeleteFunc(l.list, func(x *candidate) bool { return x == c })
		l.add(d, id, c.addr)
		for _, x := range l.list {
			if x.addr == c.addr {
				x.state = answered
			}
		}
	}
	c.state = answered
	if l.kind == findValue && d.lookupValues(l, m.value.values) {
		return
	}
	for _, n := range m.node.contacts {
		if !d.plausible(n) {
			continue
		}
		id := string(n.id)
		if known := d.table.byID(id); known == nil || known.spare || known.addr == n.addr || !d.usable(known) {
			l.add(d, id, n.addr)
		}
	}
	d.step(l)
}

// lookupsMeet adds a new member to the look-ups that know too few.
func (d *DHT) lookupsMeet(c *contact) {
	for _, l := range slices.Clone(d.active) {
		if !l.over && len(l.list) < d.cfg.K {
			l.add(d, c.id, c.addr)
			d.step(l)
		}
	}
}

// end finishes a look-up with what it has.
func (d *DHT) end(l *lookup) {
	d.forgetLookup(l)
	if l.kind == findValue {
		d.lookupFound(l, l.wrong)
		return
	}
	var k []*candidate
	for _, c := range l.list {
		if c.state == answered && len(k) < d.cfg.K {
			k = append(k, c)
		}
	}
	l.done(k)
}

// forgetLookup takes a look-up out of the state. Answers to its requests still tell
// who is alive.
func (d *DHT) forgetLookup(l *lookup) {
	l.over = true
	i := slices.Index(d.active, l)
	d.active = slices.Delete(d.active, i, i+1)
	d.timers.stop(&l.timer)
}
