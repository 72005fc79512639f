// SPDX-License-Identifier: BSD-3-Clause

package spin

import (
	"runtime"
	"testing"
	"time"
)

func never() bool  { return false }
func always() bool { return true }

func TestSpinsOnlyAfterShortSleeps(t *testing.T) {
	if runtime.NumCPU() == 1 {
		t.Skip("one processor: a spin never helps")
	}
	var s Spinner
	looks := 0
	look := func() bool { looks++; return true }
	if s.Spin(look) || looks != 0 {
		t.Fatal("span without a reason to")
	}
	s.Slept(time.Second)
	if s.Spin(look) || looks != 0 {
		t.Fatal("span after a long sleep")
	}
	s.Slept(shortWait / 2)
	if !s.Spin(look) || looks != 1 {
		t.Fatal("did not spin after a short sleep")
	}
}

func TestSpinsInVainBackOff(t *testing.T) {
	if runtime.NumCPU() == 1 {
		t.Skip("one processor: a spin never helps")
	}
	var s Spinner
	s.Slept(0)
	for want := 1; want <= 7; want = 2*want + 1 { // short sleeps that do not count
		if s.Spin(never) {
			t.Fatal("nothing came, but Spin says so")
		}
		for range want {
			s.Slept(0)
			if s.Spin(always) {
				t.Fatalf("span after fewer than %d short sleeps", want+1)
			}
		}
		s.Slept(0)
	}
	if !s.Spin(always) {
		t.Fatal("gave up for good")
	}
	if spinning.Load() != 0 {
		t.Fatal("still counted as spinning")
	}
}
