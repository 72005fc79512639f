// SPDX-License-Identifier: BSD-3-Clause

package netstack

import "sync"

// connSet is the open connections.
type connSet struct {
	mu  sync.Mutex
	all map[*Conn]struct{}
}

func (s *connSet) add(c *Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all == nil {
		s.all = map[*Conn]struct{}{}
	}
	s.all[c] = struct{}{}
}

func (s *connSet) remove(c *Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.all, c)
}

// reset aborts all connections.
func (s *connSet) reset() {
	s.mu.Lock()
	var all []*Conn
	for c := range s.all {
		all = append(all, c)
	}
	s.mu.Unlock()
	for _, c := range all {
		c.Reset()
	}
}
