// SPDX-License-Identifier: BSD-3-Clause

package policy

import (
	"testing"
	"time"

	"o7gw/proxy/session"
)

var noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

// admit admits count sessions at a time and returns how many it got.
func admit(l *Limiter, now time.Time, peer Peer, count int) (got []func()) {
	for range count {
		if release, s := l.Admit(now, peer); s == session.OK {
			got = append(got, release)
		}
	}
	return got
}

func TestSessions(t *testing.T) {
	l := NewLimiter(Limits{Sessions: 5, SessionsPerPeer: 3})
	a := admit(l, noon, alice, 10)
	b := admit(l, noon, nobody, 10)
	if len(a) != 3 || len(b) != 2 {
		t.Fatalf("%d and %d sessions, want 3 and 2", len(a), len(b))
	}
	a[0]()
	a[0]() // once
	if got := len(admit(l, noon, Peer{Name: "bob", Layer: "net"}, 10)); got != 1 {
		t.Errorf("%d sessions in the place of one", got)
	}
	for _, release := range append(a[1:], b...) {
		release()
	}
	if l.open != 1 || len(l.peers) != 1 {
		t.Errorf("%d open, %d peers", l.open, len(l.peers))
	}
}

// TestStrangers: peers without certificate count by their layer, and a name is
// no layer.
func TestStrangers(t *testing.T) {
	l := NewLimiter(Limits{SessionsPerPeer: 1})
	for _, p := range []Peer{{}, {Layer: "net"}, {Layer: "lan"}, {Name: "net"}, {Name: "lan", Layer: "net"}} {
		if got := len(admit(l, noon, p, 2)); got != 1 {
			t.Errorf("%+v: %d sessions", p, got)
		}
	}
	if got := len(admit(l, noon, Peer{Name: "net", Layer: "lan"}, 1)); got != 0 {
		t.Error("the same peer through another layer counts as another")
	}
}

func TestRate(t *testing.T) {
	l := NewLimiter(Limits{Rate: 10, Burst: 4})
	if got := len(admit(l, noon, alice, 100)); got != 4 {
		t.Fatalf("%d at once", got)
	}
	if got := len(admit(l, noon.Add(250*time.Millisecond), alice, 100)); got != 2 {
		t.Errorf("%d after 250 ms", got)
	}
	if got := len(admit(l, noon, alice, 100)); got != 0 {
		t.Errorf("%d when the clock went back", got)
	}
	if got := len(admit(l, noon.Add(time.Hour), alice, 100)); got != 4 {
		t.Errorf("%d after an hour", got)
	}
}

// TestSet: new limits hold for new sessions, and are no way to fill the bucket.
func TestSet(t *testing.T) {
	l := NewLimiter(Limits{Sessions: 2, Rate: 1, Burst: 8})
	first := admit(l, noon, alice, 10)
	l.Set(Limits{Sessions: 1, Rate: 1, Burst: 8})
	first[0]()
	if got := len(admit(l, noon, alice, 10)); got != 0 {
		t.Errorf("%d sessions above the new limit", got)
	}
	l.Set(Limits{Rate: 1, Burst: 8})
	if got := len(admit(l, noon, alice, 10)); got != 6 {
		t.Errorf("%d tokens, want the 6 that were left", got)
	}
	l.Set(Limits{})
	if got := len(admit(l, noon, alice, 100)); got != 100 {
		t.Errorf("%d without limits", got)
	}
}

func BenchmarkAdmit(b *testing.B) {
	l := NewLimiter(Limits{Sessions: 1000, SessionsPerPeer: 1000, Rate: 1e9})
	b.ReportAllocs()
	for b.Loop() {
		release, s := l.Admit(noon, alice)
		if s != session.OK {
			b.Fatal(s)
		}
		release()
		noon = noon.Add(time.Second)
	}
}
