// SPDX-License-Identifier: BSD-3-Clause

// Package ca is the congestion avoidance of a unicast layer (spec 20 §7):
// nodes mark packets by the queue they meet, the receiver of a flow averages
// the marks and reports their level, the sender of the flow limits its rate by
// it.
//
// Start with Policy.Mark, which forwarding calls, and Flow, of which every
// flow has one. Nothing here has a lock, a clock or a timer.
package ca

import "fmt"

// Policy is a congestion avoidance policy. Numbers are those of the
// enrolment message (spec 20 §0.1).
type Policy uint8

const (
	None  Policy = 0 // packets are never marked, flows never wait
	MBECN Policy = 1 // multi-bit ECN, the default
)

// String returns the name that statistics show.
func (p Policy) String() string {
	switch p {
	case None:
		return "None"
	case MBECN:
		return "Multi-bit ECN"
	}
	return fmt.Sprintf("Policy(%d)", uint8(p))
}

// queueUnit is how many waiting packets make one mark.
const queueUnit = 16

// Mark returns the ECN byte of a packet that finds queued packets waiting in
// front of it. Marks of several hops are combined by OR, as in the prototype.
func (p Policy) Mark(ecn uint8, queued int) uint8 {
	if p != MBECN {
		return ecn
	}
	return ecn | uint8(queued/queueUnit)
}

// Flow is the state of one flow, both directions. Sent, Room and Update use
// one half of it, Received the other: two locks may guard them.
type Flow struct {
	Sender
	Receiver
}

// Init makes a flow ready. now is in nanoseconds of a monotonic clock.
func (f *Flow) Init(p Policy, now int64) {
	f.Sender.init(p, now)
	f.Receiver = Receiver{on: p == MBECN}
}
