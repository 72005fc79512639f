// SPDX-License-Identifier: BSD-3-Clause

package expose

import (
	"context"
	"fmt"

	"o7gw/proxy/health"
)

// checker is the health check of an expose.
type checker struct {
	cancel context.CancelFunc
	done   chan struct{}
}

// check begins to check the service.
func (e *Expose) check(cfg health.Config) *checker {
	ctx, cancel := context.WithCancel(context.Background())
	c := &checker{cancel, make(chan struct{})}
	go func() {
		defer close(c.done)
		health.Run(ctx, cfg, e.target, func(up bool, err error) bool { return e.judge(ctx, up, err) })
	}()
	return c
}

// stop ends the checks and waits for the last; a nil checker has none.
func (c *checker) stop() {
	if c != nil {
		c.cancel()
		<-c.done
	}
}

// target returns the address that is checked, "" if there is none.
func (e *Expose) target() string {
	cfg := e.cfg.Load()
	_, at := first(cfg.TCP)
	return at
}

// judge registers the name, or gives it up, as the service is up or down. It
// reports whether that could be done.
func (e *Expose) judge(ctx context.Context, up bool, err error) bool {
	at := e.target()
	if !up {
		e.log.Warn("the service is down: its name is given up", "at", at, "err", err)
		e.service.Unlisten("down", fmt.Errorf("health check of %s: %w", at, err))
		return true
	}
	if err := e.service.Listen(ctx); err != nil {
		if ctx.Err() == nil {
			e.book.SetState("down", err)
			e.log.Error("the service is up, but its name could not be registered", "err", err)
		}
		return false
	}
	e.log.Info("the service is up", "at", at)
	return true
}
