// SPDX-License-Identifier: BSD-3-Clause

package flow

import (
	"context"

	"o7gw/o7s/packet"
	"o7gw/o7s/ring"
)

// ringMTU is the MTU of a flow on a ring whose other end says nothing else.
const ringMTU = ring.MaxPacket

// mayWrite decides whether a writing call that found no room may wait.
func (f *Flow) mayWrite() error {
	if f.has(writeNoWait) {
		return ErrWouldBlock
	}
	return nil
}

// Write sends one packet, and waits while the flow is full. An empty packet is
// a keepalive: it tells the peer that we live, and is not seen by its readers.
func (f *Flow) Write(p []byte) error { return f.write(p, f.mayW) }

// WriteContext is Write that ends with ctx.
func (f *Flow) WriteContext(ctx context.Context, p []byte) error {
	stop, done := f.stopWith(ctx, f.mayW, f.low.wakeWriters)
	defer done()
	return f.write(p, stop)
}

func (f *Flow) write(p []byte, stop ring.Stop) error {
	if len(p) > f.att.MTU {
		return ErrTooLong
	}
	if f.has(noWrite) {
		return ErrReadOnly
	}
	return f.ended(f.low.write(p, stop))
}

// WriteBatch sends the packets, and waits while the flow is full. It takes
// the buffers, not the slice. After an error some were not sent; Stats counts
// them as dropped. A packet above the MTU does not keep the others back.
func (f *Flow) WriteBatch(pkts []*packet.Buffer) error {
	if f.has(noWrite) {
		f.drops.Add(uint64(len(pkts)))
		packet.ReleaseBatch(pkts)
		return ErrReadOnly
	}
	sent := f.withoutTooLong(pkts)
	lost, err := f.low.writeBatch(sent, f.mayW)
	if lost += len(pkts) - len(sent); lost > 0 {
		f.drops.Add(uint64(lost))
		if err == nil {
			err = ErrTooLong
		}
	}
	return f.ended(err)
}

// withoutTooLong releases the packets above the MTU and moves the others
// together.
func (f *Flow) withoutTooLong(pkts []*packet.Buffer) []*packet.Buffer {
	n := 0
	for i, b := range pkts {
		if b.Len() > f.att.MTU {
			b.Release()
			continue
		}
		if n != i {
			pkts[n] = b
		}
		n++
	}
	clear(pkts[n:])
	return pkts[:n]
}
