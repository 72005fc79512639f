// SPDX-License-Identifier: BSD-3-Clause

package load

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"

	"o7gw/o7s"
	"o7gw/o7s/layer"
)

// FirstFD is the number of the first flow, as the prototype counts.
const FirstFD = 64

const (
	// retryPause is the pause after a failed accept; without it, a daemon in
	// trouble would be flooded.
	retryPause = time.Second
	// lingerFor is how long the end of a reliable flow waits for a client that
	// takes nothing.
	lingerFor = 5 * time.Second
)

// Server takes flows and runs a handler for each.
type Server struct {
	// Handle serves one flow, which has that number among those open, as in
	// the prototype from 64. It closes nothing. When the server is to end, the
	// calls that read and write the flow end.
	Handle func(ctx context.Context, fd int, flow *o7s.Flow)
	// Failed is told why a flow could not be accepted, and whether none can be any
	// more.
	Failed func(err error, last bool)
	// StopLinger is how long a client may take nothing of what was written when
	// the end of the server ends its flow.
	StopLinger time.Duration

	mu   sync.Mutex
	used []bool // guarded by mu; used[i]: flow number FirstFD+i is open
}

// Serve accepts until ctx ends, and returns nil when all handlers have. It
// returns an error if no flow can be accepted any more: then those that are
// open go on to their ends.
func (s *Server) Serve(ctx context.Context, l *o7s.Listener) error {
	var flows sync.WaitGroup
	defer flows.Wait()
	for {
		flow, err := l.AcceptFlow(ctx)
		switch {
		case ctx.Err() != nil:
			if err == nil {
				flow.Close()
			}
			return nil
		case err == nil:
			flows.Go(func() { s.serve(ctx, flow) })
		case errors.Is(err, layer.ErrIRMd) || errors.Is(err, net.ErrClosed):
			s.Failed(err, true)
			return err
		default:
			s.Failed(err, false)
			if !Pause(ctx, retryPause) {
				return nil
			}
		}
	}
}

func (s *Server) serve(ctx context.Context, flow *o7s.Flow) {
	fd := s.take()
	defer s.free(fd)
	flow.SetLinger(lingerFor)
	defer flow.Close()
	// Closing wakes the handler at once.
	defer whenDone(ctx, func() { flow.SetLinger(s.StopLinger); flow.Close() })()
	s.Handle(ctx, fd, flow)
}

// take takes the lowest free flow number.
func (s *Server) take() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, used := range s.used {
		if !used {
			s.used[i] = true
			return FirstFD + i
		}
	}
	s.used = append(s.used, true)
	return FirstFD + len(s.used) - 1
}

func (s *Server) free(fd int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.used[fd-FirstFD] = false
}
