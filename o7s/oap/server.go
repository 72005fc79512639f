// SPDX-License-Identifier: BSD-3-Clause

package oap

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"o7gw/o7s/layer"
)

// ErrReplayed is the layer.ErrAuth of Server.Accept for a request that was seen
// before. On layers that may duplicate datagrams it is best ignored: a refusal
// could reach the client of the first copy.
var ErrReplayed = fmt.Errorf("replayed request: %w", layer.ErrAuth)

// Server checks requests. One Server serves all names of a node, since a
// request may be replayed towards any of them. The zero value is ready; its
// methods may be called from several goroutines.
type Server struct {
	mu     sync.Mutex
	replay replayFilter // guarded by mu

	accepted        atomic.Uint64
	malformed       atomic.Uint64
	replayed        atomic.Uint64
	outOfTime       atomic.Uint64
	overloaded      atomic.Uint64
	unauthenticated atomic.Uint64
	disagreed       atomic.Uint64
}

// ServerStats counts requests by outcome.
type ServerStats struct {
	Accepted   uint64 // by Accept; the last two may follow
	Malformed  uint64 // not an OAP message
	Replayed   uint64 // seen before
	OutOfTime  uint64 // clocks differ, or a very late copy
	Overloaded uint64 // replay filter was full

	Unauthenticated uint64 // certificate or signature missing or wrong
	Disagreed       uint64 // encryption missing, unknown or too weak
}

// Stats returns the counters.
func (s *Server) Stats() ServerStats {
	return ServerStats{
		Accepted:        s.accepted.Load(),
		Malformed:       s.malformed.Load(),
		Replayed:        s.replayed.Load(),
		OutOfTime:       s.outOfTime.Load(),
		Overloaded:      s.overloaded.Load(),
		Unauthenticated: s.unauthenticated.Load(),
		Disagreed:       s.disagreed.Load(),
	}
}

const opAccept = "accept flow request"

// Accept checks a request that arrived at now, as far as that is cheap and
// needs no policy: its form and that it is new. The request belongs to Pending
// from then on. Errors are layer.ErrAuth with a text; the number is what the
// refusal should carry.
func (s *Server) Accept(now time.Time, request []byte) (*Pending, error) {
	h, err := Parse(request, 0)
	if err != nil {
		s.malformed.Add(1)
		return nil, refuse(opAccept, layer.ErrAuth, "%w", err)
	}
	// Before anything else, as the prototype does: a copy of a refused
	// request must not be taken for a new one either.
	s.mu.Lock()
	verdict := s.replay.check(now, h.Timestamp, h.ID)
	s.mu.Unlock()
	switch verdict {
	case seen:
		s.replayed.Add(1)
		return nil, fmt.Errorf("%s: %w", opAccept, ErrReplayed)
	case untimely:
		s.outOfTime.Add(1)
		return nil, refuse(opAccept, layer.ErrAuth, "sent %v ago; compare the clocks of the two hosts",
			age(now, h.Timestamp).Round(time.Millisecond))
	case crowded:
		s.overloaded.Add(1)
		return nil, refuse(opAccept, layer.ErrAuth, "too many requests to tell replays")
	}
	s.accepted.Add(1)
	return &Pending{server: s, request: request, header: h}, nil
}
