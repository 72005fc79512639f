// SPDX-License-Identifier: BSD-3-Clause

package dht

import "time"

// request is one FIND that waits for its response.
//
//	sent ──patience──▶ late ──requestLife──▶ (forgotten)
//	  └────response──────┴──▶ (done)
type request struct {
	kind   kind // findNode or findValue
	cookie uint64
	key    string
	to     uint64 // only this address may answer
	id     string // expected there; empty: unknown
	late   bool
	sent   time.Duration
	timer  timer

	lookup *lookup    // nil: to see whether the member is alive
	cand   *candidate // of lookup
}

// ask sends a request. It returns false if there are too many.
func (d *DHT) ask(r *request) bool {
	if len(d.requests) >= maxRequests {
		d.stats.Refused++
		return false
	}
	r.cookie = d.cookie()
	r.sent = d.now
	r.timer.do = func() { d.overdue(r) }
	d.requests[r.cookie] = r
	if r.lookup == nil {
		d.probing++
	}
	d.timers.set(&r.timer, d.now+patience)
	m := message{kind: r.kind, find: findMsg{r.cookie, []byte(r.key)}}
	d.send(r.to, &m)
	return true
}

// probe asks a member for contacts near to us, to learn whether it is alive and who
// it is.
func (d *DHT) probe(addr uint64, id, key string) bool {
	return d.ask(&request{kind: findNode, key: key, to: addr, id: id})
}

// overdue is called when a request was not answered in time, and when an
// answer does not count any more.
func (d *DHT) overdue(r *request) {
	if r.late {
		delete(d.requests, r.cookie)
		return
	}
	r.late = true
	if r.lookup == nil {
		d.probing--
	}
	d.timers.set(&r.timer, r.sent+requestLife)
	d.stats.TimedOut++
	if c := d.table.addrs[r.to]; c != nil && (r.id == "" || r.id == c.id) {
		d.silent(c)
	}
	if r.lookup != nil && !r.lookup.over {
		d.lookupLate(r.lookup, r.cand)
	}
}

// response takes a FIND response, whose key is right in length.
func (d *DHT) response(m *message) {
	r := d.requests[m.node.cookie]
	if r == nil || r.to != m.src.addr || r.key != string(m.node.key) || r.kind+1 != m.kind {
		d.stats.Unexpected++ // the second answer to a request sent twice, or forged
		return
	}
	d.timers.stop(&r.timer)
	delete(d.requests, r.cookie)
	if r.lookup == nil && !r.late {
		d.probing--
	}
	id := string(m.src.id)
	if r.lookup != nil && !r.lookup.over {
		d.lookupAnswered(r.lookup, r.cand, id, m)
	}
	d.alive(id, r.to)
	for _, c := range m.node.contacts {
		if d.plausible(c) {
			d.heardOf(string(c.id), c.addr)
		}
	}
}

// plausible reports whether a contact from outside can be another member.
func (d *DHT) plausible(c contactMsg) bool {
	return len(c.id) == len(d.id) && c.addr != 0 && c.addr != d.cfg.Self && string(c.id) != d.id
}
