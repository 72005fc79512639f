// SPDX-License-Identifier: BSD-3-Clause

package flow

import (
	"sync/atomic"

	"o7gw/o7s/layer"
	"o7gw/o7s/ring"
)

// watcher is whom a Watch tells of changes: nobody in the zero value. It is the
// part of a lower end that reports every one of them.
type watcher struct{ fn atomic.Pointer[func()] }

func (w *watcher) watch(set *ring.Set, changed func()) error {
	fn := func() { changed(); set.Wake() }
	if !w.fn.CompareAndSwap(nil, &fn) {
		return errWatched
	}
	return nil
}

func (w *watcher) unwatch(*ring.Set) { w.fn.Store(nil) }

func (w *watcher) resume(*ring.Set) {}

// changed tells whoever watches.
func (w *watcher) changed() {
	if fn := w.fn.Load(); fn != nil {
		(*fn)()
	}
}

// marks are what is known of the state of a flow, and of its end.
type marks struct{ isDown, isOver, isClosed atomic.Bool }

// note takes a change of the layer.
func (m *marks) note(e layer.Event) {
	switch e {
	case layer.Down:
		m.isDown.Store(true)
	case layer.Up:
		m.isDown.Store(false)
	case layer.Closed:
		m.isOver.Store(true)
	}
}

func (m *marks) down() bool { return m.isDown.Load() }
