// SPDX-License-Identifier: BSD-3-Clause

// Package load makes traffic on flows and judges what arrives: what operf and
// ocbr (spec 40 §6.3, §6.4) have in common, and their servers with that of oping.
//
// A client sends with a Sender and shows how it goes with ShowProgress; a
// server takes flows with Serve and counts with a Sequence.
package load

import (
	"fmt"
	"time"
)

// Mbps returns the rate of so many bytes in that time, in Mbit/s; 0 if the time
// is.
func Mbps(bytes uint64, d time.Duration) float64 { return PerSecond(bytes, d) * 8 / 1e6 }

// PerSecond returns n divided by the time in seconds; 0 if the time is 0.
func PerSecond(n uint64, d time.Duration) float64 {
	if d <= 0 {
		return 0
	}
	return float64(n) / d.Seconds()
}

// Span returns how long so many packets took of which the first and the last
// arrived then: the last takes as long as another.
func Span(first, last time.Time, packets uint64) time.Duration {
	if packets < 2 {
		return 0
	}
	return time.Duration(float64(last.Sub(first)) * float64(packets) / float64(packets-1))
}

// Percent returns the share of lost ones among all, in whole percent, rounded
// up as the prototype does.
func Percent(lost, all uint64) int {
	if lost == 0 || all == 0 {
		return 0
	}
	return int((min(lost, all)*100 + all - 1) / all)
}

// RateText returns a rate in bit/s with three digits behind the point and a
// unit.
func RateText(bps float64) string {
	switch {
	case bps >= 1e9:
		return fmt.Sprintf("%.3f Gb/s", bps/1e9)
	case bps >= 1e6:
		return fmt.Sprintf("%.3f Mb/s", bps/1e6)
	}
	return fmt.Sprintf("%.3f kb/s", bps/1e3)
}
