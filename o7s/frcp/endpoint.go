// SPDX-License-Identifier: BSD-3-Clause

package frcp

import (
	"errors"
	"time"

	"o7gw/o7s/packet"
)

// Config says how an Endpoint behaves. Both ends must agree on Reliable; Extended
// may differ, though neither then uses an extension that harms.
type Config struct {
	Reliable bool // every packet, or only what arrives, in order
	// Extended: the peer announced layer.CapFRCP.
	Extended bool
	// Initial is the number of the first packet: random, so that packets of an earlier
	// flow between the same endpoints do not fit.
	Initial uint32
	// MPL is the maximum packet lifetime of the layer below.
	MPL time.Duration
	// Congestion decides about the sending rate; nil where the layer below
	// avoids congestion by itself.
	Congestion Congestion
	// MaxWindow is the widest receive window in packets, a power of two; 0:
	// DefaultMaxWindow. Toward a prototype it is always 256.
	MaxWindow int
	// Budget is shared with other Endpoints; it bounds what windows grow to together.
	Budget *Budget
	// Queue is how many packets may wait to be sent; 0: DefaultQueue.
	Queue int
	// Lend: Drain lends packets instead of giving them away: the driver must copy
	// them before the next call of any method, and neither change nor
	// release them. It saves a copy per packet where the lower end copies anyway.
	Lend bool
}

// ErrTimeout: a packet was sent again and again, or the peer asked for its
// window, for R (120 s), and there was no answer. The flow is of no use any more.
var ErrTimeout = errors.New("frcp: the peer acknowledges nothing")

// Endpoint is one end of a flow. The zero value is unusable; use New. Its
// methods must not be called at the same time. Times are those of one
// monotonic clock with any beginning, and never decrease.
//
// Sending:
//
//	          Send               window, pace
//	quiet ───────────▶ busy ─────────────────▶ blocked ──RDVS every 100 ms──┐
//	  ▲                 │ ▲                       │  ▲                      │
//	  └─all acknowledged┘ └──────FC, ACK, time────┘  └──────────────────────┘
//	  │ Finish            │ Finish
//	  ▼                   ▼
//	finished ◀──────── lingering ──nothing acknowledged for R──▶ failed (Err)
//	          all acknowledged
//
// Receiving:
//
//	        DRF                     end of data (between ours)
//	closed ─────▶ open ─────────────────────────────────────────▶ ended (EOF)
//	               │ ▲
//	               └─┘ DRF outside the window after 2·MPL+A+R without data: a new run
type Endpoint struct {
	cfg   Config
	snd   sender
	rcv   receiver
	err   error
	stats Stats

	dead []*packet.Buffer // released at the end of the call
	lent []*packet.Buffer // released at the next call
}

// New makes an Endpoint. No packet is sent before Send.
func New(cfg Config) *Endpoint {
	if cfg.MaxWindow == 0 {
		cfg.MaxWindow = DefaultMaxWindow
	}
	if !cfg.Extended {
		cfg.MaxWindow = plainWindow
	}
	if cfg.Queue == 0 {
		cfg.Queue = DefaultQueue
	}
	if cfg.Congestion == nil {
		cfg.Congestion = None{}
	}
	e := &Endpoint{cfg: cfg}
	e.snd.init(&cfg)
	e.rcv.init(&cfg)
	return e
}

// Err returns why the flow failed, nil while it has not.
func (e *Endpoint) Err() error { return e.err }

// Tick lets time pass: call it at Deadline, then Drain. Afterwards Deadline is
// later than now, even if the driver cannot Drain yet.
func (e *Endpoint) Tick(now time.Duration) {
	e.begin()
	e.checkLosses(now)
	e.checkPeer(now)
	e.endLinger(now)
	s, r := &e.snd, &e.rcv
	if r.dueAt <= now {
		r.due, r.dueAt = true, never
	}
	if r.updateAt <= now {
		r.due, r.updateAt = true, never
	}
	if s.blocked && s.askAt <= now {
		s.ask, s.askAt = true, never
	}
	if s.paceAt <= now {
		s.paced = false
	}
	e.end()
}

// Deadline returns when Tick and Drain must be called next; false if only a
// packet or a call of the user can change anything.
func (e *Endpoint) Deadline() (at time.Duration, set bool) {
	if e.err != nil {
		return 0, false
	}
	at = min(e.ackDeadline(), e.lossDeadline(), e.rendezvousDeadline(), e.paceDeadline(), e.rcv.updateAt)
	return at, at != never
}

// Close releases all buffers. The Endpoint sends nothing more and must be used
// no more, except for Err and Stats.
func (e *Endpoint) Close() {
	e.begin()
	if e.err == nil {
		e.err = errClosed
	}
	e.releaseSender()
	e.releaseReceiver()
	e.end()
}

var errClosed = errors.New("frcp: closed")

// begin starts a call: what was lent is the Endpoint's again.
func (e *Endpoint) begin() {
	if len(e.lent) > 0 {
		packet.ReleaseBatch(e.lent)
		e.lent = e.lent[:0]
	}
}

// end releases what the call has no more use for.
func (e *Endpoint) end() {
	if len(e.dead) > 0 {
		packet.ReleaseBatch(e.dead)
		e.dead = e.dead[:0]
	}
}

// drop has the buffer released at the end of the call.
func (e *Endpoint) drop(b *packet.Buffer) { e.dead = append(e.dead, b) }

// fail ends the flow for good.
func (e *Endpoint) fail(err error) {
	if e.err == nil {
		e.err = err
	}
	e.releaseSender()
}
