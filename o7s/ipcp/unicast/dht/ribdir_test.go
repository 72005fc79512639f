// SPDX-License-Identifier: BSD-3-Clause

package dht

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"o7gw/o7s/rib"
)

func read(t *testing.T, d rib.Dir, name string) string {
	t.Helper()
	e, ok := d.Entry(name)
	if !ok {
		t.Fatalf("no entry %q", name)
	}
	if b, err := json.Marshal(e); err != nil || !json.Valid(b) {
		t.Errorf("%s as JSON: %s, %v", name, b, err)
	}
	return string(e.AppendText(nil))
}

func TestRIB(t *testing.T) {
	s := newStage(t)
	dir := Dir(func() Snapshot { return s.d.Snapshot(s.now) }, func(uint64) string { return "1e.a2.b6.9e" })
	if n := dir.Names(); !slices.Equal(n, []string{"contacts", "counters", "database", "stats"}) {
		t.Errorf("names %q", n)
	}
	stats := read(t, dir, "stats")
	if len(stats) != 545 { // as the prototype's (spec 40 §7.6)
		t.Errorf("stats has %d bytes:\n%s", len(stats), stats)
	}
	if got := read(t, dir, "database"); got != "  No entries.\n" {
		t.Errorf("empty database:\n%s", got)
	}
	s.meet(7)
	s.d.Register(s.now, hashOf("own"))
	s.pass(time.Second)
	s.from(9, message{kind: store, store: storeMsg{[]byte(stageKey), value(9), uint32(s.now.Unix() + 100)}})
	s.from(9, message{kind: store, store: storeMsg{[]byte(stageKey), value(10), uint32(s.now.Unix() + 200)}})

	want := `DHT: 0001020304050607
  Created: 2026-09-21 14:13:20 (UTC)
  Address: 1e.a2.b6.9e
  Kademlia parameters:
     Number of concurrent requests (alpha):          3
     Number of replicas (k):                         8
     Expiry time for values (s):                 86400
     Refresh time for contacts (s):                900
     Replication time for values (s):              900
  Number of keys:                                    2
  Number of local values:                            1
  Number of non-local values:                        2
`
	if got := read(t, dir, "stats"); got != want {
		t.Errorf("stats\n%s\nwant\n%s", got, want)
	}
	want = `  Number of keys:                                    2
  Number of local values:                            1
  Number of non-local values:                        2
Key: K47cc398a83c553ff
  Local entries:
  Non-local entries:
    V000000000000000a, t_replicated=2026-09-21 14:13:21 (UTC), t_exp=2026-09-21 14:16:41 (UTC)
    V0000000000000009, t_replicated=2026-09-21 14:13:21 (UTC), t_exp=2026-09-21 14:15:01 (UTC)
`
	got := read(t, dir, "database")
	if !strings.Contains(got, want[strings.Index(want, "Key"):]) || !strings.HasPrefix(got, want[:strings.Index(want, "Key")]) ||
		!strings.Contains(got, "  Local entries:\n    V0000000000000001, t_replicated=2026-09-21 14:13:2") {
		t.Errorf("database\n%s", got)
	}
	if got := read(t, dir, "contacts"); !strings.Contains(got, short(peerID(7))+": 1e.a2.b6.9e, in use, heard=2026-09-21 14:13:20 (UTC), failed=1") {
		t.Errorf("contacts\n%s", got)
	}
	counters := read(t, dir, "counters")
	for _, line := range []string{"Outstanding requests:", "Failed look-ups of names:", "Received STORE:", "Malformed messages:"} {
		if !strings.Contains(counters, line) {
			t.Errorf("no %q in counters\n%s", line, counters)
		}
	}
}
