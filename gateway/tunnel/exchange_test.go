// SPDX-License-Identifier: BSD-3-Clause

package tunnel

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"
)

// Two exchanges over a link that loses two packets of three and repeats some.
func TestExchangeOverLossyLink(t *testing.T) {
	var seed [32]byte
	rng := rand.New(rand.NewChaCha8(seed))
	var many []netip.Prefix
	for i := range 300 {
		many = append(many, netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i >> 8), byte(i), 0}), 24))
	}
	var a, b exchange
	a.flowMTU, b.flowMTU = 600, 600
	now := time.Unix(0, 0)
	a.announce(now, many, 600)
	b.announce(now, pfx("fd00:1::/64"), 500)
	none := func([]netip.Prefix) int { return 0 }
	one := func(p []netip.Prefix) int { return 1 }
	lossy := func(b []byte, to *exchange, refuse func([]netip.Prefix) int) (reply []byte) {
		if len(b) > 600 {
			t.Fatalf("control packet of %d bytes", len(b))
		}
		if rng.IntN(3) > 0 {
			return nil
		}
		for range 1 + rng.IntN(2) {
			r, _, err := to.handle(b, refuse)
			if err != nil {
				t.Fatal(err)
			}
			reply = r
		}
		return reply
	}
	rounds := 0
	for !a.done() || !b.done() {
		if rounds++; rounds > 200 {
			t.Fatalf("not done: %d and %d parts pending", a.pending, b.pending)
		}
		sa, na := a.poll(now)
		sb, nb := b.poll(now)
		for _, p := range sa {
			if r := lossy(p, &b, none); r != nil {
				lossy(r, &a, none)
			}
		}
		for _, p := range sb {
			if r := lossy(p, &a, one); r != nil {
				lossy(r, &b, none)
			}
		}
		next := na
		if na.IsZero() || !nb.IsZero() && nb.Before(na) {
			next = nb
		}
		if !next.IsZero() {
			now = next
		}
	}
	got := slices.SortedFunc(slices.Values(b.theirs), func(x, y netip.Prefix) int { return x.Addr().Compare(y.Addr()) })
	if !slices.Equal(got, many) || b.theirMTU != 600 || a.theirMTU != 500 {
		t.Errorf("%d prefixes arrived, MTUs %d %d", len(got), a.theirMTU, b.theirMTU)
	}
	if b.refused != 1 || a.refused != 0 {
		t.Errorf("refused %d and %d", a.refused, b.refused)
	}
	if s, next := a.poll(now.Add(time.Hour)); len(s) > 0 || !next.IsZero() {
		t.Error("sends although all is acknowledged")
	}
}

func TestOldAnnouncementIsIgnored(t *testing.T) {
	none := func([]netip.Prefix) int { return 0 }
	var x exchange
	x.flowMTU = 1400
	for _, c := range []struct {
		m       message
		changed bool
	}{
		{message{typ: typeAnnounce, parts: 1, seq: 5, prefixes: pfx("10.0.0.0/8")}, true},
		{message{typ: typeAnnounce, parts: 1, seq: 5, prefixes: pfx("11.0.0.0/8")}, false}, // repeated
		{message{typ: typeAnnounce, parts: 1, seq: 4, prefixes: pfx("12.0.0.0/8")}, false},
		{message{typ: typeAnnounce, parts: 2, seq: 6, prefixes: pfx("13.0.0.0/8")}, false}, // half of it
		{message{typ: typeAnnounce, parts: 3, part: 2, seq: 6}, false},                     // contradicts
		{message{typ: typeAnnounce, parts: 2, part: 1, seq: 6}, true},
	} {
		_, changed, err := x.handle(c.m.append(nil), none)
		if err != nil || changed != c.changed {
			t.Errorf("%+v: %v, %v", c.m, changed, err)
		}
	}
	if !slices.Equal(x.theirs, pfx("13.0.0.0/8")) {
		t.Errorf("prefixes %v", x.theirs)
	}
}
