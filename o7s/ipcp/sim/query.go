// SPDX-License-Identifier: BSD-3-Clause

package sim

import (
	"context"
	"time"

	"o7gw/o7s/layer"
	"o7gw/o7s/qos"
)

const (
	queryLimit  = 2 * time.Second        // how long an answer is waited for
	queryRepeat = 500 * time.Millisecond // when the question is asked again
)

// find returns the station that serves the name, from the directory or by
// asking all others.
func (p *IPCP) find(ctx context.Context, name layer.Hash) (*station, error) {
	if s := p.lookup(name); s != nil {
		return s, nil
	}
	ctx, cancel := context.WithTimeout(ctx, queryLimit)
	defer cancel()
	answered, done := p.await(name)
	defer done()
	repeat := time.NewTicker(queryRepeat)
	defer repeat.Stop()
	for {
		p.ask(name)
		select {
		case <-answered:
			if s := p.lookup(name); s != nil {
				return s, nil
			}
			return nil, layer.ErrNoName
		case <-repeat.C:
		case <-ctx.Done():
			return nil, layer.ErrNoName
		}
	}
}

// lookup returns what the directory says, nil if nothing.
func (p *IPCP) lookup(name layer.Hash) *station {
	p.mu.Lock()
	defer p.mu.Unlock()
	e, ok := p.directory[name]
	if ok && time.Now().After(e.expires) {
		delete(p.directory, name)
		return nil
	}
	return e.at
}

// distrust drops an entry after an allocation failed.
func (p *IPCP) distrust(name layer.Hash) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.directory, name)
}

// await registers the waiter before the question is sent.
func (p *IPCP) await(name layer.Hash) (answered <-chan struct{}, done func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	q := p.questions[name]
	if q == nil {
		q = &question{answered: make(chan struct{})}
		p.questions[name] = q
	}
	q.waiting++
	return q.answered, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if q.waiting--; q.waiting == 0 && p.questions[name] == q {
			delete(p.questions, name)
		}
	}
}

// ask broadcasts the question. Who serves the name answers to the sender.
func (p *IPCP) ask(name layer.Hash) {
	me := p.station
	n := me.link.net
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, s := range me.link.stations {
		if s == me || s.ipcp == nil {
			continue
		}
		me.ways[s].callLocked(qos.BestEffort, len(name), func() {
			if !s.ipcp.names.Has(name) {
				return
			}
			n.mu.Lock()
			defer n.mu.Unlock()
			if back := s.ways[me]; back != nil {
				back.callLocked(qos.BestEffort, len(name), func() { p.learn(name, s) })
				n.armLocked()
			}
		})
	}
	n.armLocked()
}

// learn takes an answer. The first one counts.
func (p *IPCP) learn(name layer.Hash, at *station) {
	p.mu.Lock()
	defer p.mu.Unlock()
	q := p.questions[name]
	if q == nil {
		return // nobody asked any more
	}
	delete(p.questions, name)
	p.directory[name] = entry{at: at, expires: time.Now().Add(directoryAge)}
	close(q.answered)
}
