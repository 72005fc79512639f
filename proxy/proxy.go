// SPDX-License-Identifier: BSD-3-Clause

// Package proxy carries connections of IP programs over Ouroboros flows
// (DESIGN §6): a TCP connection over a reliable flow, a UDP session over a raw
// one, with the protocol of package session.
//
//	client ─ TCP ─ [Relay] ─ Conn ═ flow ═ Conn ─ [Relay] ─ TCP ─ server
//
// One end dials with a Dialer, the other takes flows with Accept; Relay joins
// a connection and a flow. Sub-packages use it for what users configure.
package proxy

import (
	"context"
	"errors"
	"net"
	"time"

	"o7gw/o7s"
	"o7gw/o7s/layer"
	"o7gw/o7s/packet"
	"o7gw/o7s/qos"
)

// Stack is what sessions need of a node.
type Stack interface {
	Dial(ctx context.Context, name string, opts ...o7s.DialOption) (*o7s.Flow, error)
	Listen(ctx context.Context, name string) (Listener, error)
}

// Listener gives the flows that others allocate to a name.
type Listener interface {
	AcceptFlow(ctx context.Context) (*o7s.Flow, error)
	Close() error
}

// Stream is a connection with two directions that end on their own.
// *net.TCPConn and *Conn are streams. A Stream may have the methods of BatchReader
// and BatchWriter, and for Relay
//
//	Reset()          aborts it
//	Broken() error   not nil if the peer has aborted it, though nobody reads or writes it
//	Drained() bool   the peer has all that was written
type Stream interface {
	net.Conn
	CloseWrite() error
}

// BatchReader is a Stream that reads into packets.
type BatchReader interface {
	// ReadBatch waits for data, without holding a buffer meanwhile, and
	// returns it in buffers of the pool with at most size bytes each, in
	// bufs[:n] with 0 < n ≤ len(bufs). The caller owns them.
	ReadBatch(bufs []*packet.Buffer, size int) (n int, err error)
}

// BatchWriter is a Stream that writes packets.
type BatchWriter interface {
	// WriteBatch writes the bytes of the packets, and waits while there is no
	// room. It takes the buffers, not the slice.
	WriteBatch(pkts []*packet.Buffer) error
}

const (
	// dialLimit bounds the allocation of a flow and the wait for the status,
	// if a Dialer says nothing.
	dialLimit = 10 * time.Second
	// requestLimit is how long a new flow may wait for its request.
	requestLimit = 10 * time.Second
	// peerTimeout is the silence, in ms, after which the peer of a session
	// counts as dead, unless its QoS says otherwise. Keepalives go every
	// quarter of it: a thousand idle sessions cost 67 packets per second.
	peerTimeout = 60000
	// requestAgain is how often the request of a UDP session is repeated, since
	// raw flows lose packets.
	requestAgain = 250 * time.Millisecond
)

// NobodyServes reports whether an error of dialling says that nobody serves the
// name, or nobody answers for it: another name may do the same.
func NobodyServes(err error) bool {
	return errors.Is(err, layer.ErrNoName) || errors.Is(err, layer.ErrNoAnswer) || errors.Is(err, layer.ErrIPCP)
}

// streamQoS returns the specification for a TCP session: qs made reliable.
func streamQoS(qs qos.Spec) qos.Spec {
	if qs == (qos.Spec{}) {
		qs = qos.Data
		qs.Timeout = peerTimeout
	}
	qs.InOrder, qs.Loss = 1, 0
	return mortal(qs)
}

// datagramQoS returns the specification for a UDP session: qs without order
// and repetition, which UDP does not want.
func datagramQoS(qs qos.Spec) qos.Spec {
	if qs == (qos.Spec{}) {
		qs = qos.Raw
		qs.Timeout = peerTimeout
	}
	qs.InOrder = 0
	if qs.Loss == 0 {
		qs.Loss = 1
	}
	return mortal(qs)
}

// mortal sees to it that a peer which has vanished does not hold the session for
// ever.
func mortal(qs qos.Spec) qos.Spec {
	if qs.Timeout == 0 {
		qs.Timeout = peerTimeout
	}
	return qs
}
