// SPDX-License-Identifier: BSD-3-Clause

package o7s

import (
	"context"
	"net"
	"time"

	"o7gw/o7s/flow"
	"o7gw/o7s/layer"
	"o7gw/o7s/oap/cipher"
	"o7gw/o7s/packet"
	"o7gw/o7s/qos"
)

// Flow is a flow to a service, or from a client. All methods may be called
// from several goroutines; reading calls wait for one another, and so do
// writing ones.
type Flow struct {
	f     *flow.Flow
	stack *Stack
}

var _ net.Conn = (*Flow)(nil)

// Stats are the totals of a flow.
type Stats = flow.Stats

// Read reads from the packets as if they were a stream: what does not fit
// into p comes with the next call. It never joins two packets, and, unlike the
// prototype, never returns 0 bytes to mark the end of one: use ReadPacket
// where boundaries matter.
func (f *Flow) Read(p []byte) (int, error) {
	n, err := f.f.Read(p)
	if err != nil {
		err = f.opError("read", err)
	}
	return n, err
}

// Write sends p. It waits while the flow is full. On a reliable flow a p longer
// than the MTU is split into several packets; on others it is refused with
// syscall.EMSGSIZE. An empty p is a keepalive, which the peer's readers do not
// see.
func (f *Flow) Write(p []byte) (int, error) {
	n, err := f.f.WriteStream(p)
	if err != nil {
		err = f.opError("write", err)
	}
	return n, err
}

// ReadPacket reads one packet. What does not fit into p is dropped, and
// reported. If Read has left something of a packet, it reads that.
func (f *Flow) ReadPacket(p []byte) (n int, truncated bool, err error) {
	if n, truncated, err = f.f.ReadPacket(p); err != nil {
		err = f.opError("read", err)
	}
	return n, truncated, err
}

// WritePacket sends p as one packet: one that is longer than the MTU is refused
// with syscall.EMSGSIZE.
func (f *Flow) WritePacket(p []byte) error {
	if err := f.f.Write(p); err != nil {
		return f.opError("write", err)
	}
	return nil
}

// ReadContext is ReadPacket that ends with ctx, apart from the deadline.
func (f *Flow) ReadContext(ctx context.Context, p []byte) (n int, truncated bool, err error) {
	if n, truncated, err = f.f.ReadPacketContext(ctx, p); err != nil {
		err = f.opError("read", err)
	}
	return n, truncated, err
}

// WriteContext is WritePacket that ends with ctx, apart from the deadline.
func (f *Flow) WriteContext(ctx context.Context, p []byte) error {
	if err := f.f.WriteContext(ctx, p); err != nil {
		return f.opError("write", err)
	}
	return nil
}

// ReadBatch waits for a packet and takes as many as there are, up to
// len(bufs), in buffers of the pool. The caller owns them then, and releases
// them. It returns how many.
func (f *Flow) ReadBatch(bufs []*packet.Buffer) (int, error) {
	n, err := f.f.ReadBatch(bufs)
	if err != nil {
		err = f.opError("read", err)
	}
	return n, err
}

// WriteBatch sends the packets. It takes the buffers, not the slice. It waits
// while the flow is full; after an error some of the packets were not sent.
func (f *Flow) WriteBatch(pkts []*packet.Buffer) error {
	if err := f.f.WriteBatch(pkts); err != nil {
		return f.opError("write", err)
	}
	return nil
}

// Receive hands all packets, and the events of the flow, to r from now on;
// calls that read fail. r is called on the goroutine that has the packets, one
// call at a time, and must not block. It may write to flows, and close its own:
// Close then does not wait, and the Stack sees to it that everything is delivered,
// within SetLinger, and within two seconds once the Stack is closed. Other reliable flows
// it closes on another goroutine, or after SetLinger(0). It sees no keepalives,
// and the peer timeout as layer.Closed. Once per flow.
func (f *Flow) Receive(r layer.Receiver) {
	if err := f.f.Receive(r); err != nil {
		r.Event(layer.Closed)
	}
}

// SetLinger limits how long Close of a reliable flow waits while the peer takes
// nothing of what was written; 0: not at all. Without it that is two minutes.
func (f *Flow) SetLinger(d time.Duration) { f.f.SetLinger(d) }

