// SPDX-License-Identifier: BSD-3-Clause

package names

import (
	"container/list"
	"context"
	"fmt"
	"strings"
	"sync"
	"time"
)

const (
	// existsFor is how long it is believed that a service exists: the answer
	// has led somebody to it, who sees for himself if it has gone.
	existsFor = 10 * time.Second
	// missingFor is how long it is believed that it does not, and how long
	// clients may: a service that starts is reached soon after.
	missingFor = 3 * time.Second
	// unknownFor is the time between two attempts to find out.
	unknownFor = time.Second
	// askLimit bounds one attempt; clients ask again after 5 s.
	askLimit = 4 * time.Second
	// beliefsMost bounds what is remembered.
	beliefsMost = 8192
)

// Known says whether a service exists: an error is no answer.
type Known func(ctx context.Context, service string) (bool, error)

// census remembers which services exist. However many ask for one, one asks the
// layers.
type census struct {
	known Known

	mu      sync.Mutex
	beliefs map[string]*belief
	order   *list.List     // of *belief, the oldest first
	below   map[string]int // names that end with a dot and this one, and exist
}

// belief is what is known of one service.
type belief struct {
	service string
	exists  bool
	err     error     // no answer
	until   time.Time // asked again afterwards
	asking  chan struct{}
	elem    *list.Element
}

func newCensus(known Known) *census {
	return &census{known: known, beliefs: map[string]*belief{}, order: list.New(), below: map[string]int{}}
}

// recall returns what is known without asking.
func (c *census) recall(service string, now time.Time) (exists bool, err error, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	b := c.beliefs[service]
	if b == nil || b.asking != nil || !now.Before(b.until) {
		return false, nil, false
	}
	return b.exists, b.err, true
}

// ask returns whether a service exists. It waits for an answer of the layers,
// askLimit at most.
func (c *census) ask(ctx context.Context, service string) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	c.mu.Lock()
	b := c.beliefs[service]
	switch {
	case b == nil:
		b = &belief{service: service}
		b.elem = c.order.PushBack(b)
		c.beliefs[service] = b
		c.boundLocked()
	case b.asking != nil:
		asking := b.asking
		c.mu.Unlock()
		select {
		case <-asking:
		case <-ctx.Done():
			return false, ctx.Err()
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		return b.exists, b.err
	case time.Now().Before(b.until):
		defer c.mu.Unlock()
		return b.exists, b.err
	}
	b.asking = make(chan struct{})
	c.order.MoveToBack(b.elem)
	c.mu.Unlock()
	exists, err := c.known(ctx, service)
	if err != nil {
		err = fmt.Errorf("ask for %s: %w", service, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.learnLocked(b, exists && err == nil, err)
	close(b.asking)
	b.asking = nil
	return b.exists, err
}

// learnLocked enters an answer.
func (c *census) learnLocked(b *belief, exists bool, err error) {
	if exists != b.exists && c.beliefs[b.service] == b {
		c.countLocked(b.service, exists)
	}
	b.exists, b.err = exists, err
	keep := missingFor
	switch {
	case err != nil:
		keep = unknownFor
	case exists:
		keep = existsFor
	}
	b.until = time.Now().Add(keep)
}

// countLocked notes that the names above one have, or have not, something below.
func (c *census) countLocked(service string, exists bool) {
	for _, up, ok := strings.Cut(service, "."); ok; _, up, ok = strings.Cut(up, ".") {
		if exists {
			c.below[up]++
		} else if c.below[up]--; c.below[up] == 0 {
			delete(c.below, up)
		}
	}
}

// boundLocked forgets the oldest beliefs. Those that somebody waits for have
// their own copy.
func (c *census) boundLocked() {
	for c.order.Len() > beliefsMost {
		b := c.order.Remove(c.order.Front()).(*belief)
		delete(c.beliefs, b.service)
		if b.exists {
			c.countLocked(b.service, false)
		}
	}
}

// above reports whether a name ends one that exists: then it exists itself, with
// nothing in it (RFC 8020 §2).
func (c *census) above(service string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.below[service] > 0
}
