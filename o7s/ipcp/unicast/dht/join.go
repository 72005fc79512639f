// SPDX-License-Identifier: BSD-3-Clause

package dht

import (
	"maps"
	"slices"
	"time"
)

// seed is a member that we were told of by others than the directory: the one of
// enrolment, and those that routing reaches. Its id is unknown until it answers.
type seed struct {
	addr  uint64
	peer  bool // of enrolment: never forgotten
	tries int
	timer timer
}

// missed is a contact that was evicted. It is asked now and then: after a
// partition the halves of a layer must find each other again.
type missed struct {
	addr  uint64
	until time.Duration
}

// Join asks the member of that address, learnt from enrolment, for contacts,
// until it answers. Peer 0: there is none, others will ask us.
func (d *DHT) Join(now time.Time, peer uint64) {
	d.at(now)
	if peer != 0 && peer != d.cfg.Self {
		d.seed(peer, true)
	}
}

// Neighbour tells of a member that routing can reach. It is asked too, in
// measure: many calls are fine. It ends what Unreachable said.
func (d *DHT) Neighbour(now time.Time, addr uint64) {
	d.at(now)
	if addr == 0 || addr == d.cfg.Self {
		return
	}
	delete(d.gone, addr)
	d.seed(addr, false)
}

// seed asks a member at once, or again from the beginning.
func (d *DHT) seed(addr uint64, peer bool) {
	s := d.seeds[addr]
	if s == nil {
		if len(d.seeds) >= maxSeeds && !peer {
			return
		}
		s = &seed{addr: addr}
		s.timer.do = func() { d.askSeed(s) }
		d.seeds[addr] = s
	}
	s.peer = s.peer || peer
	s.tries = 0
	if d.table.size < 2*d.cfg.K {
		d.askSeed(s)
	} else { // no hurry, and there may be hundreds
		d.timers.set(&s.timer, d.now+d.jitter(time.Duration(len(d.seeds))*10*time.Millisecond))
	}
}

// askSeed asks a member that has not answered yet.
func (d *DHT) askSeed(s *seed) {
	if c := d.table.addrs[s.addr]; c != nil && c.heard > 0 && d.usable(c) {
		return
	}
	d.probe(s.addr, "", d.id)
	d.seedAgain(s)
}

// seedAgain sets the time of the next request to a seed.
func (d *DHT) seedAgain(s *seed) {
	most := seedMost
	if d.table.size == 0 {
		most = joinMost
	}
	wait := min(joinFirst<<min(s.tries, 10), most)
	s.tries++
	d.timers.set(&s.timer, d.now+wait-d.jitter(wait/4))
}

// joining reports whether nobody has answered yet, but somebody may.
func (d *DHT) joining() bool {
	return d.table.size == 0 && len(d.seeds)+len(d.missed)+d.probing > 0
}

// rejoin asks everybody again after the last contact was lost.
func (d *DHT) rejoin() {
	for _, addr := range slices.Sorted(maps.Keys(d.seeds)) {
		s := d.seeds[addr]
		s.tries = 0
		d.seedAgain(s)
	}
}

// newMember is called when a member has answered for the first time.
func (d *DHT) newMember(c *contact) {
	if !c.fresh {
		c.fresh = true
		d.fresh = append(d.fresh, c)
	}
	if d.handover.pos == 0 {
		d.timers.set(&d.handover, d.now+handOverAfter)
	}
	switch {
	case d.table.size == 1:
		d.explore()
	case d.settle.pos == 0 && d.table.rank(d.id, c.id, d.cfg.K, d.usable) < d.cfg.K:
		d.timers.set(&d.settle, max(d.now+settleAfter, d.settled+settleEvery))
	}
	d.lookupsMeet(c)
}

// explore searches the own neighbourhood, and then the rest of the layer as far
// as the table has room.
func (d *DHT) explore() {
	d.settled = d.now
	d.search(d.id, func([]*candidate) {
		for i := range d.deepest() {
			if b := &d.table.buckets[i]; len(b.contacts) < d.cfg.K {
				b.looked = -d.cfg.Refresh // due
			}
		}
		d.refreshBucket()
	})
}

// lookSelf searches the own neighbourhood again.
func (d *DHT) lookSelf() {
	d.settled = d.now
	d.search(d.id, func([]*candidate) {})
}

// deepest returns the bucket of the nearest contact: none is expected in deeper
// ones.
func (d *DHT) deepest() int {
	for i := len(d.table.buckets) - 1; i > 0; i-- {
		if len(d.table.buckets[i].contacts) > 0 {
			return i
		}
	}
	return 0
}

// refreshBucket looks up a random id in the bucket that has not been looked at
// for longest, if that is too long ago, and sets the time for the next.
func (d *DHT) refreshBucket() {
	if d.table.size == 0 {
		return // begins again when somebody answers
	}
	at, last := 0, len(d.table.buckets)
	for i := range last {
		if d.table.buckets[i].looked < d.table.buckets[at].looked {
			at = i
		}
	}
	b := &d.table.buckets[at]
	if due := b.looked + d.cfg.Refresh; d.now < due {
		d.timers.set(&d.refresh, due)
		return
	}
	b.looked = d.now
	d.timers.set(&d.refresh, d.now+searchLife) // if the search is refused
	d.search(d.randomID(at), func([]*candidate) { d.timers.set(&d.refresh, d.now) })
}

// randomID returns a random id of a bucket.
func (d *DHT) randomID(bucket int) string {
	id := make([]byte, len(d.id))
	d.rng.Read(id) // never fails
	i, bit := bucket/8, bucket%8
	copy(id, d.id[:i])
	if i < len(id) {
		keep := byte(0xff) << (8 - bit)
		flip := byte(0x80) >> bit
		id[i] = d.id[i]&keep | (d.id[i]^flip)&flip | id[i]&^(keep|flip)
	}
	return string(id)
}

// miss remembers an evicted contact.
func (d *DHT) miss(addr uint64) {
	d.unmiss(addr)
	if len(d.missed) >= maxMissed {
		d.missed = slices.Delete(d.missed, 0, 1)
	}
	d.missed = append(d.missed, missed{addr, d.now + missedLife})
	if d.revisit.pos == 0 {
		d.timers.set(&d.revisit, d.now+revisitEvery)
	}
}

func (d *DHT) unmiss(addr uint64) {
	if i := slices.IndexFunc(d.missed, func(m missed) bool { return m.addr == addr }); i >= 0 {
		d.missed = slices.Delete(d.missed, i, i+1)
	}
}

// revisitMissed asks the evicted contact that has waited longest.
func (d *DHT) revisitMissed() {
	d.missed = slices.DeleteFunc(d.missed, func(m missed) bool { return d.now >= m.until })
	if len(d.missed) == 0 {
		return
	}
	m := d.missed[0]
	d.missed = append(slices.Delete(d.missed, 0, 1), m)
	if !d.isGone(m.addr) {
		d.probe(m.addr, "", d.id)
	}
	d.timers.set(&d.revisit, d.now+max(revisitEvery, revisitEach/time.Duration(len(d.missed))))
}
