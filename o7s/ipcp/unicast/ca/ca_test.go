// SPDX-License-Identifier: BSD-3-Clause

package ca

import (
	"slices"
	"testing"
)

// Vectors of spec 20 §7.3.
func TestMark(t *testing.T) {
	for _, v := range []struct {
		ecn    uint8
		queued int
		want   uint8
	}{{0, 0, 0}, {0, 15, 0}, {0, 16, 1}, {0, 48, 3}, {0, 64, 4}, {0, 464, 29}, {0, 864, 54}, {0, 1023, 63}, {8, 64, 12}, {8, 0, 8}} {
		if got := MBECN.Mark(v.ecn, v.queued); got != v.want {
			t.Errorf("mark %d, %d packets: %d, want %d", v.ecn, v.queued, got, v.want)
		}
		if got := None.Mark(v.ecn, v.queued); got != v.ecn {
			t.Errorf("without congestion avoidance %d became %d", v.ecn, got)
		}
	}
}

// report is an UPDATE that the receiver wants sent.
type report struct {
	packet int // which packet was the reason, from 1
	ece    uint16
}

// Vectors of spec 20 §7.3.
func TestReceiver(t *testing.T) {
	f := new(Flow)
	f.Init(MBECN, 0)
	var levels []uint16
	var reports []report
	receive := func(ecn uint8, n int) {
		for range n {
			ece, update := f.Received(ecn, 1)
			levels = append(levels, f.r)
			if update {
				reports = append(reports, report{len(levels), ece})
			}
		}
	}
	receive(0, 3)
	if len(reports) != 0 || f.Marked() {
		t.Fatalf("unmarked packets were reported: %v", reports)
	}
	levels = nil
	receive(8, 19)
	if want := []uint16{8, 16, 24, 32, 39, 46, 53, 60, 67, 73, 79, 85, 91, 97, 102, 107, 112, 117, 122}; !slices.Equal(levels, want) {
		t.Errorf("levels %v, want %v", levels, want)
	}
	if want := []report{{1, 8}, {3, 24}, {11, 79}, {19, 122}}; !slices.Equal(reports, want) {
		t.Errorf("reports %v, want %v", reports, want)
	}
	f.r = 144
	levels, reports = nil, nil
	receive(0, 5)
	if want := []uint16{36, 9, 2, 0, 0}; !slices.Equal(levels, want) {
		t.Errorf("levels %v, want %v", levels, want)
	}
	if want := []report{{4, 0}}; !slices.Equal(reports, want) {
		t.Errorf("reports %v, want %v", reports, want)
	}
}

// A run of packets has the effect of its packets, with the last of their
// reports.
func TestReceiverRun(t *testing.T) {
	var one, run Flow
	one.Init(MBECN, 0)
	run.Init(MBECN, 0)
	for i, r := range []struct {
		ecn uint8
		n   int
	}{{0, 5}, {3, 1}, {3, 128}, {255, 40}, {0, 2}, {9, 7}, {0, 1000}, {0, 1}, {1, 1}, {0, 1}} {
		var ece uint16
		var update bool
		for range r.n {
			if e, u := one.Received(r.ecn, 1); u {
				ece, update = e, true
			}
		}
		if e, u := run.Received(r.ecn, r.n); e != ece || u != update || run.Receiver != one.Receiver {
			t.Errorf("run %d: %d, %v and %+v, singly %d, %v and %+v", i, e, u, run.Receiver, ece, update, one.Receiver)
		}
	}
	if l := one.r; l != 0 {
		t.Errorf("level %d", l)
	}
}

func TestNone(t *testing.T) {
	var f Flow
	f.Init(None, 0)
	f.Update(0, 8160)
	for now := range int64(1000) {
		if f.Room(now) < 1<<40 || f.Sent(now, 128, 1<<20) != 0 {
			t.Fatal("a flow waits")
		}
		if _, update := f.Received(255, 10); update || f.Marked() {
			t.Fatal("a mark is reported")
		}
	}
}
