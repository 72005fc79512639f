// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"context"
	"errors"
	"sync"

	"o7gw/o7s"
)

// serve waits for flows to the name: for one, one after another, or for many
// at once.
func (p *program) serve(ctx context.Context) error {
	l, err := p.stack.Listen(ctx, p.opt.name)
	if err != nil {
		return err
	}
	defer l.Close()
	p.note.say("listening on %s", p.listenName())
	switch {
	case p.opt.atOnce():
		return p.serveMany(ctx, l)
	case p.opt.keep:
		return p.serveEach(ctx, l)
	}
	flow, err := p.accept(ctx, l)
	if flow == nil || err != nil {
		return err
	}
	l.Close() // who comes now is refused, rather than left waiting
	return p.join(ctx, flow)
}

func (p *program) listenName() string {
	if p.opt.name == "" {
		return "the names bound to this program or process"
	}
	return p.opt.name
}

// accept returns the next flow, nil after a signal.
func (p *program) accept(ctx context.Context, l *o7s.Listener) (*o7s.Flow, error) {
	flow, err := l.AcceptFlow(ctx)
	switch {
	case ctx.Err() != nil:
		if err == nil {
			flow.Close()
		}
		return nil, nil
	case err != nil:
		return nil, err
	}
	p.note.say("flow to %s: %s", flow.Name(), describe(flow))
	return flow, nil
}

// serveMany serves flows at once, each with an end of its own. The error of
// one flow is no matter to the others.
func (p *program) serveMany(ctx context.Context, l *o7s.Listener) error {
	var flows sync.WaitGroup
	defer flows.Wait()
	room := make(chan struct{}, p.opt.max)
	for {
		select {
		case room <- struct{}{}:
		case <-ctx.Done():
			return nil
		}
		flow, err := p.accept(ctx, l)
		if flow == nil || err != nil {
			return err
		}
		flows.Go(func() {
			p.report(ctx, p.join(ctx, flow))
			<-room
		})
	}
}

// serveEach joins one flow after another to standard input and output.
func (p *program) serveEach(ctx context.Context, l *o7s.Listener) error {
	e, err := newStdio(p.stdin, p.stdout, &p.opt)
	if err != nil {
		return err
	}
	defer e.close()
	for {
		flow, err := p.accept(ctx, l)
		if flow == nil || err != nil {
			return err
		}
		s := &session{opt: &p.opt, note: p.note, flow: flow, end: e, total: &p.total}
		switch err := s.run(ctx); {
		case s.unread:
			return nil
		default:
			p.report(ctx, err)
		}
		e.in.resume()
	}
}

// report tells of the end of one flow of many. That a signal has ended it is
// none of its errors.
func (p *program) report(ctx context.Context, err error) {
	if err != nil && !(ctx.Err() != nil && errors.Is(err, errSignal)) {
		p.note.fail(err)
	}
}
