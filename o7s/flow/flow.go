// SPDX-License-Identifier: BSD-3-Clause

// Package flow holds the end-to-end functions of a flow, on top of its lower
// end in this process, which is a ring or a layer's port (spec 30 §1, §2.6 to
// §2.11): blocking calls with deadlines, keepalives and the peer timeout, the
// marks down and closed, statistics.
//
// Start with New, which makes a Flow of an Attachment; a Host serves the
// flows of a process. Package o7s wraps Flow for applications.
package flow

import (
	"errors"
	"sync/atomic"
	"time"

	"o7gw/o7s/qos"
)

// Flow is a flow as its user sees it. All methods may be called from several
// goroutines; reading calls wait for one another, and so do writing ones.
type Flow struct {
	att  Attachment
	host *Host
	low  lower

	flags  atomic.Uint32 // bits below
	mayR   func() error  // Stop of reading calls, made once
	mayW   func() error
	live   liveness // guarded by Host.mu
	pusher atomic.Pointer[pusher]
	// onPeer tells a watcher that the peer is dead.
	onPeer atomic.Pointer[func()]
	closed atomic.Bool
	drops  atomic.Uint64 // packets that a failed WriteBatch did not write
}

// Bits of Flow.flags.
const (
	readNoWait = 1 << iota
	writeNoWait
	noWrite
	noPartial
	peerDead
	pushing
)

// New makes a Flow. It takes over the attachment, also when it fails.
func New(a *Attachment, h *Host) (*Flow, error) {
	err := Supported(a.QoS)
	if err == nil && (a.Ring == nil) == (a.Port == nil) {
		err = errors.New("flow: attachment needs either a ring or a port")
	}
	if err != nil {
		a.close()
		return nil, err
	}
	f := &Flow{att: *a, host: h}
	if a.Ring != nil {
		f.low = &ringLower{e: a.Ring}
		f.att.MTU = limit(a.MTU, ringMTU)
	} else {
		f.low = newPortLower(a.Port)
		f.att.MTU = limit(a.MTU, a.Port.MTU())
	}
	f.mayR, f.mayW = f.mayRead, f.mayWrite
	if err := h.add(f); err != nil {
		f.release()
		return nil, err
	}
	return f, nil
}

// limit returns the smaller MTU of those that are known.
func limit(a, b int) int {
	if a <= 0 || b < a {
		return b
	}
	return a
}

// ID returns the flow id in the IRM.
func (f *Flow) ID() int { return f.att.ID }

// Name returns the name of the service.
func (f *Flow) Name() string { return f.att.Name }

// QoS returns the specification that the flow was requested with.
func (f *Flow) QoS() qos.Spec { return f.att.QoS }

// MPL returns the maximum packet lifetime of the layer.
func (f *Flow) MPL() time.Duration { return f.att.MPL }

// MTU returns the largest packet, in bytes, that the flow carries.
func (f *Flow) MTU() int { return f.att.MTU }

// Down reports whether the flow is marked as unable to carry packets.
func (f *Flow) Down() bool { return f.low.down() }

// PeerDead reports whether the peer timeout has passed.
func (f *Flow) PeerDead() bool { return f.has(peerDead) }

// PeerClosed reports whether the peer, or the layer, has ended the flow.
// Packets may still be unread.
func (f *Flow) PeerClosed() bool { return f.low.peerClosed() }

// Unread reports whether packets wait; keepalives count.
func (f *Flow) Unread() bool { return f.low.unread() }

// SetDown marks the flow as down for both sides, or clears the mark. Flows
// on a layer in this process cannot.
func (f *Flow) SetDown(down bool) error { return f.low.setDown(down) }

// SetReadDeadline limits the waits of reading calls, also of those under way.
// The zero time removes the limit.
func (f *Flow) SetReadDeadline(t time.Time) { f.low.setReadDeadline(t) }

// SetWriteDeadline does the same for writing calls.
func (f *Flow) SetWriteDeadline(t time.Time) { f.low.setWriteDeadline(t) }

func (f *Flow) has(bit uint32) bool { return f.flags.Load()&bit != 0 }

func (f *Flow) set(bit uint32, on bool) {
	if on {
		f.flags.Or(bit)
	} else {
		f.flags.And(^bit)
	}
}

// Closed reports whether Close was called.
func (f *Flow) Closed() bool { return f.closed.Load() }

// Close ends the flow: the peer reads what was written, and then the end.
// Calls under way return net.ErrClosed. Idempotent.
func (f *Flow) Close() error {
	if f.closed.Swap(true) {
		return nil
	}
	f.host.remove(f)
	return f.release()
}

func (f *Flow) release() error {
	err := f.low.close()
	if p := f.pusher.Load(); p != nil {
		p.in.Close()
	}
	if f.att.Dealloc != nil {
		err = errors.Join(err, f.att.Dealloc())
	}
	return err
}
