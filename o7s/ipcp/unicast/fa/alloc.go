// SPDX-License-Identifier: BSD-3-Clause

package fa

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
	// answerTime is how long a member may take to answer: a prototype waits up
	// to 2 s for a program.
	answerTime = 2500 * time.Millisecond
	// firstRepeat is when a request to a member of ours, which knows copies, is
	// sent again; then after twice the time, and so on.
	firstRepeat = 250 * time.Millisecond

	// control is the cube of messages. They are few, and what they are about
	// should not wait behind the packets that it is about.
	control = qos.VoiceCube
)

// Allocate asks the member with the address addr for a flow to the name dst
// and waits for the answer, 2.5 s at most: then it returns
// layer.ErrNoAnswer. A refusal is a layer.Errno.
func (a *FA) Allocate(ctx context.Context, addr uint64, dst layer.Hash, qs qos.Spec, data []byte) (layer.Port, []byte, error) {
	most := maxMessage - headerLen - len(dst)
	switch {
	case len(dst) != a.cfg.HashLen:
		return nil, nil, fmt.Errorf("hash has %d bytes, the layer's %d: %w", len(dst), a.cfg.HashLen, layer.ErrInvalid)
	case len(data) > most:
		return nil, nil, fmt.Errorf("request data has %d bytes, above %d: %w", len(data), most, layer.ErrInvalid)
	case addr == 0 || addr == a.cfg.Self:
		return nil, nil, fmt.Errorf("address %d is nobody else's: %w", addr, layer.ErrIPCP)
	}
	if !a.enter() {
		return nil, nil, fmt.Errorf("IPCP is closing: %w", layer.ErrIPCPState)
	}
	defer a.work.Done()

	f := a.newFlow(addr, qs)
	f.answer = make(chan reply, 1)
	if err := a.flows.add(f, time.Now()); err != nil {
		return nil, nil, err
	}
	// The flow can be found and waits: no answer is too early (FA-3).
	r, err := f.ask(ctx, request{source: a.cfg.Self, eid: f.eid, qos: qs, dst: dst, data: data})
	if err != nil {
		return nil, nil, err
	}
	if r.response != 0 {
		f.in.Close()
		return nil, nil, fmt.Errorf("refused by %d: %w", addr, refusal(r.response))
	}
	return f, r.data, nil
}

// ask sends the request and waits for the answer. Without one the flow ends.
func (f *flow) ask(ctx context.Context, req request) (reply, error) {
	a := f.fa
	if err := a.send(f.addr, control, req); err != nil {
		return f.giveUp(fmt.Errorf("send flow request to %d: %w: %w", f.addr, layer.ErrIPCP, err))
	}
	limit := time.Now().Add(answerTime)
	wait := firstRepeat
	alarm := time.NewTimer(wait) // the next repetition, or the limit
	defer alarm.Stop()
	for {
		select {
		case r := <-f.answer:
			return r, nil
		case <-alarm.C:
			left := time.Until(limit)
			if left <= 0 {
				return f.giveUp(fmt.Errorf("member %d: %w", f.addr, layer.ErrNoAnswer))
			}
			if a.members.has(f.addr) && a.send(f.addr, control, req) == nil {
				a.stats.repeats.Add(1)
			}
			wait = min(2*wait, left)
			alarm.Reset(wait)
		case <-a.ctx.Done():
			return f.giveUp(fmt.Errorf("IPCP is closing: %w", layer.ErrIPCPState))
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return f.giveUp(fmt.Errorf("no answer from member %d: %w", f.addr, layer.ErrTimedOut))
			}
			return f.giveUp(ctx.Err())
		}
	}
}

// giveUp ends a flow that waits for its answer, unless that came at the last
// moment.
func (f *flow) giveUp(err error) (reply, error) {
	if f.state.CompareAndSwap(pending, ended) {
		f.fa.flows.remove(f, time.Now())
		f.in.Close()
		if f.fa.members.has(f.addr) {
			f.fa.abandoned.add(f.eid, f.addr)
		}
		return reply{}, err
	}
	select {
	case r := <-f.answer:
		return r, nil
	case <-f.fa.ctx.Done(): // ended by Close
		return reply{}, err
	}
}

// refusal turns the number of a negative reply into an error. Peers send
// negated numbers; -1 is the prototype's for anything. A positive one refuses
// too (FA-11).
func refusal(response int32) layer.Errno {
	if response < 0 && response != -response { // not the smallest of all
		response = -response
	}
	return layer.Errno(response)
}

// replied hands a reply to the allocation that waits for it.
func (a *FA) replied(r reply) {
	accepted := r.response == 0
	if accepted && !validEID(r.peerEID) {
		a.stats.malformed.Add(1)
		return
	}
	f := a.flows.get(r.eid)
	if f == nil || f.answer == nil || f.state.Load() != pending {
		a.stats.stray.Add(1)
		if f == nil && accepted {
			a.decline(r)
		}
		return
	}
	if accepted {
		// Of two replies at once, which nobody sends, the first to get here wins.
		f.remote.CompareAndSwap(noEID, r.peerEID)
		if !f.state.CompareAndSwap(pending, up) {
			a.stats.stray.Add(1) // given up this very moment
			return
		}
	} else {
		if !f.state.CompareAndSwap(pending, ended) {
			a.stats.stray.Add(1)
			return
		}
		a.flows.remove(f, time.Now())
	}
	a.stats.replies.Add(1)
	r.data = bytes.Clone(r.data)
	f.answer <- r
}

// decline tells a member of ours that nobody waited for its reply any more.
func (a *FA) decline(r reply) {
	if addr, ok := a.abandoned.take(r.eid); ok {
		a.notify(addr, control, teardown{a.cfg.Self, r.peerEID, r.eid})
	}
}
