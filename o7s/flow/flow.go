// SPDX-License-Identifier: BSD-3-Clause

// Package flow holds the end-to-end functions of a flow, on top of its lower
// end in this process, which is a ring or a layer's port (spec 30 §1, §2.6 to
// §2.11): FRCP, the packet cipher and the CRC trailer, blocking calls with
// deadlines, keepalives and the peer timeout, the marks down and closed,
// statistics.
//
//	Flow ─▶ frcpLower (in order, reliable) ─▶ guard (cipher, CRC) ─▶ ringLower or portLower
//	Flow ─▶ guardLower (raw) ───────────────▶ guard ───────────────▶ the same
//
// Start with New, which makes a Flow of an Attachment; a Host serves the
// flows of a process. Package o7s wraps Flow for applications.
package flow

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"o7gw/o7s/frcp"
	"o7gw/o7s/qos"
)

// Flow is a flow as its user sees it. All methods may be called from several
// goroutines; reading calls wait for one another, and so do writing ones.
type Flow struct {
	att  Attachment
	host *Host
	low  lower

	linger atomic.Int64 // longest wait of Close, ns
	stream sync.Mutex   // held by WriteStream: its packets stay together

	flags  atomic.Uint32 // bits below
	mayR   func() error  // Stop of reading calls, made once
	mayW   func() error
	live   liveness // guarded by Host.mu
	pusher atomic.Pointer[pusher]
	// onPeer tells a watcher that the peer is dead.
	onPeer watcher
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
	if (a.Ring == nil) == (a.Port == nil) {
		a.close()
		return nil, errors.New("flow: attachment needs either a ring or a port")
	}
	f := &Flow{att: *a, host: h}
	f.att.Key = nil // the guard has it
	f.linger.Store(int64(defaultLinger))
	if a.Ring != nil {
		f.low = &ringLower{e: a.Ring}
		f.att.MTU = limit(a.MTU, ringMTU)
	} else {
		f.low = newPortLower(a.Port)
		f.att.MTU = limit(a.MTU, a.Port.MTU())
	}
	f.mayR, f.mayW = f.mayRead, f.mayWrite
	err := f.build(a)
	if err == nil {
		err = h.add(f)
	}
	if err != nil {
		f.release()
		return nil, err
	}
	return f, nil
}

// build puts on top of the lower end what the QoS and the handshake ask for.
func (f *Flow) build(a *Attachment) error {
	if a.Direct {
		return nil
	}
	if err := supported(a); err != nil {
		return err
	}
	g, err := newGuard(a)
	if err != nil {
		return err
	}
	mtu := f.att.MTU - g.overhead()
	switch {
	case a.QoS.InOrder != 0:
		l, err := newFRCPLower(a, f.low, g, f.att.MTU, f.host)
		if err != nil {
			return err
		}
		f.low, mtu = l, frcp.MaxPayload(mtu)
	case g != nil:
		f.low = &guardLower{lower: f.low, guard: g}
	}
	if mtu <= 0 {
		return fmt.Errorf("flow: packets of %d bytes leave no room for data", f.att.MTU)
	}
	f.att.MTU = mtu
	return nil
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

// Peer returns the authenticated name of the peer, "" if it has not shown a
// certificate.
func (f *Flow) Peer() string { return f.att.Peer }

// Layer returns the name of the layer that carries the flow, "" for one within
// the node.
func (f *Flow) Layer() string { return f.att.Layer }

// Cipher returns the number of the packet cipher (package crypt), 0 if the flow
// is not encrypted.
func (f *Flow) Cipher() uint16 { return f.att.Cipher }