// CloseWrite says that nothing more will be written: the peer reads what was,
// and then io.EOF, and can still write. It does not wait. It returns an error
// that wraps layer.ErrNotSupported if the flow is not reliable, or the peer is a
// prototype.
func (f *Flow) CloseWrite() error {
	if err := f.f.CloseWrite(); err != nil {
		return f.opError("close", err)
	}
	return nil
}

// Close ends the flow. The peer reads what was written, then io.EOF. Calls
// under way return net.ErrClosed. On a reliable flow it waits until everything
// is delivered, within SetLinger and the write deadline, and returns an error if
// that is not sure; not while a receiver of this flow is being called, see Receive.
// Idempotent.
func (f *Flow) Close() error {
	f.stack.forget(f)
	if err := f.f.Close(); err != nil {
		return f.opError("close", err)
	}
	return nil
}

// LocalAddr returns the name of the service: a flow has no other address.
func (f *Flow) LocalAddr() net.Addr { return Addr(f.f.Name()) }

// RemoteAddr returns the name of the service.
func (f *Flow) RemoteAddr() net.Addr { return Addr(f.f.Name()) }

// SetDeadline limits the waits of reading and writing calls, also of those
// under way. The zero time removes the limit.
func (f *Flow) SetDeadline(t time.Time) error {
	f.f.SetReadDeadline(t)
	f.f.SetWriteDeadline(t)
	return f.check("set deadline")
}

// SetReadDeadline is SetDeadline for reading calls.
func (f *Flow) SetReadDeadline(t time.Time) error {
	f.f.SetReadDeadline(t)
	return f.check("set deadline")
}

// SetWriteDeadline is SetDeadline for writing calls.
func (f *Flow) SetWriteDeadline(t time.Time) error {
	f.f.SetWriteDeadline(t)
	return f.check("set deadline")
}

// check returns the error of a call on a closed flow.
func (f *Flow) check(op string) error {
	if f.f.Closed() {
		return f.opError(op, net.ErrClosed)
	}
	return nil
}

// SetNonblock makes reading and writing calls return syscall.EAGAIN where
// they would have to wait, also those that wait now.
func (f *Flow) SetNonblock(on bool) { f.f.SetNonblock(on, on) }

// SetReadOnly makes writing calls fail with syscall.EPERM.
func (f *Flow) SetReadOnly(on bool) { f.f.SetReadOnly(on) }

// SetNoPartial makes Read fail with syscall.EMSGSIZE, and drop the packet, if
// it does not fit into the buffer.
func (f *Flow) SetNoPartial(on bool) { f.f.SetNoPartial(on) }

// SetDown marks the flow as down for both sides, or clears the mark. A flow
// of an embedded node cannot: layer.ErrNotSupported.
func (f *Flow) SetDown(down bool) error {
	if err := f.f.SetDown(down); err != nil {
		return f.opError("set down", err)
	}
	return nil
}

// ID returns the flow id in the resource manager.
func (f *Flow) ID() int { return f.f.ID() }

// Name returns the name of the service.
func (f *Flow) Name() string { return f.f.Name() }

// QoS returns the specification that the flow was requested with.
func (f *Flow) QoS() qos.Spec { return f.f.QoS() }

// MTU returns the largest packet, in bytes, that the flow carries.
func (f *Flow) MTU() int { return f.f.MTU() }

// MPL returns the maximum packet lifetime of the layer.
func (f *Flow) MPL() time.Duration { return f.f.MPL() }

// Stats returns the totals.
func (f *Flow) Stats() Stats { return f.f.Stats() }

// String names the flow in logs.
func (f *Flow) String() string { return "flow to " + f.f.Name() }

func (f *Flow) opError(op string, err error) error { return opError(op, f.f.Name(), err) }

// Peer returns the name in the certificate of the peer, which has been
// verified; "" if the peer showed none.
func (f *Flow) Peer() string { return f.f.Peer() }

// Cipher returns the name of the packet cipher, such as "aes-256-gcm"; "" if
// the flow is not encrypted. A flow to a process of the same node never is,
// since it does not leave the machine.
func (f *Flow) Cipher() string { return cipher.Name(f.f.Cipher()) }

// Layer returns the name of the layer that carries the flow; "" for a flow to a
// process of the same node.
func (f *Flow) Layer() string { return f.f.Layer() }
