// SPDX-License-Identifier: BSD-3-Clause

package irm

import (
	"errors"

	"o7gw/o7s/layer"
	"o7gw/o7s/oap"
)

// FlowRequested takes a request from the network (spec 40 §2.11). It runs in
// the goroutine that reads the member's socket, so it only decides who shall
// answer: an acceptor that waits, or, if there is none, a goroutine that
// waits for one. Their number is bounded.
func (m *member) FlowRequested(req *layer.Request) {
	i := m.irm
	i.mu.Lock()
	n := i.hashes[req.Dst]
	i.mu.Unlock()
	if n == nil {
		req.Refuse(layer.ErrNoName)
		return
	}
	i.infoBy(cause{m: m}, "Flow request arrived for %v.", text(n.name))
	refuse := func(err error) {
		i.infoBy(cause{m: m}, "Refused flow request for %v: %v.", text(n.name), err)
		req.Refuse(codeOf(err))
	}
	hello, err := i.handshakes.server.Accept(i.now(), req.Data)
	if errors.Is(err, oap.ErrReplayed) {
		// A datagram that the network doubled. The first one is answered; a
		// refusal now would undo that.
		req.Ignore()
		return
	}
	if err != nil {
		refuse(err)
		return
	}
	caps, aware := oap.ParseCaps(hello.Data())
	if a, ok := req.Answerer.(layer.PeerAware); ok {
		a.SetPeerCaps(caps) // a refusal may depend on them too
	}
	r := &request{
		irm: i, n: n, qs: req.QoS, done: make(chan struct{}),
		m: m, answer: req.Answerer, oap: hello, caps: caps, aware: aware,
	}
	if err := r.enqueue(); err != nil {
		refuse(err)
	}
}

// enqueue submits a request from the network and has somebody wait for it.
func (r *request) enqueue() error {
	i := r.irm
	i.mu.Lock()
	defer i.mu.Unlock()
	switch {
	case i.closed || r.m.gone:
		return layer.ErrIRMd
	case i.names[r.n.name] != r.n: // destroyed just now
		return layer.ErrNoName
	}
	if i.circularLocked(r) {
		return errText("it comes through a layer that stands on the IPCP which serves the name", layer.ErrIPCP)
	}
	if err := r.submitLocked(); err != nil {
		return err
	}
	if r.state == queued && !r.n.serverLocked(r) {
		i.autostartLocked(r.n)
	}
	if r.state == queued {
		i.goLocked(func() { r.await(i.ctx.Done()) })
	}
	return nil
}
