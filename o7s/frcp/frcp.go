// SPDX-License-Identifier: BSD-3-Clause

// Package frcp implements the Flow and Retransmission Control Protocol (spec
// 30 §3): packets of a flow in order, and on reliable flows all of them. It is
// a state machine without I/O, clock, randomness, lock or goroutine: the time
// and the initial number are arguments, and whoever drives it moves the packets.
//
// Start with New, which makes the Endpoint of a flow, both directions in one.
// A driver does this, under a lock of its own:
//
//	n := e.Send(now, pkts)       // what the application writes; n were taken
//	e.Receive(now, pkts)         // what the layer below brings
//	e.Tick(now)                  // at e.Deadline()
//	n := e.Read(now, pkts)       // what the application reads, in order
//
// and after each of them, until it returns 0,
//
//	n := e.Drain(now, pkts)      // what shall go to the layer below
//
// Toward the prototype of version 0.23 an Endpoint follows the rules W1 to W13 of spec
// 30 §3.13. Toward a peer that announced layer.CapFRCP it uses the
// extensions of docs/extensions.md §10: wide windows, acknowledgement blocks, the end of
// data.
package frcp

import "time"

// Constants of the protocol (spec 30 §0.1). They are part of what both ends
// know of each other.
const (
	// ackLimit (A) is how long after a packet its acknowledgement may leave.
	ackLimit = 10 * time.Second
	// retransmitLimit (R) is how long a packet is sent again before the flow fails.
	retransmitLimit = 120 * time.Second
	// plainWindow is the window, in packets, of the prototype's receiver, and
	// the widest that its sender bears.
	plainWindow = 256
	// startWindow is what may be sent before the peer's first window, in packets.
	startWindow = 64
	// farthest is how far numbers of one run may lie apart, in packets: the widest window that
	// is believed.
	farthest = 1 << 16
	// rendezvousEvery is the interval at which a sender without window asks
	// for one (W10).
	rendezvousEvery = 100 * time.Millisecond
	// prototypeAckDelay is how late the prototype acknowledges (spec 30 §3.7, W13).
	prototypeAckDelay = 15 * time.Millisecond
)

// Tunables: local decisions that the peer need not know.
const (
	// DefaultMaxWindow is the widest receive window toward ours, in packets:
	// twice the bandwidth-delay product of 1 Gbit/s and 40 ms with room for
	// packets that wait for a lost one.
	DefaultMaxWindow = 8192
	// maxWindowBytes bounds what a window grows to where packets are long, bytes: all of
	// it may wait for a reader who has stopped. Of a peer whose packets become longer no more
	// than that is kept in order, and as much behind gaps.
	maxWindowBytes = 32 << 20
	// usualPacket is how long packets are taken to be at least, bytes: short ones may be
	// followed by others.
	usualPacket = 1500
	// DefaultQueue is how many packets wait for the window or the pace before
	// Send takes no more.
	DefaultQueue = 256
	// ackDelay is how long an acknowledgement waits for company (W7).
	ackDelay = time.Millisecond
	// ackEvery and ackEveryPlain are how many packets are acknowledged
	// together, toward ours and toward the prototype (W7).
	ackEvery      = 16
	ackEveryPlain = 2
	// minRTO is added to the round-trip time as a floor of the retransmission
	// timeout: the peer's ackDelay and the jitter of two schedulers.
	minRTO = 10 * time.Millisecond
	// startRTO holds until the first round-trip time is known.
	startRTO = time.Second
	// maxRTO bounds the back-off, so that a flow goes on soon after a cut of the path (FR-12).
	maxRTO = time.Second
	// maxProbes is how many tail-loss probes go before a timeout.
	maxProbes = 2
	// earlyPackets is how many packets in front of the one that opens the run
	// are kept, in case the network reordered them.
	earlyPackets = 64
	// updateRepeats bounds how often a window update is repeated to a
	// prototype that may be waiting for it and does not ask (FR-5).
	updateRepeats = 8
)

// never is the time of a deadline that is not set.
const never = time.Duration(1<<63 - 1)

// before reports whether sequence number a comes before b, modulo 2^32.
func before(a, b uint32) bool { return int32(a-b) < 0 }
