// SPDX-License-Identifier: BSD-3-Clause

package load

import (
	"testing"
	"time"
)

func TestPacerRate(t *testing.T) {
	for _, c := range []struct {
		size int
		rate float64
		step time.Duration // between calls
		want int           // packets in a second
	}{
		{1000, 1e6, time.Millisecond, 125},
		{1000, 1e6, 100 * time.Microsecond, 125},
		{1500, 1e9, time.Millisecond, 83334},
		{64, 10e9, 10 * time.Microsecond, 19531250},
		{1 << 20, 1e6, time.Millisecond, 1},
		{1000, 1e3, time.Millisecond, 1},
	} {
		p := newPacer(c.size, c.rate)
		n := 0
		for now := time.Duration(0); now < time.Second; now += c.step {
			n += p.take(now, 1<<30)
		}
		if slack := max(1, int(float64(c.want)*c.step.Seconds())); n < c.want-slack || n > c.want+1 {
			t.Errorf("%d bytes at %.0f b/s, looked at every %v: %d packets in a second, want %d", c.size, c.rate, c.step, n, c.want)
		}
	}
}

// Packet n is due at n gaps, none earlier, and who asks at next gets one.
func TestPacerTimes(t *testing.T) {
	p := newPacer(1000, 8e6) // 1 ms
	for n := range 5 {
		at := p.next()
		if want := time.Duration(n) * time.Millisecond; at != want {
			t.Fatalf("packet %d at %v, want %v", n, at, want)
		}
		if n > 0 && p.take(at-1, 10) != 0 {
			t.Fatalf("packet %d was early", n)
		}
		if got := p.take(at, 10); got != 1 {
			t.Fatalf("%d packets at %v", got, at)
		}
	}
}

// What was missed is made up for, but no more than that of maxLag; the limit
// of a call defers the rest.
func TestPacerLag(t *testing.T) {
	p := newPacer(1000, 8e6)
	p.take(0, 1)
	if n := p.take(10*time.Millisecond, 4); n != 4 {
		t.Errorf("took %d with a limit of 4", n)
	}
	if n := p.take(10*time.Millisecond, 100); n != 6 {
		t.Errorf("%d packets were left of 10", n)
	}
	if n := p.take(10*time.Second, 1000); n != int(maxLag/time.Millisecond)+1 {
		t.Errorf("a burst of %d after a pause", n)
	}
	if n := p.take(10*time.Second, 1000); n != 0 {
		t.Errorf("%d more", n)
	}
}

func TestPacerFlood(t *testing.T) {
	p := newPacer(64, 0)
	for now := range time.Duration(3) {
		if n := p.take(now, 128); n != 128 {
			t.Fatalf("%d at once", n)
		}
	}
}
