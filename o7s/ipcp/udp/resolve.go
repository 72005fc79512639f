// SPDX-License-Identifier: BSD-3-Clause

package udp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"o7gw/o7s/ipcp/udp/ddns"
	"o7gw/o7s/layer"
)

const (
	// minAnswer is the least time that an answer of the DNS server is used,
	// whatever its TTL: a query and the allocation that follows need it.
	minAnswer = 5 * time.Second
	// noAnswer is how long it is remembered that the server knows nobody, or
	// does not answer: short, since services come up.
	noAnswer = time.Second
	// staleLimit is how long addresses are used whose server does not answer
	// any more.
	staleLimit = time.Hour
	// stalePatience is how long somebody waits for a fresh answer who could
	// have an old one: less than the IRM's limit for a query.
	stalePatience = 100 * time.Millisecond
	maxFindings   = 4096 // names remembered
	maxLookups    = 64   // names asked for at the same time
)

// resolver finds names in the DNS server. Nobody waits longer than he likes: a
// look-up goes on when the one who wanted it has left, and what it finds is
// there for the next (spec 10 §2.9).
type resolver struct {
	ctx    context.Context // ends look-ups
	dir    *directory      // makes members of addresses
	server ddns.Server
	log    *slog.Logger

	running sync.WaitGroup // look-ups

	mu      sync.Mutex
	names   map[layer.Hash]*finding
	lookups int
}

// finding is what is known of one name. All is guarded by resolver.mu.
type finding struct {
	addrs   []endpoint    // immutable; empty: the server knows nobody
	err     error         // of the last look-up, if there are no addresses
	expires time.Time     // then the server is asked again
	stale   time.Time     // then addrs is no more used, whatever happens
	asking  chan struct{} // closed when the look-up ends; nil: none is under way
}

// lookup returns the addresses of a name, none if the server knows nobody.
func (r *resolver) lookup(ctx context.Context, name layer.Hash, now time.Time) ([]endpoint, error) {
	r.mu.Lock()
	a := r.names[name]
	if a == nil {
		a = &finding{}
	}
	if a.asking == nil {
		if now.Before(a.expires) || r.lookups >= maxLookups && len(a.addrs) > 0 {
			defer r.mu.Unlock()
			return a.addrs, a.err
		}
		if r.lookups >= maxLookups {
			r.mu.Unlock()
			return nil, fmt.Errorf("%d names are being looked up at DNS server %v: %w", maxLookups, r.server.Addr, layer.ErrTimedOut)
		}
		r.beginLocked(name, a, now)
	}
	asking, old := a.asking, a.addrs
	if !now.Before(a.stale) {
		old = nil
	}
	r.mu.Unlock()

	if len(old) > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, stalePatience)
		defer cancel()
	}
	select {
	case <-asking:
		r.mu.Lock()
		defer r.mu.Unlock()
		return a.addrs, a.err
	case <-ctx.Done():
	}
	switch err := ctx.Err(); {
	case errors.Is(err, context.Canceled):
		return nil, fmt.Errorf("look up %s: %w", name.Hex(), err)
	case len(old) > 0:
		return old, nil
	}
	return nil, fmt.Errorf("DNS server %v has not answered yet: %w", r.server.Addr, layer.ErrTimedOut)
}

// beginLocked asks the server.
func (r *resolver) beginLocked(name layer.Hash, a *finding, now time.Time) {
	if r.names[name] == nil {
		r.makeRoomLocked(now)
		r.names[name] = a
	}
	a.asking = make(chan struct{})
	r.lookups++
	r.running.Go(func() {
		ctx, cancel := context.WithTimeout(r.ctx, ddns.Patience)
		defer cancel()
		found, ttl, err := r.server.Lookup(ctx, ddns.Owner(name), r.dir.self.is4())
		var addrs []endpoint
		for _, ip := range found {
			if e, ok, err := r.dir.member(ip); err == nil && ok {
				addrs = append(addrs, e)
			}
		}
		if err != nil {
			r.log.Debug("name not looked up", "name", name.Short(), "err", err)
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		a.end(addrs, ttl, err, time.Now())
		r.lookups--
	})
}

// end takes the outcome of a look-up.
func (a *finding) end(addrs []endpoint, ttl time.Duration, err error, now time.Time) {
	close(a.asking)
	a.asking, a.expires = nil, now.Add(noAnswer)
	switch {
	case err == nil:
		a.addrs, a.err = addrs, nil
		if len(addrs) > 0 {
			a.expires = now.Add(min(max(ttl, minAnswer), entryTTL))
			a.stale = now.Add(staleLimit)
		}
	case errors.Is(err, ddns.ErrUnanswered) || errors.Is(err, context.DeadlineExceeded):
		if !now.Before(a.stale) || len(a.addrs) == 0 {
			a.addrs, a.err = nil, fmt.Errorf("%w: %w", err, layer.ErrTimedOut)
		}
	default:
		a.addrs, a.err = nil, err
	}
}

// makeRoomLocked keeps the number of names within bounds: those go first that
// would be asked for again anyway. It frees a quarter, so that not each new
// name has to look through all.
func (r *resolver) makeRoomLocked(now time.Time) {
	if len(r.names) < maxFindings {
		return
	}
	for _, all := range []bool{false, true} {
		for name, a := range r.names {
			if len(r.names) <= maxFindings*3/4 {
				return
			}
			if a.asking == nil && (all || !now.Before(a.expires)) {
				delete(r.names, name)
			}
		}
	}
}

// failed drops an address after an allocation toward it failed. After the
// last one the server is asked again.
func (r *resolver) failed(name layer.Hash, at endpoint) {
	r.mu.Lock()
	defer r.mu.Unlock()
	a := r.names[name]
	if a == nil || !slices.Contains(a.addrs, at) {
		return
	}
	a.addrs = slices.DeleteFunc(slices.Clone(a.addrs), func(e endpoint) bool { return e == at })
	if len(a.addrs) == 0 {
		a.expires = time.Time{}
	}
}
