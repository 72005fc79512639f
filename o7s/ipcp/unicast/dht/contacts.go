// SPDX-License-Identifier: BSD-3-Clause

package dht

import "time"

// usable reports whether a contact may be chosen: it answers, and there is a route
// as far as we were told.
func (d *DHT) usable(c *contact) bool { return c.failed == 0 && !d.isGone(c.addr) }

// isGone reports whether routing has lost an address.
func (d *DHT) isGone(addr uint64) bool {
	until, ok := d.gone[addr]
	return ok && d.now < until
}

// alive notes that the member at an address has answered, with this id. All
// contacts come into buckets this way.
func (d *DHT) alive(id string, addr uint64) {
	delete(d.gone, addr)
	d.unmiss(addr)
	if s := d.seeds[addr]; s != nil {
		d.timers.stop(&s.timer)
	}
	c := d.table.addrs[addr]
	if c != nil && c.id != id { // the member was started again
		d.drop(c)
		c = nil
	}
	if c == nil {
		if old := d.table.byID(id); old != nil {
			if !old.spare && d.usable(old) && d.now-old.heard < d.cfg.Refresh {
				return // two have one id: the first stays
			}
			d.drop(old)
		}
		c = d.newContact(id, addr)
	} else if !c.spare {
		d.table.answered(c, d.now)
		d.checkLater(c)
		return
	}
	first := c.heard == 0
	if c.spare {
		d.table.remove(c)
		c.spare = false
	}
	c.heard, c.failed = max(d.now, 1), 0
	placed, out := d.table.insert(c)
	switch {
	case out == nil:
	case out.spare:
		d.stopCheck(out)
	default:
		d.evicted(out)
	}
	if placed {
		d.checkLater(c)
	}
	if placed || first {
		d.newMember(c)
	}
}

// heardOf notes that a member may exist: it says so itself, in a request, or another
// one does. It is asked if the table has room for it.
func (d *DHT) heardOf(id string, addr uint64) {
	if c := d.table.addrs[addr]; c != nil {
		if c.id != id && !c.spare && c.check.at > d.now+checkAgain {
			d.timers.set(&c.check, d.now+checkAgain) // perhaps it was started again
		}
		return
	}
	if d.isGone(addr) || d.table.byID(id) != nil {
		return // at another address: if it moved, the old one will be silent
	}
	c := d.newContact(id, addr)
	if out := d.table.addSpare(c); out != nil {
		d.stopCheck(out)
	}
	d.fill(d.table.bucket(id))
}

func (d *DHT) newContact(id string, addr uint64) *contact {
	c := &contact{id: id, addr: addr, msg: contactMsg{[]byte(id), addr}}
	c.check.do = func() { d.check(c) }
	return c
}

// fill asks spares of a bucket, the newest first, as long as there could be
// room for one more.
func (d *DHT) fill(b *bucket) {
	room := d.cfg.K - len(b.contacts)
	for _, c := range b.contacts {
		if c.gone() {
			room++
		}
	}
	for _, c := range b.spares {
		if c.check.pos != 0 {
			room--
		}
	}
	for i := len(b.spares) - 1; i >= 0 && room > 0; i-- {
		c := b.spares[i]
		if c.check.pos == 0 && !d.isGone(c.addr) && d.probing < maxProbes && d.probe(c.addr, c.id, d.id) {
			// The check ends the state of being asked, should nothing else do it.
			d.timers.set(&c.check, d.now+requestLife)
			room--
		}
	}
}

// check asks a contact that was silent, or has not been heard of for long.
func (d *DHT) check(c *contact) {
	if c.spare {
		if c.heard == 0 || c.failed > 0 { // nobody there
			d.drop(c)
		}
		return
	}
	// What it is asked makes the answer useful: who else is in its bucket.
	key := d.id
	if c.failed == 0 {
		key = d.randomID(sharedBits(d.id, c.id))
	}
	if !d.probe(c.addr, c.id, key) {
		d.timers.set(&c.check, d.now+checkAgain)
	}
}

// checkLater sets the time of the next check of a contact in a bucket, which has
// just answered.
func (d *DHT) checkLater(c *contact) {
	d.timers.set(&c.check, d.now+d.cfg.Refresh-d.jitter(d.cfg.Refresh/8))
}

func (d *DHT) stopCheck(c *contact) { d.timers.stop(&c.check) }

// silent notes that a contact did not answer in time. Of a contact in a bucket
// that counts once a second: a short interruption evicts nobody, however often
// look-ups ask meanwhile.
func (d *DHT) silent(c *contact) {
	if !c.spare && c.failed > 0 && d.now-c.silent < checkAgain {
		return
	}
	c.failed++
	c.silent = d.now
	switch {
	case c.spare && c.failed < 2:
		if !d.probe(c.addr, c.id, d.id) {
			d.drop(c)
		}
	case c.spare:
		d.drop(c)
	case c.failed >= maxFailed:
		d.drop(c)
		d.evicted(c)
	default:
		d.timers.set(&c.check, d.now+checkAgain)
		d.fill(d.table.bucket(c.id))
	}
}

// drop removes a contact and lets a spare take its place.
func (d *DHT) drop(c *contact) {
	d.stopCheck(c)
	d.table.remove(c)
	if !c.spare {
		d.fill(d.table.bucket(c.id))
	}
}

// evicted notes that a contact which had answered before is in no bucket any more.
func (d *DHT) evicted(c *contact) {
	d.stopCheck(c)
	d.stats.Evicted++
	d.miss(c.addr)
	if s := d.seeds[c.addr]; s != nil {
		d.seedAgain(s)
	}
	if d.table.size == 0 {
		d.rejoin()
	}
}

// Unreachable tells that routing lost a member: it is not chosen any more, and
// evicted if it does not answer.
func (d *DHT) Unreachable(now time.Time, addr uint64) {
	d.at(now)
	if addr == 0 || addr == d.cfg.Self {
		return
	}
	if s := d.seeds[addr]; s != nil && !s.peer {
		d.timers.stop(&s.timer)
		delete(d.seeds, addr)
	}
	if len(d.gone) >= maxGone {
		for a, until := range d.gone {
			if d.now >= until {
				delete(d.gone, a)
			}
		}
	}
	if len(d.gone) < maxGone {
		d.gone[addr] = d.now + goneLife
	}
	for _, r := range d.requests { // nobody need wait
		if r.to == addr && !r.late {
			d.timers.set(&r.timer, d.now)
		}
	}
	if c := d.table.addrs[addr]; c != nil && !c.spare {
		d.timers.set(&c.check, d.now)
	}
	d.timers.run(d.now)
}
