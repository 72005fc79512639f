// SPDX-License-Identifier: BSD-3-Clause

package eth

import (
	"context"
	"errors"
	"fmt"
	"time"

	"o7gw/o7s/layer"
	"o7gw/o7s/qos"
)

// queryTimeout limits a query whose context has no earlier deadline.
const queryTimeout = askFor

// query finds out whether somebody in the layer serves the name: by the
// answers to earlier queries, else by asking all. Own registrations are not
// looked at, as in the prototype: a name served here is not found here.
func (p *IPCP) query(ctx context.Context, name layer.Hash) error {
	if len(p.dir.lookup(name, time.Now())) > 0 {
		return nil
	}
	if !p.ready() {
		return fmt.Errorf("device %s is down or has no carrier: %w", p.device, layer.ErrNoName)
	}
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	q, send := p.dir.ask(name, time.Now())
	defer p.dir.leave(q)
	if send {
		p.stats.queries.Add(1)
		p.send(broadcast, qos.BestEffort, query{name})
	}
	select {
	case <-q.answered:
		return nil
	case <-ctx.Done():
	}
	switch {
	case p.Context().Err() != nil:
		return fmt.Errorf("IPCP closed: %w", layer.ErrIPCPState)
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return fmt.Errorf("nobody on device %s serves %s: %w", p.device, name.Hex(), layer.ErrNoName)
	}
	return ctx.Err()
}

// queried answers a name query. It runs in the receiving goroutine.
func (p *IPCP) queried(q query, from mac) {
	if !p.names.Has(q.name) || !p.begin() {
		return
	}
	// A C node forgets to look whether the answer came before it began to
	// wait (ETH-11). We cannot know what kind of node asks.
	p.later(replyDelay, func() { p.send(from, qos.BestEffort, queryReply(q)) })
}

// served notes who serves a name. It runs in the receiving goroutine.
func (p *IPCP) served(q queryReply, from mac) {
	if !p.dir.answer(q.name, from, time.Now()) {
		p.stats.stray.Add(1)
	}
}
