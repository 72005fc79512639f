// SPDX-License-Identifier: BSD-3-Clause

package irm

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"time"

	"o7gw/o7s/flow"
	"o7gw/o7s/ipcp"
	"o7gw/o7s/layer"
	"o7gw/o7s/oap"
	"o7gw/o7s/qos"
)

const (
	// queryTimeout limits the question whether a layer knows a name (spec 40
	// §0.1), and queryTimeoutUnicast that to a directory of many members, which
	// asks one after the other.
	queryTimeout        = 200 * time.Millisecond
	queryTimeoutUnicast = 2 * time.Second
	// queryRounds is how often a layer is asked that lets the time pass: the
	// question may have been lost, and is not repeated within it.
	queryRounds = 3
	// attemptsPerLayer is how often a layer in which nobody answers is asked
	// before another that knows the name has its turn.
	attemptsPerLayer = 2
	// retryPause is at least between two flow requests of one call, for layers
	// that tell at once that nobody answers.
	retryPause = 100 * time.Millisecond
	// staleAnswers is how often a member may refuse a name that the layer has just
	// said it serves: it did once, and the refusal makes the layer ask anew.
	staleAnswers = 2
)

// allocLayer asks the layers until one makes the flow, the peer refuses or ctx ends.
// A request to which nothing comes back may have been lost: it is made anew, with
// a fresh OAP message (spec 60 §3.1), and after some attempts through the next
// layer that knows the name.
func (p *Process) allocLayer(ctx context.Context, s string, qs qos.Spec, pol *oap.Policy) (*Flow, error) {
	silent := make(map[*member]int) // requests without answer
	stale := 0
	for {
		m, hash, err := p.irm.findLayer(ctx, p, s, silent)
		if err != nil {
			if len(silent) > 0 && errors.Is(err, layer.ErrIPCP) {
				err = errText("who served the name does not answer", layer.ErrTimedOut)
			}
			return nil, err
		}
		begin := time.Now()
		f, err := p.allocThrough(ctx, m, hash, s, qs, pol)
		switch {
		case errors.Is(err, layer.ErrNoAnswer):
		case errors.Is(err, layer.ErrNoName) && ctx.Err() != nil: // it was still looking
			return nil, ctx.Err()
		case errors.Is(err, layer.ErrNoName) && stale < staleAnswers:
			stale++
			continue
		default:
			return f, err
		}
		p.irm.infoBy(p.cause(), "No answer to the flow request for %v through IPCP %d.", text(s), m.id)
		silent[m]++
		select {
		case <-time.After(retryPause - time.Since(begin)):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// allocThrough makes one flow request.
func (p *Process) allocThrough(ctx context.Context, m *member, hash layer.Hash, s string, qs qos.Spec, pol *oap.Policy) (*Flow, error) {
	i := p.irm
	f, err := p.pendingFlow(s, qs, m)
	if err != nil {
		return nil, err
	}
	port, terms, err := i.shake(ctx, m, hash, qs, pol)
	if err != nil {
		f.Dealloc()
		i.handshakes.failed(err)
		return nil, err
	}
	if err := f.ready(wire{port: port, mtu: port.MTU()}, terms); err != nil {
		return nil, err
	}
	i.infoBy(p.cause(), "Flow %d allocated for %d to %v.", f.id, p.pid(), text(s))
	return f, nil
}

// shake makes one flow request and sees to it that the answer is what the
// policy asks for.
func (i *IRM) shake(ctx context.Context, m *member, hash layer.Hash, qs qos.Spec, pol *oap.Policy) (layer.Port, flow.Terms, error) {
	client, err := oap.NewRequest(i.now(), rand.Reader, pol, oap.AppendCaps(nil, ownCaps))
	if err != nil {
		return nil, flow.Terms{}, err
	}
	port, response, err := m.ipcp.Allocate(ctx, hash, qs, client.Request())
	if err != nil {
		return nil, flow.Terms{}, explain(err, pol)
	}
	s, err := client.Finish(i.now(), response)
	if err != nil {
		port.Close()
		return nil, flow.Terms{}, err
	}
	caps, _ := oap.ParseCaps(s.Data)
	setPeerCaps(port, caps)
	return port, flow.Terms{PeerCaps: caps, Shim: m.ipcp.Info().Uncontrolled, Cipher: s.Cipher, Key: s.Key, Peer: s.Peer}, nil
}

func (p *Process) pendingFlow(s string, qs qos.Spec, m *member) (*Flow, error) {
	p.irm.mu.Lock()
	defer p.irm.mu.Unlock()
	if p.closed {
		return nil, ErrDetached
	}
	if !m.mayCarryLocked(p) { // since just now
		return nil, errText("the layer that knows the name stands on the IPCP", layer.ErrIPCP)
	}
	f := p.addFlowLocked(s, qs)
	f.mpl = m.info.MPL
	f.carryLocked(m)
	return f, nil
}

// findLayer returns a layer that knows the name and may carry a flow of the
// process, and the hash of the name there: the first in the order of the list, but
// those in which nobody answered come later, by the number of requests.
func (i *IRM) findLayer(ctx context.Context, p *Process, s string, silent map[*member]int) (*member, layer.Hash, error) {
	i.mu.Lock()
	members := slices.DeleteFunc(i.layersLocked(), func(m *member) bool { return !m.mayCarryLocked(p) })
	algos := make(map[*member]layer.HashAlgo, len(members))
	for _, m := range members {
		algos[m] = m.info.Hash
	}
	i.mu.Unlock()
	slices.SortStableFunc(members, func(a, b *member) int {
		return cmp.Compare(silent[a]/attemptsPerLayer, silent[b]/attemptsPerLayer)
	})
	if len(members) == 0 {
		return nil, "", errText("this node serves no such name and is in no layer", layer.ErrIPCP)
	}
	notKnown := error(layer.ErrIPCP)
	for range queryRounds {
		var undecided []*member
		for _, m := range members {
			hash := algos[m].Sum(s)
			known, late := m.query(ctx, hash)
			switch {
			case known:
				return m, hash, nil
			case ctx.Err() != nil:
				return nil, "", ctx.Err()
			case late && m.typ == ipcp.Unicast: // which repeats its questions itself
				notKnown = errUndecided
			case late:
				undecided = append(undecided, m)
			}
		}
		if members = undecided; len(members) == 0 {
			break
		}
	}
	return nil, "", notKnown
}

// query asks one layer; late tells that it did not decide in time.
func (m *member) query(ctx context.Context, hash layer.Hash) (known, late bool) {
	limit := queryTimeout
	if m.typ == ipcp.Unicast {
		limit = queryTimeoutUnicast
	}
	ctx, cancel := m.within(ctx, limit)
	defer cancel()
	err := m.ipcp.Query(ctx, hash)
	return err == nil, errors.Is(ctx.Err(), context.DeadlineExceeded)
}
