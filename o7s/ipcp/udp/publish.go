// SPDX-License-Identifier: BSD-3-Clause

package udp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"o7gw/o7s/ipcp/udp/ddns"
	"o7gw/o7s/layer"
)

const (
	// publishWait is how long a registration waits for the DNS server before
	// it goes on in the background.
	publishWait = 2 * time.Second
	// silentWait is the same after the server left an update unanswered:
	// else each of many names would wait.
	silentWait = 100 * time.Millisecond
	// closeWait is how long Close waits until the records are removed.
	closeWait = time.Second
	// retryMin and retryMax bound the time between attempts, which doubles.
	retryMin = time.Second
	retryMax = time.Minute
	// refreshEvery is how often a record is added again, for servers that
	// lost it: restarted without a memory, or told by a C node that leaves
	// to remove all records of the name.
	refreshEvery = 5 * time.Minute
	maxUpdates   = 16 // at the same time
)

// publisher keeps the records of registered names in the DNS server. Each name
// has a goroutine that strives for what was last asked of it, until the server
// has answered:
//
//	publish ──▶ add ──done──▶ add again every refreshEvery
//	             ▲ └──silence, refused──▶ again after retryMin … retryMax
//	             │
//	withdraw ──▶ remove ──answered──▶ end
//	               └──silence──▶ again after retryMin … retryMax
type publisher struct {
	server ddns.Server
	addr   netip.Addr // own
	log    *slog.Logger

	ctx     context.Context
	cancel  context.CancelFunc
	slots   chan struct{} // one for each update under way
	silent  atomic.Bool   // the last update was not answered
	running sync.WaitGroup

	mu    sync.Mutex
	names map[layer.Hash]*turn // what to strive for
}

// turn is one aim for one name.
type turn struct {
	publish bool            // else withdraw
	ctx     context.Context // ends when there is another aim
	cancel  context.CancelFunc
	tried   chan struct{} // closed after the first attempt
	err     error         // its outcome; valid when tried is closed
}

func newPublisher(server ddns.Server, addr netip.Addr, log *slog.Logger) *publisher {
	p := &publisher{server: server, addr: addr.WithZone(""), log: log,
		slots: make(chan struct{}, maxUpdates), names: make(map[layer.Hash]*turn)}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	return p
}

// publish makes the server name this node for a service. If the server does not
// answer soon, or refuses, that goes on in the background: the node serves the
// name in any case, and whoever administers the server may mend it. The error
// is that of a ctx that is cancelled, and nothing remains of the attempt then.
func (p *publisher) publish(ctx context.Context, name layer.Hash) error {
	err := p.await(ctx, p.aim(name, true))
	if err == nil || lasting(err) {
		return nil
	}
	p.aim(name, false)
	return err
}

// withdraw undoes that. An error means that the server refuses; if it does not
// answer soon, that goes on in the background.
func (p *publisher) withdraw(ctx context.Context, name layer.Hash) error {
	if t := p.aim(name, false); t != nil {
		return p.await(ctx, t)
	}
	return nil
}

// aim sets what to strive for. It returns nil when there is nothing to
// withdraw.
func (p *publisher) aim(name layer.Hash, publish bool) *turn {
	p.mu.Lock()
	defer p.mu.Unlock()
	old := p.names[name]
	switch {
	case old == nil && !publish:
		return nil
	case old != nil && old.publish == publish:
		return old
	}
	t := &turn{publish: publish, tried: make(chan struct{})}
	t.ctx, t.cancel = context.WithCancel(p.ctx)
	p.names[name] = t
	if old != nil {
		old.cancel()
	} else {
		p.running.Go(func() { p.strive(name) })
	}
	return t
}

// await waits for the first attempt. It returns an error only if the server
// refuses or ctx is cancelled.
func (p *publisher) await(ctx context.Context, t *turn) error {
	limit := publishWait
	if p.silent.Load() {
		limit = silentWait
	}
	patience := time.NewTimer(limit)
	defer patience.Stop()
	select {
	case <-t.tried:
		if lasting(t.err) {
			return t.err
		}
	case <-patience.C:
	case <-t.ctx.Done(): // there is another aim
	case <-ctx.Done():
		if errors.Is(ctx.Err(), context.Canceled) {
			return fmt.Errorf("DNS server %v: %w", p.server.Addr, ctx.Err())
		}
	}
	return nil
}

// lasting reports whether an error is a refusal.
func lasting(err error) bool {
	var r *ddns.Refusal
	return errors.As(err, &r)
}

// strive is the goroutine of a name.
func (p *publisher) strive(name layer.Hash) {
	log := p.log.With("name", name.Short(), "server", p.server.Addr.String())
	var last *turn
	there := false // the server may have the record
	failures := 0
	for p.ctx.Err() == nil {
		p.mu.Lock()
		t := p.names[name]
		p.mu.Unlock()
		if t != last {
			last, failures = t, 0
		}
		err := p.attempt(t, name, there)
		if t.ctx.Err() != nil {
			there = there || t.publish
			continue
		}
		there = there || t.publish && !lasting(err)
		select {
		case <-t.tried:
		default:
			t.err = err
			close(t.tried)
		}
		switch {
		case err == nil && failures > 0:
			log.Info("DNS server was updated after all", "registered", t.publish)
			failures = 0
		case err != nil && failures == 0:
			log.Warn("DNS server was not updated, will try again", "registered", t.publish, "err", err)
			failures = 1
		case err != nil:
			failures++
		}
		if !t.publish && (err == nil || lasting(err)) && p.end(name, t) {
			return
		}
		pause := time.NewTimer(delay(failures))
		select {
		case <-pause.C:
		case <-t.ctx.Done():
		}
		pause.Stop()
	}
}

// attempt makes one update.
func (p *publisher) attempt(t *turn, name layer.Hash, there bool) error {
	if !t.publish && !there {
		return nil
	}
	select {
	case p.slots <- struct{}{}:
	case <-t.ctx.Done():
		return t.ctx.Err()
	}
	defer func() { <-p.slots }()
	update := p.server.Remove
	if t.publish {
		update = p.server.Add
	}
	err := update(t.ctx, ddns.Owner(name), p.addr)
	if t.ctx.Err() == nil {
		p.silent.Store(err != nil && !lasting(err))
	}
	return err
}

// end forgets a name that was withdrawn. It reports false if it is wanted
// again.
func (p *publisher) end(name layer.Hash, t *turn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.names[name] != t {
		return false
	}
	t.cancel()
	delete(p.names, name)
	return true
}

// delay is the time until the next attempt, with a random part so that the
// names, and the nodes, do not all ask at once.
func delay(failures int) time.Duration {
	d := refreshEvery
	if failures > 0 {
		d = min(retryMin<<min(failures-1, 10), retryMax)
	}
	return d - rand.N(d/4)
}

// close withdraws all names, as far as that works in short time, and ends the
// goroutines. Nothing else may be called any more.
func (p *publisher) close() {
	p.mu.Lock()
	var names []layer.Hash
	for name := range p.names {
		names = append(names, name)
	}
	p.mu.Unlock()
	for _, name := range names {
		p.aim(name, false)
	}
	limit := time.AfterFunc(closeWait, p.cancel)
	p.running.Wait()
	limit.Stop()
	p.cancel()
}
