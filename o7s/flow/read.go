// SPDX-License-Identifier: BSD-3-Clause

package flow

import (
	"context"

	"o7gw/o7s/packet"
	"o7gw/o7s/ring"
)

// mayRead decides whether a reading call that found nothing may wait.
func (f *Flow) mayRead() error {
	switch s := f.flags.Load(); {
	case s&(pushing|peerDead|readNoWait) == 0:
		return nil
	case s&pushing != 0:
		return ErrPushed
	case s&peerDead != 0:
		return ErrPeer
	}
	return ErrWouldBlock
}

// Read reads from the packets as if they were a stream: what does not fit
// into p comes with the next call. It never joins two packets.
func (f *Flow) Read(p []byte) (int, error) {
	if f.has(noPartial) {
		n, truncated, err := f.ReadPacket(p)
		if err == nil && truncated {
			return 0, ErrTooLong
		}
		return n, err
	}
	if len(p) == 0 {
		return 0, nil
	}
	n, _, err := f.readInto(p, true, f.mayR)
	return n, err
}

// ReadPacket reads one packet, or what Read has left of one. What does not
// fit into p is dropped, and reported.
func (f *Flow) ReadPacket(p []byte) (n int, truncated bool, err error) {
	return f.readInto(p, false, f.mayR)
}

// ReadPacketContext is ReadPacket that ends with ctx.
func (f *Flow) ReadPacketContext(ctx context.Context, p []byte) (n int, truncated bool, err error) {
	stop, done := f.stopWith(ctx, f.mayR, f.low.wakeReaders)
	defer done()
	return f.readInto(p, false, stop)
}

// readInto reads a packet that is not a keepalive.
func (f *Flow) readInto(p []byte, keep bool, stop ring.Stop) (int, bool, error) {
	if f.has(pushing) {
		return 0, false, ErrPushed
	}
	for {
		n, more, err := f.low.readInto(p, keep, stop)
		if n > 0 || more || err != nil {
			return n, more, f.ended(err)
		}
	}
}

// ReadBatch waits for a packet and takes as many as there are, up to
// len(bufs). The caller owns the buffers then. It returns how many.
func (f *Flow) ReadBatch(bufs []*packet.Buffer) (int, error) {
	if f.has(pushing) {
		return 0, ErrPushed
	}
	for {
		n, err := f.low.readBatch(bufs, f.mayR)
		if n = len(withoutKeepalives(bufs[:n])); n > 0 || err != nil || len(bufs) == 0 {
			return n, f.ended(err)
		}
	}
}

// withoutKeepalives releases the empty packets and moves the others together.
func withoutKeepalives(pkts []*packet.Buffer) []*packet.Buffer {
	n := 0
	for _, b := range pkts {
		if b.Len() == 0 {
			b.Release()
			continue
		}
		pkts[n] = b
		n++
	}
	clear(pkts[n:])
	return pkts[:n]
}

// stopWith returns a Stop that also ends with ctx, and what to call after the
// call.
func (f *Flow) stopWith(ctx context.Context, stop ring.Stop, wake func()) (ring.Stop, func() bool) {
	if ctx.Done() == nil {
		return stop, func() bool { return true }
	}
	done := context.AfterFunc(ctx, wake)
	return func() error {
		if err := ctx.Err(); err != nil {
			return err
		}
		return stop()
	}, done
}
