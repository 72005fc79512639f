// SPDX-License-Identifier: BSD-3-Clause

package fa

import "sync"

// maxMembers bounds the memory for addresses; others are then taken for
// prototypes, which costs only speed.
const maxMembers = 1 << 16

// members are the addresses of members that run our code. The zero value is
// ready.
type members struct {
	mu   sync.Mutex
	ours map[uint64]struct{} // guarded by mu
}

func (m *members) add(addr uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.ours == nil {
		m.ours = make(map[uint64]struct{})
	}
	if len(m.ours) < maxMembers {
		m.ours[addr] = struct{}{}
	}
}

func (m *members) has(addr uint64) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, ok := m.ours[addr]
	return ok
}

// maxAbandoned is how many requests that were given up are remembered.
const maxAbandoned = 256

// abandoned remembers requests to members of ours that were given up: if one is
// accepted after all, the responder is told that nobody uses the flow. The
// zero value is ready.
type abandoned struct {
	mu   sync.Mutex
	ring [maxAbandoned]struct{ eid, addr uint64 } // guarded by mu, as is next
	next int
}

func (a *abandoned) add(eid, addr uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	e := &a.ring[a.next%maxAbandoned]
	e.eid, e.addr = eid, addr
	a.next++
}

// take returns whom the request with the EID was sent to, and forgets it.
func (a *abandoned) take(eid uint64) (addr uint64, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for i := range a.ring {
		if e := &a.ring[i]; e.eid == eid && eid != 0 {
			e.eid = 0
			return e.addr, true
		}
	}
	return 0, false
}
