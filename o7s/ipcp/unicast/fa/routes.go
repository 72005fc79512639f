// SPDX-License-Identifier: BSD-3-Clause

package fa

import (
	"sync/atomic"
	"time"

	"o7gw/o7s/layer"
)

// downAfter is how long the peer of a flow must have been unreachable before the
// user of the flow hears of it, in ns. Users end flows that are down, and a
// router that is started again, or a route that is computed anew, must not end any.
const downAfter = int64(10 * time.Second)

// reach is what a flow knows of the way to its peer. Only checkRoutes uses it.
type reach struct {
	lost int64 // since when the peer has been unreachable; 0: it is reachable
	told bool  // the user knows
}

// RoutesChanged lets the flow allocator look to which members there is a
// route. Flows without one for 10 s are reported as down, and as up again at
// once.
func (a *FA) RoutesChanged() { a.routes.run(a.checkRoutes) }

func (a *FA) checkRoutes() {
	now, next := a.now(), int64(0)
	reached := make(map[uint64]bool)
	for f := range a.flows.all() {
		r, ok := reached[f.addr]
		if !ok {
			r = a.cfg.Net.Reachable(f.addr)
			reached[f.addr] = r
		}
		if at := f.look(now, r); at != 0 && (next == 0 || at < next) {
			next = at
		}
	}
	if next != 0 {
		a.downs.set(next)
	}
}

// look tells the user of the flow what he should know, and returns when to
// look again, 0 for never.
func (f *flow) look(now int64, reached bool) (again int64) {
	r := &f.reach
	switch {
	case reached:
		r.lost = 0
		if r.told {
			r.told = false
			f.in.Notify(layer.Up)
		}
	case r.told:
	case r.lost == 0:
		r.lost = now
		return now + downAfter
	case now-r.lost < downAfter:
		return r.lost + downAfter
	default:
		r.told = true
		f.in.Notify(layer.Down)
	}
	return 0
}

// again runs a function after each call of run, but never twice at once and
// nobody waits: calls while it runs make it run once more. So it may call what
// leads to another call. The zero value is ready.
type again struct{ calls atomic.Int64 }

func (g *again) run(f func()) {
	if g.calls.Add(1) > 1 {
		return
	}
	for {
		seen := g.calls.Load()
		f()
		if g.calls.CompareAndSwap(seen, 0) {
			return
		}
	}
}
