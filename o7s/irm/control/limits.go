// SPDX-License-Identifier: BSD-3-Clause

package control

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"o7gw/o7s/irm"
)

// limits is what clients may take of the daemon. A user who is no
// administrator has a share of each; nobody else feels it when that is used
// up.
type limits struct {
	conns, userConns int
	// requests under way, each a goroutine, of one connection and of all of a
	// user.
	requests, userRequests int
	// bridges bounds the flows whose rings the daemon bridges: each costs it a
	// descriptor and the memory of a ring.
	bridges, userBridges int
	// userFlows bounds the flows of a user that the daemon remembers, the
	// direct ones too, which cost it nothing but that.
	userFlows int
	// kept bounds the rings that wait for another flow, of all users: each is a descriptor.
	kept int
	// hello is how long a fresh connection may stay silent.
	hello time.Duration
	// reply is how long a client may leave its receive buffer full before it
	// is disconnected.
	reply time.Duration
}

// reservedFiles are descriptors that bridged flows leave for everything else:
// sockets of layers, connections, flows on their way.
const reservedFiles = 2048

// systemLimits derives the limits from that on open files.
func systemLimits() limits {
	files := uint64(1024)
	var r unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &r) == nil {
		files = min(r.Cur, 1<<20)
	}
	bridges := int(files) / 2
	if files > 2*reservedFiles {
		bridges = int(files) - reservedFiles
	}
	return limits{
		conns: min(4096, int(files)/4), userConns: min(128, int(files)/16),
		// A request for a flow has two descriptors on their way to a client
		// that may not take them.
		requests: 4096, userRequests: min(8192, int(files)/8),
		userFlows: 1 << 16,
		bridges:   bridges, userBridges: bridges / 4,
		kept:  min(256, int(files)/16),
		hello: 5 * time.Second, reply: 10 * time.Second,
	}
}

// usage is what the connections of one user take together.
type usage struct {
	conns, requests, flows, bridges int
}

// busy is the error of a limit.
func busy(format string, args ...any) error {
	return &Error{Code: errBusy, Text: fmt.Sprintf(format, args...)}
}

func (s *server) takeConn(c irm.Creds) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.users[c.UID]
	if u == nil {
		u = new(usage)
	}
	if s.conns >= s.limits.conns || !c.Admin && u.conns >= s.limits.userConns {
		return busy("user %d has %d connections, the daemon %d", c.UID, u.conns, s.conns)
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
	if !c.Admin && u.requests >= s.limits.userRequests {
		return busy("user %d has %d requests under way", c.UID, u.requests)
	}
	u.requests++
	return nil
}

func (s *server) giveRequest(c irm.Creds) {
	s.mu.Lock()
	s.users[c.UID].requests--
	s.mu.Unlock()
}

func (s *server) takeFlow(c irm.Creds) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.users[c.UID]
	if !c.Admin && u.flows >= s.limits.userFlows {
		return busy("user %d has %d flows", c.UID, u.flows)
	}
	u.flows++
	return nil
}

func (s *server) giveFlow(c irm.Creds) {
	s.mu.Lock()
	s.users[c.UID].flows--
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
		return busy("user %d has %d flows through the daemon, all users %d; raise its limit of open files",
			c.UID, u.bridges, total)
	}
	u.bridges++
	return nil
}

func (s *server) giveBridge(c irm.Creds) {
	s.mu.Lock()
	s.users[c.UID].bridges--
	s.mu.Unlock()
}
