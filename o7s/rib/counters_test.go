// SPDX-License-Identifier: BSD-3-Clause

package rib

import (
	"fmt"
	"testing"
	"time"
)

func TestCounters(t *testing.T) {
	type state uint8
	e := Counters(struct {
		Flows       int
		SentBytes   uint64
		GSOBatches  uint32
		DropNoFlow  uint64
		PeerID      string
		LastAt      time.Time
		State       state
		hidden      int
		Nested      struct{ X int }
		List        []int
		RTT         time.Duration
		SeenByOther bool
	}{Flows: 3, hidden: 1, LastAt: noon, PeerID: "x", RTT: time.Millisecond})
	got := ""
	for _, f := range e.Fields {
		got += fmt.Sprintf("%s %v|", f.Label, valueText(f.Value))
	}
	want := "Flows: 3|Sent bytes: 0|GSO batches: 0|Drop no flow: 0|Peer ID: x|Last at: 2026-11-25 12:00:00 (UTC)|State: 0|RTT: 1000000|Seen by other: false|"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	for name, want := range map[string]string{"A": "A", "AB": "AB", "aB": "a b", "ABc": "A bc", "AbC": "Ab c", "Été": "Été"} {
		if got := phrase(name); got != want {
			t.Errorf("%s: %q", name, got)
		}
	}
}
