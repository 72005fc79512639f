// SPDX-License-Identifier: BSD-3-Clause

package frcp

import (
	"math"
	"time"
)

// Congestion decides how much of a reliable flow may be under way and how
// fast it leaves. Implementations are None and *BBR. All sizes are in bytes
// with headers. Losses are reported, though no signal of congestion by themselves.
type Congestion interface {
	// Window returns how many bytes may be under way.
	Window() int
	// Rate returns the pace in bytes per second; 0: none.
	Rate() float64
	// Sent tells that size bytes left; flying are under way with them.
	Sent(now time.Duration, size, flying int)
	// Acked tells of the acknowledgements of one batch.
	Acked(now time.Duration, s Sample)
	// Lost tells that size bytes were found lost.
	Lost(now time.Duration, size int)
	// Timeout tells that nothing was heard for a retransmission timeout.
	Timeout(now time.Duration)
}

// Sample is what a batch of acknowledgements says about the path.
type Sample struct {
	Acked  int           // bytes newly acknowledged
	Flying int           // bytes still under way
	RTT    time.Duration // newest measurement; 0: none
	MinRTT time.Duration // smallest one lately; 0: none
	// Rate is the delivery rate in bytes per second; 0: unknown.
	Rate float64
	// Limited: the sender had nothing more to send at the time, so the path may carry more.
	Limited bool
	// Prior is how much had been delivered when the newest of these packets
	// left; Delivered is the total now. Both mark rounds.
	Prior, Delivered uint64
}

// None leaves the rate to the layer below.
type None struct{}

var _ Congestion = None{}

func (None) Window() int                  { return math.MaxInt }
func (None) Rate() float64                { return 0 }
func (None) Sent(time.Duration, int, int) {}
func (None) Acked(time.Duration, Sample)  {}
func (None) Lost(time.Duration, int)      {}
func (None) Timeout(time.Duration)        {}
