// SPDX-License-Identifier: BSD-3-Clause

package control

import (
	"fmt"

	"golang.org/x/sys/unix"

	"o7gw/o7s/irm"
)

// What a user may take of the daemon. A user who is no administrator has a
// share of each; nobody else feels it when it is used up.
const (
	maxConns     = 4096 // of the daemon
	maxUserConns = 128
	// maxRequests is per connection. A request under way is a goroutine.
	maxRequests     = 4096
	maxUserRequests = 8192
	// reservedFiles are descriptors that bridged flows leave for everything
	// else: sockets of layers, connections, flows on their way.
	reservedFiles = 2048
)

// limits depend on the machine.
type limits struct {
	// bridges bounds the flows whose rings the daemon bridges: each costs it a
	// descriptor and the memory of a ring. userBridges is the share of a
	// user.
	bridges, userBridges int
}

// systemLimits derives the limits from that on open files.
func systemLimits() limits {
	files := uint64(1024)
	var r unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &r) == nil {
		files = min(r.Cur, 1<<20)
	}
	n := int(files) / 2
	if files > 2*reservedFiles {
		n = int(files) - reservedFiles
	}
	return limits{bridges: n, userBridges: n / 4}
}

// usage is what the connections of one user take together.
type usage struct {
	conns, requests, bridges int
}

func (s *server) takeConn(c irm.Creds) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.users[c.UID]
	if u == nil {
		u = new(usage)
	}
	if s.conns >= maxConns || !c.Admin && u.conns >= maxUserConns {
		return fmt.Errorf("user %d has %d connections, the daemon %d: %w", c.UID, u.conns, s.conns, errBusy)
	}
	s.users[c.UID] = u
	u.conns++
	s.conns++
	return nil
}

// giveConn is called when everything else of the connection was given back.
func (s *server) giveConn(c irm.Creds) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.users[c.UID]
	u.conns--
	s.conns--
	if u.conns == 0 {
		delete(s.users, c.UID)
	}
}

func (s *server) takeRequest(c irm.Creds) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.users[c.UID]
	if !c.Admin && u.requests >= maxUserRequests {
		return fmt.Errorf("user %d has %d requests under way: %w", c.UID, u.requests, errBusy)
	}
	u.requests++
	return nil
}

func (s *server) giveRequest(c irm.Creds) {
	s.mu.Lock()
	s.users[c.UID].requests--
	s.mu.Unlock()
}

func (s *server) takeBridge(c irm.Creds) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	total := 0
	for _, u := range s.users {
		total += u.bridges
	}
	u := s.users[c.UID]
	if total >= s.limits.bridges || !c.Admin && u.bridges >= s.limits.userBridges {
		return fmt.Errorf("user %d has %d flows through the daemon, all users %d; raise its limit of open files: %w",
			c.UID, u.bridges, total, errBusy)
	}
	u.bridges++
	return nil
}

func (s *server) giveBridge(c irm.Creds) {
	s.mu.Lock()
	s.users[c.UID].bridges--
	s.mu.Unlock()
}
