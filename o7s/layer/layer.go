// SPDX-License-Identifier: BSD-3-Clause

// Package layer says the idea of Ouroboros once: a layer offers flows, and a
// layer is built from flows (DESIGN §1). An IPC process implements Layer; an
// application's flow, and each flow of a layer below, is a Port.
//
// Start with Layer and Port. Inbox keeps the packets of a port that arrive
// before its user is ready.
package layer

import (
	"context"
	"errors"

	"o7gw/o7s/packet"
	"o7gw/o7s/qos"
)

// Layer is what every IPC process offers to the IRM, whatever lies beneath it.
// All methods may be called at the same time from several goroutines and
// return within the deadline of ctx.
type Layer interface {
	// Register makes the name reachable through the layer. Idempotent.
	Register(ctx context.Context, name Hash) error
	// Unregister ends that. An unknown name is no error.
	Unregister(ctx context.Context, name Hash) error
	// Query returns nil if somebody in the layer serves the name, ErrNoName
	// if nobody is known to.
	Query(ctx context.Context, name Hash) error
	// Allocate asks for a flow to the name and waits for the answer. data is
	// the piggyback of the request, the returned bytes that of the positive
	// answer. A refusal by the peer is an *Errno. When ctx ends first,
	// everything taken for the request is given back.
	Allocate(ctx context.Context, dst Hash, qs qos.Spec, data []byte) (Port, []byte, error)
	// Join joins a broadcast layer, named by the hash of the layer's name.
	Join(ctx context.Context, layer Hash) (Port, error)
}

// ErrNoAnswer is returned by Allocate when nothing came back in the time in which
// a member of the layer answers: the request or its answer may have been
// lost. Asking again, with a fresh piggyback, is safe (spec 60 §3.1).
var ErrNoAnswer = errors.New("no answer to the flow request")

// Upper is what an IPC process calls when a flow request arrives from the
// network. FlowRequested must return at once; the answer may come later and
// from any goroutine.
type Upper interface {
	FlowRequested(req *Request)
}

// Request is a flow request from the network.
type Request struct {
	Dst  Hash     // hash of the name asked for
	QoS  qos.Spec // as received, bit for bit
	Data []byte   // piggyback; belongs to the callee
	// Answerer is called exactly once, with one of its methods.
	Answerer
}

// Answerer answers one Request.
type Answerer interface {
	// Accept sends the positive answer with its piggyback and returns the
	// flow's port.
	Accept(data []byte) (Port, error)
	// Refuse sends a negative answer.
	Refuse(code Errno)
	// Ignore forgets the request and stays silent: for names that somebody
	// else may serve.
	Ignore()
}

// Port is one end of a flow inside a node. Packets are pushed, in batches, in
// both directions.
//
// An empty packet is a keepalive of the endpoints (spec 10 §10.7) and is
// carried like any other.
type Port interface {
	// Send takes ownership of the buffers, but not of the slice. It never
	// blocks: what cannot be carried is dropped, released and counted. It
	// may be called from several goroutines; the packets of one caller keep
	// their order.
	Send(pkts []*packet.Buffer)
	// Receive sets the receiver, once. What arrived before is handed over
	// first.
	Receive(r Receiver)
	// MTU returns the largest packet, in bytes, that Send carries.
	MTU() int
	// Close ends the flow and tells the peer where the layer can. A call of
	// the receiver that is under way may still finish after Close has
	// returned; no new one begins. Idempotent, also from within the receiver.
	Close() error
}

// Receiver is the user of a Port. Calls for one port come one at a time.
type Receiver interface {
	// Packets hands over packets in order of arrival. The callee owns the
	// buffers, but not the slice. It must not block.
	Packets(pkts []*packet.Buffer)
	// Event reports a change of the flow.
	Event(e Event)
}

// Event is a change of a flow, reported to its receiver.
type Event uint8

const (
	// Down: the layer cannot carry packets now (no carrier, no route).
	Down Event = iota + 1
	// Up: it can again.
	Up
	// Closed: the peer, or the layer, ended the flow. Nothing follows.
	Closed
)

// String returns the name of the event.
func (e Event) String() string {
	switch e {
	case Down:
		return "down"
	case Up:
		return "up"
	case Closed:
		return "closed"
	}
	return "unknown"
}

// Caps is the set of compatible extensions (DESIGN §5.1) that the peer of a
// flow announced in its OAP message; 0 for a C peer.
type Caps uint32

const (
	// CapTeardown: the peer understands teardown notices.
	CapTeardown Caps = 1 << iota
	// CapFRCP: the peer understands the extensions of FRCP, package frcp.
	CapFRCP
	// CapSequenced: the peer's packet IVs carry direction and counter, package
	// crypt.
	CapSequenced
)

// PeerAware is implemented by ports that use extensions of the wire format.
// The IRM tells them once what the peer announced, before the first packet.
type PeerAware interface {
	SetPeerCaps(c Caps)
}

// Queuer is implemented by ports that know how much waits in front of the
// wire: congestion avoidance marks packets by it.
type Queuer interface {
	// Queued returns the number of packets that wait just now. It is cheap,
	// and may be called from any goroutine.
	Queued() int
}

// Backlogger is implemented by ports that know how much waits to be read behind
// what they deliver: congestion avoidance marks packets by it, too.
type Backlogger interface {
	// Backlog returns about how many packets wait in front of this node. It is cheap, and
	// may be called from any goroutine.
	Backlog() int
}

// Pacer is implemented by ports that hold packets back to limit the rate of a
// flow. A user who can wait, such as a ring whose writer then waits, asks before
// he sends.
type Pacer interface {
	// Paused reports whether so much waits that more might be dropped. If so
	// resume is called once, from any goroutine, when there is room again or
	// the flow has ended; it must return at once. A later call replaces resume.
	Paused(resume func()) bool
}
