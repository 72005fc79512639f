// SPDX-License-Identifier: BSD-3-Clause

package cep

import "slices"

// Limits on what peers can make us keep.
const (
	// maxGreeting bounds the flows whose first message has not come yet. The
	// next one takes the place of that which has waited longest: members say
	// at once who they are, so however many are silent, they keep nobody out.
	maxGreeting = 256
	// maxAccepted bounds the connections of one component that peers made. Some
	// work grows with their number. No member has so many neighbours.
	maxAccepted = 1024
)

// await notes that an accepted flow waits for its first message.
func (m *Manager) await(c *Conn) {
	var silent *Conn
	m.mu.Lock()
	if len(m.greeting) >= maxGreeting {
		silent = m.greeting[0]
		m.greeting = slices.Delete(m.greeting, 0, 1)
	}
	m.greeting = append(m.greeting, c)
	m.mu.Unlock()
	if silent != nil {
		m.log.Debug("closed a flow without a first message, since there are too many", "name", silent.flow.Name())
		silent.Close()
	}
}

// heard ends that.
func (m *Manager) heard(c *Conn) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.greeting = slices.DeleteFunc(m.greeting, func(o *Conn) bool { return o == c })
}

// admit counts an accepted connection of a component until it ends, and reports whether
// there is room for it.
func (m *Manager) admit(c *Conn, component string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, open := m.conns[c]; !open || m.accepted[component] >= maxAccepted {
		return false
	}
	m.accepted[component]++
	c.counted = component
	return true
}
