// SPDX-License-Identifier: BSD-3-Clause

package udp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"o7gw/o7s/layer"
	"o7gw/o7s/qos"
)

const (
	// allocTimeout limits an allocation whose context has no deadline (the
	// prototype's default, spec 10 §8).
	allocTimeout = 20 * time.Second
	// defaultAnswerWait is how long the answer to a request is waited for: a
	// member that got it answers at once, but the request or the answer may be
	// lost.
	defaultAnswerWait = 2 * time.Second
)

// allocate sends a flow request to each known address of the name in turn,
// until one accepts. None of them is sent twice: a C responder would take the
// copy for a new request. Each address has answerWait, or its share of the time
// until the deadline of ctx. If none answers, not even with a refusal, the
// error is layer.ErrNoAnswer, or layer.ErrTimedOut when ctx left too little
// time to tell.
func (p *IPCP) allocate(ctx context.Context, dst layer.Hash, qs qos.Spec, data []byte) (layer.Port, []byte, error) {
	if len(data) > maxRequestData {
		return nil, nil, fmt.Errorf("request data has %d bytes, above %d: %w", len(data), maxRequestData, layer.ErrInvalid)
	}
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, allocTimeout)
		defer cancel()
	}
	addrs, err := p.dir.lookup(ctx, dst, time.Now())
	if err != nil {
		return nil, nil, fmt.Errorf("%w", err)
	}
	if len(addrs) == 0 {
		return nil, nil, fmt.Errorf("no address is known for %s: %w", dst.Hex(), layer.ErrNoName)
	}
	failure, refused := fmt.Errorf("no time left: %w", layer.ErrTimedOut), false
	for i, at := range addrs {
		if ctx.Err() != nil {
			break
		}
		port, answer, err := p.try(ctx, len(addrs)-i, at, dst, qs, data)
		if err == nil {
			return port, answer, nil
		}
		silent := errors.Is(err, layer.ErrNoAnswer) || errors.Is(err, layer.ErrTimedOut)
		if !silent || !refused { // a refusal tells more than silence
			failure, refused = err, !silent
		}
		if errors.Is(ctx.Err(), context.Canceled) {
			break // says nothing about the address
		}
		p.dir.failed(dst, at)
	}
	return nil, nil, failure
}

// try makes one request, with a share of 1/left of the time, but not more than
// answerWait.
func (p *IPCP) try(ctx context.Context, left int, at endpoint, dst layer.Hash, qs qos.Spec, data []byte) (layer.Port, []byte, error) {
	deadline, _ := ctx.Deadline()
	wait, silence := time.Until(deadline)/time.Duration(left), error(layer.ErrTimedOut)
	if wait > p.answerWait {
		wait, silence = p.answerWait, layer.ErrNoAnswer
	}
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()

	f := p.newFlow(at, qs)
	f.answer = make(chan reply, 1)
	p.flows.add(f, time.Now())
	// The flow can be found and waits: no answer is too early (UDP-7).
	p.send(&f.peer, f.cube, request{eid: f.eid, qos: qs, dst: dst, data: data}.append)
	select {
	case r := <-f.answer:
		return f.settled(r)
	case <-ctx.Done():
	}
	if f.state.CompareAndSwap(pending, ended) {
		p.flows.remove(f, time.Now())
		f.in.Close()
		switch err := ctx.Err(); {
		case p.Context().Err() != nil:
			return nil, nil, fmt.Errorf("IPCP closed: %w", layer.ErrIPCPState)
		case errors.Is(err, context.DeadlineExceeded):
			return nil, nil, fmt.Errorf("%v is silent: %w", at, silence)
		default:
			return nil, nil, fmt.Errorf("%w", err)
		}
	}
	return f.settled(<-f.answer) // it came at the last moment
}

// settled returns the outcome of a request.
func (f *flow) settled(r reply) (layer.Port, []byte, error) {
	if r.response != 0 {
		f.in.Close()
		return nil, nil, fmt.Errorf("refused by %v: %w", f.peer.at, refusal(r.response))
	}
	return f, r.data, nil
}

// refusal turns the number of a negative reply into an error. Peers send
// negated numbers; -1 is the prototype's for anything.
func refusal(response int32) layer.Errno {
	if response < 0 && response != -response { // not the smallest of all
		response = -response
	}
	return layer.Errno(response)
}

// replied hands a reply to the allocation that waits for it. It runs in the
// receiving goroutine.
func (p *IPCP) replied(r reply, from endpoint) {
	f := p.flows.get(r.eid)
	switch {
	case f == nil || f.answer == nil || f.state.Load() != pending: // UDP-11
		p.stats.stray.Add(1)
		return
	case f.peer.at != from:
		p.stats.source.Add(1)
		return
	case r.response == 0 && r.peerEID == manageEID:
		p.stats.malformed.Add(1)
		return
	}
	next := up
	if r.response != 0 {
		next = ended
	}
	f.remote.Store(r.peerEID)
	if !f.state.CompareAndSwap(pending, next) {
		p.stats.stray.Add(1) // given up this very moment
		return
	}
	if next == up {
		f.claim()
	} else {
		p.flows.remove(f, time.Now())
	}
	p.stats.replies.Add(1)
	r.data = bytes.Clone(r.data)
	f.answer <- r
}
