// SPDX-License-Identifier: BSD-3-Clause

package irm

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"o7gw/o7s/layer"
	"o7gw/o7s/oap"
)

// handshakes is what the IRM keeps for those of all flows.
type handshakes struct {
	server oap.Server
	// turns limits how many requests are answered at the same time: an answer
	// costs signatures and key exchanges before it is known who asks, and
	// whoever asks must not get the whole machine. Those that wait are bounded
	// by the number of accept calls, by maxPending and by acceptWait.
	turns chan struct{}

	unusable        atomic.Uint64 // files of the security directory
	unauthenticated atomic.Uint64 // of flows that this node asked for
	disagreed       atomic.Uint64 // likewise
}

// failed counts a flow that a process of this node did not get.
func (h *handshakes) failed(err error) {
	switch {
	case errors.Is(err, layer.ErrAuth):
		h.unauthenticated.Add(1)
	case errors.Is(err, layer.ErrCrypt):
		h.disagreed.Add(1)
	}
}

// turn waits until the process may answer the request; done gives the turn
// back. After an error the request is settled, or given back.
func (p *Process) turn(ctx context.Context, r *request) (done func(), err error) {
	turns := p.irm.handshakes.turns
	done = func() { <-turns }
	select {
	case turns <- struct{}{}:
		return done, nil
	default:
	}
	timer := time.NewTimer(acceptWait)
	defer timer.Stop()
	select {
	case turns <- struct{}{}:
		return done, nil
	case <-timer.C:
		err = errText("too many requests were before it", layer.ErrTimedOut)
		r.fail(err)
		return nil, err
	case <-ctx.Done():
		err = ctx.Err()
	case <-p.ctx.Done():
		err = ErrDetached
	}
	r.giveBack()
	return nil, err
}

// clientPolicy returns how flows to a name are protected; nil if nothing is
// said of it.
func (i *IRM) clientPolicy(s string) (*oap.Policy, error) {
	var by Protection
	i.mu.Lock()
	if n := i.names[s]; n != nil {
		by = n.client
	}
	i.mu.Unlock()
	pol, err := i.security.Client(s, by.Paths, by.Require)
	if err != nil {
		i.handshakes.unusable.Add(1)
	}
	return pol, err
}

// serverPolicy is clientPolicy for flows that are accepted.
func (n *name) serverPolicy(i *IRM) (*oap.Policy, error) {
	i.mu.Lock()
	by, owner, taken := n.server, n.owner, n.taken
	i.mu.Unlock()
	pol, err := i.security.Server(n.name, by.Paths, by.Require)
	switch {
	case err != nil:
		i.handshakes.unusable.Add(1)
	case pol != nil && pol.Creds != nil && taken:
		// Everybody may take a name that is nobody's, but not show its certificate.
		return nil, errText(fmt.Sprintf("the name has a certificate and no administrator has given it to user %d, see irm name create", owner), layer.ErrAuth)
	}
	return pol, err
}

// asks reports whether a policy makes a difference to a flow within the node:
// certificates to verify others with do not.
func asks(p *oap.Policy) bool {
	return p != nil && (p.Creds != nil || p.Enc != nil || p.RequireEncryption || p.RequireAuthentication)
}

// respond makes the response to a request of the network, with data for the
// requester.
func (r *request) respond(pol *oap.Policy, data []byte) (*oap.Session, []byte, error) {
	s, err := r.oap.Negotiate(r.irm.now(), rand.Reader, pol)
	if err != nil {
		return nil, nil, err
	}
	response, err := r.oap.Respond(r.irm.now(), data)
	return s, response, err
}

// peers are the authenticated names of both ends of a direct flow.
type peers struct{ client, server string }

// meet is the handshake of a direct flow, with the outcome that it would have
// between two nodes; it is left out if neither side asks for anything. The
// flow does not leave the machine, so it is not encrypted: what remains is who
// the ends are. After an error the request is settled, or given back.
func (p *Process) meet(ctx context.Context, r *request) (who peers, err error) {
	pol, err := r.n.serverPolicy(p.irm)
	if err == nil && !asks(pol) && !asks(r.policy) {
		return who, nil
	}
	if err == nil {
		done, e := p.turn(ctx, r)
		if e != nil {
			return who, e
		}
		who, err = r.meet(pol)
		done()
	}
	if err != nil {
		p.irm.handshakes.failed(err)
		r.fail(err)
	}
	return who, err
}

func (r *request) meet(pol *oap.Policy) (who peers, err error) {
	i := r.irm
	c, err := oap.NewRequest(i.now(), rand.Reader, r.policy, nil)
	if err != nil {
		return who, err
	}
	if r.oap, err = i.handshakes.server.Accept(i.now(), c.Request()); err != nil {
		return who, err
	}
	server, response, err := r.respond(pol, nil)
	if err != nil {
		return who, err
	}
	client, err := c.Finish(i.now(), response)
	if err != nil {
		return who, err
	}
	return peers{client: server.Peer, server: client.Peer}, nil
}

// explain tells more about the refusal of a flow by the node of the server,
// which comes as a mere number.
func explain(err error, pol *oap.Policy) error {
	encrypts := pol != nil && pol.Enc != nil && pol.Enc.Kex != 0
	shows := pol != nil && pol.Creds != nil
	var code layer.Errno
	switch errors.As(err, &code); {
	case code == layer.ErrCrypt && encrypts:
		return errText("the server does not agree to the encryption that enc.conf of the client side asks for, and its log says why", err)
	case code == layer.ErrCrypt:
		return errText("the server wants encryption, and none is configured here: write an enc.conf for the client side", err)
	case code == layer.ErrAuth && shows:
		return errText("the server does not accept the certificate of the client side, or the clocks differ; its log says which", err)
	case code == layer.ErrAuth:
		return errText("the server wants a certificate, and the client side has none, or the clocks differ; its log says which", err)
	}
	return err
}
