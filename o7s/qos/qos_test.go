// SPDX-License-Identifier: BSD-3-Clause

package qos

import "testing"

func TestParseAndString(t *testing.T) {
	for _, name := range []string{"raw", "best", "video", "voice", "data"} {
		s, err := Parse(name)
		if err != nil || s.String() != name {
			t.Errorf("Parse(%q) = %v, %v", name, s, err)
		}
	}
	if _, err := Parse("gold"); err == nil {
		t.Error("Parse accepted an unknown name")
	}
}

func TestCube(t *testing.T) {
	own := Raw
	own.Delay, own.Availability, own.MaxGap = 50, 5, 50
	for _, c := range []struct {
		spec Spec
		want Cube
	}{{Raw, BestEffort}, {Best, BestEffort}, {Data, BestEffort}, {Video, VideoCube}, {Voice, VoiceCube}, {own, VoiceCube}} {
		if got := c.spec.Cube(); got != c.want {
			t.Errorf("%v: cube %d, want %d", c.spec, got, c.want)
		}
	}
}

func TestReliable(t *testing.T) {
	if !Data.Reliable() || Best.Reliable() || Raw.Reliable() {
		t.Error("only data is reliable")
	}
}
