// SPDX-License-Identifier: BSD-3-Clause

package poll

import (
	"runtime"
	"testing"
	"time"
)

// played is a Turns and what happens to it.
type played struct {
	Turns
	now  time.Time
	sent uint64
}

func newPlayed() *played { return &played{now: time.Now()} }

// turns plays n turns that take so long, and returns after how many it was worth
// looking; found is what came of that.
func (p *played) turns(n int, long time.Duration, found bool) (looks int) {
	for range n {
		p.now = p.now.Add(long)
		p.sent++
		p.Came(1)
		if p.worth(p.now, p.sent) {
			looks++
			p.looked(found)
		}
	}
	return looks
}

const short = shortTurn / 2

func TestTurnsAreLookedFor(t *testing.T) {
	p := newPlayed()
	// The first has no turn before it.
	if n := p.turns(1+turnsBefore, short, true); n != 0 {
		t.Errorf("looked %d times without a reason", n)
	}
	if n := p.turns(5, short, true); n != 5 {
		t.Errorf("looked %d times in 5 turns", n)
	}
	if n := p.turns(100, shortTurn, true); n != 0 {
		t.Errorf("looked %d times in 100 long turns", n)
	}
}

func TestStreamsAreNot(t *testing.T) {
	for name, read := range map[string]func(i uint64) (came int, sent uint64){
		"packets without answers": func(uint64) (int, uint64) { return 1, 0 },
		"several at a time":       func(i uint64) (int, uint64) { return 2, i },
		"an answer for two":       func(i uint64) (int, uint64) { return 1, i / 2 },
		"nothing came":            func(i uint64) (int, uint64) { return 0, i },
	} {
		p := newPlayed()
		for i := range uint64(100) {
			p.now = p.now.Add(short)
			came, sent := read(i)
			p.Came(came)
			if p.worth(p.now, sent) {
				t.Errorf("%s: looked", name)
				break
			}
		}
	}
}

// Looks in vain are followed by ever more turns without one.
func TestLooksInVainBackOff(t *testing.T) {
	p := newPlayed()
	p.turns(1+turnsBefore, short, true)
	for want := 2; want <= 1<<(maxVain+2); want *= 2 {
		if n := p.turns(1, short, false); n != 1 {
			t.Fatal("did not look again")
		}
		if n := p.turns(min(want, 1<<maxVain)+turnsBefore, short, false); n != 0 {
			t.Fatalf("looked %d times in the %d turns after one in vain", n, want)
		}
	}
	if n := p.turns(3, short, true); n != 3 || p.vain != 0 {
		t.Errorf("gave up for good: %d looks", n)
	}
}

func TestLookEnds(t *testing.T) {
	looks := 0
	if !look(time.Now(), func() bool { looks++; return true }) || looks != 1 {
		t.Errorf("looked %d times for what was there", looks)
	}
	began := time.Now()
	if look(began, func() bool { return false }) || time.Since(began) < lookTime {
		t.Errorf("gave up after %v", time.Since(began))
	}
}

// One processor of the scheduler is left for others.
func TestFewLookAtOnce(t *testing.T) {
	n := int32(0)
	for begin() {
		n++
	}
	looking.Add(-n)
	if n != maxLooking() || int(n) >= runtime.GOMAXPROCS(0) {
		t.Errorf("%d may look, of %d processors", n, runtime.GOMAXPROCS(0))
	}
}
