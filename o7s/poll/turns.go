// SPDX-License-Identifier: BSD-3-Clause

package poll

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// To wake a thread on an idle processor takes 15 to 45 µs, and a question and its
// answer through two gateways wake eight. Who reads packets may therefore look for
// the next one for a while before it sleeps (DESIGN §3), if somebody waits for each:
// packets then come in turns, one in, something out, and the next one in. A stream
// is not faster if its reader hurries, so that nobody looks for it, however short its
// gaps are.
const (
	// turnsBefore is how many turns in a row must have been short.
	turnsBefore = 3
	// shortTurn is how long a turn may take, with the wake-ups that looking would
	// have saved.
	shortTurn = 500 * time.Microsecond
	// lookTime is how long one looks.
	lookTime = 300 * time.Microsecond
	// maxVain bounds the turns, 2 to the power of it, that pass without a look after
	// looks in vain.
	maxVain = 10
)

// Turns decides about one place that reads packets. The zero value is ready; one
// goroutine uses it.
type Turns struct {
	row  int // short turns in a row; negative: so many must pass
	vain int // looks in vain in a row
	came int // packets since the last call of Look
	sent uint64
	last time.Time
}

// Came notes that n packets were read.
func (t *Turns) Came(n int) { t.came += n }

// Look is called when nothing is there to be read, before a sleep. sent counts what
// was sent in answer to what came, in total. It looks for a while if that is worth it, and reports whether ready
// came true. ready should be a raw system call.
func (t *Turns) Look(sent uint64, ready func() bool) bool {
	now := time.Now()
	if !t.worth(now, sent) || !begin() {
		return false
	}
	found := look(now, ready)
	looking.Add(-1)
	t.looked(found)
	return found
}

// worth reports whether to look, after one turn more.
func (t *Turns) worth(now time.Time, sent uint64) bool {
	turn := t.came == 1 && sent != t.sent && now.Sub(t.last) < shortTurn
	t.came, t.last, t.sent = 0, now, sent
	if !turn {
		t.row = min(t.row, 0)
		return false
	}
	t.row++
	return t.row > turnsBefore
}

// looked learns from a look.
func (t *Turns) looked(found bool) {
	if found {
		t.vain = 0
		return
	}
	t.vain = min(t.vain+1, maxVain)
	t.row = -1 << t.vain
}

// look looks until ready comes true, or lookTime has passed.
func look(began time.Time, ready func() bool) bool {
	Watch()
	for !ready() {
		if time.Since(began) > lookTime {
			return false
		}
		// Others first: goroutines that have something to do by what was read, and
		// whatever else wants this processor.
		unix.RawSyscall(unix.SYS_SCHED_YIELD, 0, 0, 0)
		runtime.Gosched()
	}
	return true
}

// looking counts the goroutines of the process that look now: on half of the processors
// at most, so that those for whom they wait have some. Were none left, nobody would watch
// the runtime's poller.
var (
	looking    atomic.Int32
	maxLooking = sync.OnceValue(func() int32 { return int32(min(runtime.NumCPU(), runtime.GOMAXPROCS(0)) / 2) })
)

func begin() bool {
	if looking.Add(1) <= maxLooking() {
		return true
	}
	looking.Add(-1)
	return false
}
