// SPDX-License-Identifier: BSD-3-Clause

package eth

import (
	"slices"
	"sync"
	"time"

	"o7gw/o7s/layer"
)

const (
	// entryTTL is how long the answer to a name query is used before it is
	// asked again.
	entryTTL = time.Minute
	// askFor is how long an answer may come after its query was sent: as
	// long as C waits. The asker may have given up by then.
	askFor = 2 * time.Second
	// askAgain is how long several askers make do with one query.
	askAgain = 50 * time.Millisecond
	// maxAddrs is how many devices are kept for one name.
	maxAddrs = 16
	// sweepAbove is how many names there are before expired ones are
	// searched for and forgotten.
	sweepAbove = 256
)

// directory knows which devices serve a name, from the answers to queries.
// Answers that nobody asked for are not believed. The zero value is ready.
type directory struct {
	mu      sync.Mutex
	entries map[layer.Hash][]record
	asked   map[layer.Hash]*question
}

// record is one device, the newest first in its list.
type record struct {
	at      mac
	expires time.Time
}

// question is a name query on the wire.
type question struct {
	sent     time.Time
	waiting  int           // who wait for the answer
	answered chan struct{} // closed by the first answer
}

// lookup returns the devices that serve a name, the newest first.
func (d *directory) lookup(name layer.Hash, now time.Time) []mac {
	d.mu.Lock()
	defer d.mu.Unlock()
	var at []mac
	for _, r := range d.entries[name] {
		if now.Before(r.expires) {
			at = append(at, r.at)
		}
	}
	return at
}

// ask notes that the name is asked for, until leave is called. The query is to
// be sent after that (ETH-11), but only if send is true: else somebody else has
// just sent one, and waits too.
func (d *directory) ask(name layer.Hash, now time.Time) (q *question, send bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	q = d.asked[name]
	if q != nil {
		select {
		case <-q.answered: // and forgotten since
			q = nil
		default:
		}
	}
	if q == nil {
		d.sweepLocked(now)
		if d.asked == nil {
			d.asked = make(map[layer.Hash]*question)
			d.entries = make(map[layer.Hash][]record)
		}
		q = &question{answered: make(chan struct{})}
		d.asked[name] = q
	}
	if send = q.waiting == 0 || now.Sub(q.sent) >= askAgain; send {
		q.sent = now
	}
	q.waiting++
	return q, send
}

// leave ends waiting for an answer, which is still taken if it comes soon.
func (d *directory) leave(q *question) {
	d.mu.Lock()
	q.waiting--
	d.mu.Unlock()
}

// answer enters a device that serves the name. It reports false if nobody
// asked.
func (d *directory) answer(name layer.Hash, at mac, now time.Time) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	q := d.asked[name]
	if q == nil || now.Sub(q.sent) > askFor {
		return false
	}
	// One record for each device (ETH-13).
	rs := slices.DeleteFunc(d.entries[name], func(r record) bool { return r.at == at || !now.Before(r.expires) })
	rs = slices.Insert(rs, 0, record{at, now.Add(entryTTL)})
	d.entries[name] = rs[:min(len(rs), maxAddrs)]
	select {
	case <-q.answered:
	default:
		close(q.answered)
	}
	return true
}

// failed drops a device after an allocation toward it failed.
func (d *directory) failed(name layer.Hash, at mac) {
	d.mu.Lock()
	defer d.mu.Unlock()
	rs := slices.DeleteFunc(d.entries[name], func(r record) bool { return r.at == at })
	if len(rs) == 0 {
		delete(d.entries, name)
	} else {
		d.entries[name] = rs
	}
}

// sweepLocked forgets what has expired.
func (d *directory) sweepLocked(now time.Time) {
	if len(d.asked) > sweepAbove {
		for name, q := range d.asked {
			if now.Sub(q.sent) > askFor {
				delete(d.asked, name)
			}
		}
	}
	if len(d.entries) > sweepAbove {
		for name, rs := range d.entries {
			if !now.Before(rs[0].expires) { // the newest
				delete(d.entries, name)
			}
		}
	}
}
