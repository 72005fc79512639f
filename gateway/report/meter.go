// SPDX-License-Identifier: BSD-3-Clause

package report

import "time"

// Meter finds rates: what changed since the report before, by time. The zero
// value is ready; one goroutine uses it.
type Meter struct {
	last   time.Time
	before map[string]count // by Object.ID
}

type count struct{ rx, tx, sessions uint64 }

// Measure sets the rates of a complete report that was made at now. The first
// report has none, and neither has an object that was not in the one before.
func (m *Meter) Measure(now time.Time, r *Report) {
	passed := now.Sub(m.last).Seconds()
	first := m.before == nil
	counts := make(map[string]count, len(r.Objects))
	var sum Rate
	for i := range r.Objects {
		o := &r.Objects[i]
		c := count{o.Book.RxBytes, o.Book.TxBytes, o.Book.Total}
		old, ok := m.before[o.ID()]
		counts[o.ID()] = c
		if !ok || passed <= 0 {
			continue
		}
		o.Rate = &Rate{
			Rx: growth(old.rx, c.rx) / passed, Tx: growth(old.tx, c.tx) / passed,
			Sessions: growth(old.sessions, c.sessions) / passed,
		}
		sum.Rx += o.Rate.Rx
		sum.Tx += o.Rate.Tx
		sum.Sessions += o.Rate.Sessions
	}
	if !first && passed > 0 {
		r.Totals.Rate = &sum
	}
	m.last, m.before = now, counts
}

// growth is by how much a counter grew; one that is smaller than it was began
// again, when its object was replaced.
func growth(old, new uint64) float64 {
	if new < old {
		return float64(new)
	}
	return float64(new - old)
}
