// SPDX-License-Identifier: BSD-3-Clause

package irm

import (
	"cmp"
	"slices"
)

// An IPC process that uses flows of a layer stands on that layer's IPC
// process. A layer cannot carry itself, so no flow is made that would close a
// circle.

// standsOnLocked reports whether flows of m run through o, directly or with
// layers between.
func (m *member) standsOnLocked(o *member) bool {
	for l := range m.on {
		if l == o || l.standsOnLocked(o) {
			return true
		}
	}
	return false
}

// mayCarryLocked reports whether m may carry a flow that is used by the
// process: if that is an IPC process, neither it itself nor another member of its
// layer may, nor what stands on it.
func (m *member) mayCarryLocked(p *Process) bool {
	u := p.member
	switch {
	case u == nil:
		return true
	case u == m, u.joined && m.joined && u.typ == m.typ && u.info.Layer == m.info.Layer:
		return false
	}
	return !m.standsOnLocked(u)
}

// fitsLocked reports whether the process may accept the request: everybody
// but an IPC process that asked itself, or may not be carried by what the
// request came through.
func (r *request) fitsLocked(p *Process) bool {
	switch {
	case p.member == nil:
		return true
	case r.m != nil:
		return r.m.mayCarryLocked(p)
	}
	return r.client != p
}

// circularLocked reports whether a request is only for IPC processes that may
// not have it.
func (i *IRM) circularLocked(r *request) bool {
	for p := range r.n.procs {
		if r.fitsLocked(p) {
			return false
		}
	}
	return len(r.n.procs) > 0 && !r.n.start.comingLocked() && !i.canStartLocked(r.n)
}

// topDown returns the members in an order in which each comes before those
// that it stands on.
func (i *IRM) topDown() []*member {
	i.mu.Lock()
	defer i.mu.Unlock()
	depth := make(map[*member]int, len(i.ipcps))
	var below func(*member) int
	below = func(m *member) int {
		if d, ok := depth[m]; ok {
			return d
		}
		d := 0
		for l := range m.on {
			d = max(d, 1+below(l))
		}
		depth[m] = d
		return d
	}
	list := slices.Clone(i.ipcps)
	slices.SortStableFunc(list, func(a, b *member) int { return cmp.Compare(below(b), below(a)) })
	return list
}
