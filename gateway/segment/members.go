// SPDX-License-Identifier: BSD-3-Clause

//go:build linux

package segment

import (
	"context"
	"sync"
	"time"

	"o7gw/gateway/backoff"
	"o7gw/gateway/tunnel"
)

const (
	// dialLimit bounds one attempt to allocate a flow.
	dialLimit = 20 * time.Second
	// steady is how long a connection must hold for the next pause to be
	// short again.
	steady = 30 * time.Second
)

// serve accepts members that connect to a name, until ctx ends.
func (s *Segment) serve(ctx context.Context, name string, l tunnel.Listener) {
	var flows sync.WaitGroup
	defer flows.Wait()
	defer l.Close()
	failed := func(err error) (least, most time.Duration) {
		s.log.Error("accepting a member failed", "name", name, "err", err)
		s.note(err)
		cfg := s.config()
		return cfg.ReconnectMin, cfg.ReconnectMax
	}
	backoff.Accept(ctx, l.AcceptFlow, failed, func(f tunnel.Flow) {
		flows.Go(func() {
			p := newPort(s, accepted, f, name)
			p.log.Info("a member connected", "name", name)
			err := s.run(ctx, p)
			if ctx.Err() == nil {
				p.log.Info("a member is gone", "reason", err)
			}
		})
	})
}

// connect keeps a flow to a name, or to a broadcast layer, until ctx ends.
func (s *Segment) connect(ctx context.Context, name string, k kind) {
	var pause backoff.Backoff
	for {
		start := time.Now()
		err := s.session(ctx, name, k)
		if ctx.Err() != nil {
			return
		}
		s.note(err)
		if time.Since(start) > dialLimit+steady {
			pause.Reset()
		}
		cfg := s.config()
		d := pause.Next(cfg.ReconnectMin, cfg.ReconnectMax)
		s.log.Warn("not connected; trying again", k.String(), name, "pause", d.Round(time.Millisecond), "err", err)
		if !backoff.Sleep(ctx, d) {
			return
		}
	}
}

// session makes one flow and carries it to its end.
func (s *Segment) session(ctx context.Context, name string, k kind) error {
	cfg := s.config()
	dctx, cancel := context.WithTimeout(ctx, dialLimit)
	var f tunnel.Flow
	var err error
	if k == broadcast {
		f, err = s.net.Join(dctx, name)
	} else {
		f, err = s.net.Dial(dctx, name, cfg.flowQoS())
	}
	cancel()
	if err != nil {
		return err
	}
	p := newPort(s, k, f, name)
	p.log.Info("connected", k.String(), name)
	s.note(nil)
	return s.run(ctx, p)
}

// note records the outcome of an attempt for status.
func (s *Segment) note(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lastErr = err
	if err != nil {
		s.failures++
	} else {
		s.failures = 0
	}
}
