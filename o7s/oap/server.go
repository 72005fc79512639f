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

	accepted    atomic.Uint64
	malformed   atomic.Uint64
	replayed    atomic.Uint64
	outOfTime   atomic.Uint64
	overloaded  atomic.Uint64
	unsupported atomic.Uint64
}

// ServerStats counts requests by outcome.
type ServerStats struct {
	Accepted    uint64
	Malformed   uint64 // not an OAP message
	Replayed    uint64 // seen before
	OutOfTime   uint64 // clocks differ, or a very late copy
	Overloaded  uint64 // replay filter was full
	Unsupported uint64 // key exchange or certificate
}

// Stats returns the counters.
func (s *Server) Stats() ServerStats {
	return ServerStats{
		Accepted:    s.accepted.Load(),
		Malformed:   s.malformed.Load(),
		Replayed:    s.replayed.Load(),
		OutOfTime:   s.outOfTime.Load(),
		Overloaded:  s.overloaded.Load(),
		Unsupported: s.unsupported.Load(),
	}
}

// Pending is an accepted request that waits for its response.
type Pending struct {
	id   [IDSize]byte
	hash []byte
	data []byte
}

// Accept checks a request that arrived at now. Errors are layer.ErrAuth or
// layer.ErrCrypt with a text; the number is what the refusal should carry.
func (s *Server) Accept(now time.Time, request []byte) (*Pending, error) {
	h, err := Parse(request, 0)
	if err != nil {
		s.malformed.Add(1)
		return nil, fmt.Errorf("accept flow request: %w: %w", layer.ErrAuth, err)
	}
	// Before anything else, as the prototype does: a copy of a refused
	// request must not be taken for a new one either.
	s.mu.Lock()
	verdict := s.replay.check(now, h.Timestamp, h.ID)
	s.mu.Unlock()
	switch verdict {
	case seen:
		s.replayed.Add(1)
		return nil, fmt.Errorf("accept flow request: %w", ErrReplayed)
	case untimely:
		s.outOfTime.Add(1)
		return nil, fmt.Errorf("accept flow request: %w: sent %v ago; compare the clocks of the two hosts",
			layer.ErrAuth, age(now, h.Timestamp).Round(time.Millisecond))
	case crowded:
		s.overloaded.Add(1)
		return nil, fmt.Errorf("accept flow request: %w: too many requests to tell replays", layer.ErrAuth)
	}
	if len(h.Cert) > 0 {
		s.unsupported.Add(1)
		return nil, fmt.Errorf("accept flow request: %w: the client sent a certificate, and this build cannot verify it", layer.ErrAuth)
	}
	if h.Cipher != 0 || len(h.Kex) > 0 {
		s.unsupported.Add(1)
		return nil, fmt.Errorf("accept flow request: %w: the client wants encryption, and this build has none", layer.ErrCrypt)
	}
	s.accepted.Add(1)
	return &Pending{id: h.ID, hash: requestHash(h.MD, request), data: h.Data}, nil
}

// Data returns the client's data. It shares the memory of the request.
func (p *Pending) Data() []byte { return p.data }

// Respond returns the response, the piggyback of the positive answer. data
// goes to the client, at most MaxData bytes: only to one that sent data itself
// (spec 60 §2). It panics if data is too long.
func (p *Pending) Respond(now time.Time, data []byte) []byte {
	if len(data) > MaxData {
		panic("oap: data too long")
	}
	h := Header{ID: p.id, Timestamp: uint64(now.UnixNano()), Data: data, ReqHash: p.hash}
	return h.Append(nil)
}
