// SPDX-License-Identifier: BSD-3-Clause

package irm

import (
	"context"
	"errors"
	"fmt"

	"o7gw/o7s/layer"
)

// errUndecided: no layer knows the name, as far as they have answered.
var errUndecided = errText("the directory of a layer did not answer in time", layer.ErrIPCP)

// Query returns nil if Alloc has whom to ask for a flow to the name: it is served on
// this node, or a layer knows it. The error is layer.ErrNoName if not, and
// layer.ErrTimedOut if ctx ends before, 20 s from now if it has no deadline, or
// where a layer did not decide in its time.
func (p *Process) Query(ctx context.Context, s string) error {
	fail := func(err error) error { return fmt.Errorf("query name %q: %w", s, err) }
	if err := checkName(s); err != nil {
		return fail(err)
	}
	ctx, cancel := p.call(ctx)
	defer cancel()
	if p.served(s) {
		return nil
	}
	_, _, err := p.irm.findLayer(ctx, p, s, nil)
	switch {
	case err == nil:
		return nil
	case p.ctx.Err() != nil || !errors.Is(err, layer.ErrIPCP):
		return fail(p.callError(ctx, err))
	case errors.Is(err, errUndecided):
		return fail(errText("the directory of a layer did not answer", layer.ErrTimedOut))
	}
	return fail(layer.ErrNoName)
}

// served reports whether a flow to the name would be direct.
func (p *Process) served(s string) bool {
	p.irm.mu.Lock()
	defer p.irm.mu.Unlock()
	n := p.irm.names[s]
	return n != nil && p.irm.servedLocked(&request{irm: p.irm, n: n, client: p})
}
