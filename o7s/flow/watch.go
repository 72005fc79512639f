// SPDX-License-Identifier: BSD-3-Clause

package flow

import (
	"errors"

	"o7gw/o7s/ring"
)

var errWatched = errors.New("flow is in a set already")

// Watch calls changed whenever packets may have arrived, or the flow may be
// down, up, closed or without peer: on the goroutine that calls set.Turn, or on
// others, which then wake the set. It must be quick and take no lock that is
// held in calls of the Flow. For a ring it is not called again before Resume.
func (f *Flow) Watch(set *ring.Set, changed func()) error {
	if err := f.onPeer.watch(set, changed); err != nil {
		return err
	}
	if err := f.low.watch(set, changed); err != nil {
		f.onPeer.unwatch(set)
		return err
	}
	return nil
}

// Resume asks for the next call of a Watch, after everything was looked at.
// Only by the goroutine that calls set.Turn.
func (f *Flow) Resume(set *ring.Set) { f.low.resume(set) }

// Unwatch ends a Watch.
func (f *Flow) Unwatch(set *ring.Set) {
	f.low.unwatch(set)
	f.onPeer.unwatch(set)
}
