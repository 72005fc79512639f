// SPDX-License-Identifier: BSD-3-Clause

package flow

import (
	"context"
	"net"

	"o7gw/o7s/packet"
	"o7gw/o7s/ring"
)

// ringMTU is the MTU of a flow on a ring whose other end says nothing else.
const ringMTU = ring.MaxPacket

// mayWrite decides whether a writing call that found no room may wait.
func (f *Flow) mayWrite() error {
	switch s := f.flags.Load(); {
	case f.closed.Load():
		return net.ErrClosed
	case s&(peerDead|writeNoWait) == 0:
		return nil
	case s&peerDead != 0:
		return ErrPeer
	}
	return ErrWouldBlock
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

// WriteStream writes p: on a reliable flow in as many packets as it takes,
// with nothing in between, else in one. It returns how many bytes were taken.
func (f *Flow) WriteStream(p []byte) (int, error) {
	if !f.att.QoS.Reliable() || len(p) == 0 {
		if err := f.Write(p); err != nil {
			return 0, err
		}
		return len(p), nil
	}
	if f.has(noWrite) {
		return 0, ErrReadOnly
	}
	f.stream.Lock()
	defer f.stream.Unlock()
	if len(p) <= f.att.MTU || f.att.Direct {
		return f.writeParts(p)
	}
	return f.writeBatches(p)
}

// writeParts writes packet by packet: into a ring without a copy in between.
func (f *Flow) writeParts(p []byte) (n int, err error) {
	for n < len(p) {
		part := p[n:min(n+f.att.MTU, len(p))]
		if err := f.low.write(part, f.mayW); err != nil {
			return n, f.ended(err)
		}
		n += len(part)
	}
	return n, nil
}

// writeBatches writes many packets at a time.
func (f *Flow) writeBatches(p []byte) (n int, err error) {
	var bufs [pumped]*packet.Buffer
	for n < len(p) {
		pkts := bufs[:min((len(p)-n+f.att.MTU-1)/f.att.MTU, len(bufs))]
		packet.GetBatch(pkts, f.att.MTU)
		end := n
		for _, b := range pkts {
			part := p[end:min(end+f.att.MTU, len(p))]
			b.Append(part)
			end += len(part)
		}
		lost, err := f.low.writeBatch(pkts, f.mayW)
		if err != nil {
			// The last ones were not written, of which only the very last
			// may be shorter than the others.
			for ; lost > 0; lost-- {
				end -= (end-n-1)%f.att.MTU + 1
			}
			return end, f.ended(err)
		}
		n = end
	}
	return n, nil
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
