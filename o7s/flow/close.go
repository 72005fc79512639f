// SPDX-License-Identifier: BSD-3-Clause

package flow

import (
	"errors"
	"fmt"
	"time"

	"o7gw/o7s/layer"
)

// defaultLinger is how long Close waits for a peer that takes nothing: as long
// as FRCP tries to get a packet across (R, spec 30 §0.1).
const defaultLinger = 120 * time.Second

// SetLinger limits how long Close of a reliable flow waits while the peer takes
// nothing; 0: not at all. The write deadline limits the whole wait.
func (f *Flow) SetLinger(d time.Duration) { f.linger.Store(int64(max(d, 0))) }

// ShortenLinger is SetLinger if the limit is longer than d.
func (f *Flow) ShortenLinger(d time.Duration) {
	if old := f.linger.Load(); old > int64(d) {
		f.linger.CompareAndSwap(old, int64(d))
	}
}

// CloseWrite says that nothing more will be written: the peer reads what was,
// and then io.EOF, and can still write. Only on reliable flows, and if the peer
// is of our kind: else layer.ErrNotSupported.
func (f *Flow) CloseWrite() error {
	switch l := f.low.(type) {
	case *frcpLower:
		if l.reliable && f.att.PeerCaps&layer.CapFRCP != 0 {
			l.finish()
			return nil
		}
	case *ringLower:
		if f.att.Direct && f.att.QoS.Reliable() {
			l.e.Finish()
			return nil
		}
	}
	return fmt.Errorf("half-close: the flow is not reliable, or the peer cannot tell: %w", layer.ErrNotSupported)
}

// Close ends the flow: the peer reads what was written, and then the end.
// Calls under way return net.ErrClosed. On a reliable flow it waits until the
// peer has everything, see SetLinger, and returns an error if that is not
// sure; only while the flow's receiver is being called the Host waits in its stead,
// since what the peer has taken is told through that very call. Idempotent.
func (f *Flow) Close() error {
	if f.closed.Swap(true) {
		return nil
	}
	if l, waits := f.low.(*frcpLower); waits && f.beingPushed() {
		l.shut()
		if f.host.adopt(f) {
			return nil
		}
		f.SetLinger(0) // the Host is closing, and waits for this call
	}
	return f.end()
}

// beingPushed reports whether the receiver of the flow is being called. If so it is
// called no more.
func (f *Flow) beingPushed() bool {
	p := f.pusher.Load()
	if p == nil || !p.in.Busy() {
		return false
	}
	p.in.Close()
	return true
}

// end is Close after the flow was marked as closed.
func (f *Flow) end() error {
	var err error
	limit := time.Duration(f.linger.Load())
	switch l := f.low.(type) {
	case *frcpLower:
		err = l.linger(limit, f.alive)
	case *ringLower:
		// What was written stays in the ring for the peer. A clean end is one
		// that was announced.
		l.wakeWriters()
		if f.att.Direct && f.att.QoS.Reliable() && limit > 0 {
			l.e.Finish()
		}
	}
	f.host.remove(f)
	return errors.Join(err, f.release())
}

// alive is the Stop of a Close that waits.
func (f *Flow) alive() error {
	if f.has(peerDead) {
		return ErrPeer
	}
	return nil
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
