// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"math/bits"
	"time"
)

// stats are the figures of one run. Adding one takes constant time and no
// memory, so a flood may last for days.
type stats struct {
	sent, received, outOfOrder int

	min, max time.Duration
	mean, m2 float64 // ns and ns², after Welford
	hist     [64 << subBits]uint32
}

// subBits make the width of a class of the histogram at most 1/64 of its
// value.
const subBits = 6

// class returns the class of the histogram for a time: linear up to 2^subBits
// ns, then 2^subBits classes for each power of two.
func class(t time.Duration) int {
	v := uint64(max(t, 0))
	shift := max(0, bits.Len64(v)-subBits-1)
	return shift<<subBits + int(v>>shift)
}

// middle returns the middle of a class.
func middle(class int) time.Duration {
	if class < 2<<subBits {
		return time.Duration(class)
	}
	shift := class>>subBits - 1
	return time.Duration(class-shift<<subBits)<<shift + time.Duration(1)<<(shift-1)
}

func (s *stats) add(rtt time.Duration) {
	s.received++
	if s.received == 1 || rtt < s.min {
		s.min = rtt
	}
	s.max = max(s.max, rtt)
	d := float64(rtt) - s.mean
	s.mean += d / float64(s.received)
	s.m2 += d * (float64(rtt) - s.mean)
	s.hist[class(rtt)]++
}

// mdev is the standard deviation of the sample in ns: NaN with one reply.
func (s *stats) mdev() float64 { return math.Sqrt(s.m2 / float64(s.received-1)) }

// percentile returns the time that the fraction p of the replies did not
// exceed, to 1 %.
func (s *stats) percentile(p float64) time.Duration {
	rank := uint64(math.Ceil(p * float64(s.received)))
	var seen uint64
	for i, n := range s.hist {
		if seen += uint64(n); seen >= rank && n > 0 {
			return min(max(middle(i), s.min), s.max)
		}
	}
	return s.max
}

// loss is the share of lost packets in whole percent, rounded up.
func (s *stats) loss() int {
	lost := max(0, s.sent-s.received)
	if lost == 0 {
		return 0
	}
	return (lost*100 + s.sent - 1) / s.sent
}

// scale picks the unit of a time in ns: its factor, and its name.
func scale(ns float64) (factor float64, unit string) {
	if ns < 100e3 {
		return 1e-3, "µs"
	}
	return 1e-6, "ms"
}

// print writes the final lines of the prototype.
func (s *stats) print(w io.Writer, name string, elapsed time.Duration) {
	fmt.Fprintf(w, "\n--- %s ping statistics ---\n", name)
	fmt.Fprintf(w, "%d packets transmitted, %d received, %d out-of-order, %d%% packet loss, time: %.3f ms\n",
		s.sent, s.received, s.outOfOrder, s.loss(), elapsed.Seconds()*1e3)
	if s.received == 0 {
		return
	}
	k, unit := scale(s.mean)
	fmt.Fprintf(w, "rtt min/avg/max/mdev = %.3f/%.3f/%.3f/%.3f %s\n",
		float64(s.min)*k, s.mean*k, float64(s.max)*k, s.mdev()*k, unit)
}

// result is the JSON form. Times of packets are in µs; rtt is absent without
// replies, mdev with one.
type result struct {
	Name       string  `json:"name"`
	QoS        string  `json:"qos"`
	Size       int     `json:"size"`
	Sent       int     `json:"sent"`
	Received   int     `json:"received"`
	OutOfOrder int     `json:"out_of_order"`
	Loss       int     `json:"loss_percent"`
	Time       float64 `json:"time_ms"`
	End        string  `json:"end"` // done, signal, timeout, or an error
	RTT        *rtt    `json:"rtt_us,omitempty"`
}

type rtt struct {
	Min  float64  `json:"min"`
	Avg  float64  `json:"avg"`
	Max  float64  `json:"max"`
	Mdev *float64 `json:"mdev,omitempty"`
	P50  float64  `json:"p50"`
	P99  float64  `json:"p99"`
}

func (s *stats) printJSON(w io.Writer, opt *options, elapsed time.Duration, end string) {
	us := func(t time.Duration) float64 { return float64(t) / 1e3 }
	r := result{
		Name: opt.name, QoS: opt.qos.String(), Size: opt.size,
		Sent: s.sent, Received: s.received, OutOfOrder: s.outOfOrder, Loss: s.loss(),
		Time: float64(elapsed.Microseconds()) / 1e3, End: end,
	}
	if s.received > 0 {
		r.RTT = &rtt{
			Min: us(s.min), Avg: math.Round(s.mean) / 1e3, Max: us(s.max),
			P50: us(s.percentile(0.5)), P99: us(s.percentile(0.99)),
		}
	}
	if s.received > 1 {
		mdev := math.Round(s.mdev()) / 1e3
		r.RTT.Mdev = &mdev
	}
	// A value of these types always encodes.
	line, _ := json.Marshal(r)
	fmt.Fprintf(w, "%s\n", line)
}
