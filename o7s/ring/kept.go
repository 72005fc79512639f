// SPDX-License-Identifier: BSD-3-Clause

package ring

import (
	"os"
	"sync/atomic"
	"syscall"
)

// Kept is what a closed End leaves, memory and bell, for another End: making and
// unmaking them is most of the work of a short flow. Both sides must have agreed on
// it, and neither may be in use:
//
//	Close of both Ends ─▶ both Kept ─▶ one side: Renew ─▶ then the other: Open
//
// How they agree is not the ring's matter. A side that lies harms only itself:
// an End trusts nothing in the memory, ever.
type Kept struct {
	mem  []byte
	size int
	side Side
	fd   int
	file *os.File // as in doorbell
	raw  syscall.RawConn
}

// maxKept is how many bytes a ring may have carried in each direction to be kept:
// the pages that it has touched stay in memory.
const maxKept = 32 << 10

// Keep has f called with what the End leaves when it is closed, in the goroutine
// that leaves it last, unless the other side has hung up or much was carried. Call
// it before anything else. The other side then learns of Close from the memory and the bell,
// which does not hang up.
func (e *End) Keep(f func(*Kept)) { e.keep = f }

// leftover returns what a closed End leaves, nil if that is of no more use. Nobody
// else uses the End.
func (e *End) leftover() *Kept {
	if e.keep == nil || e.bell.hungUp.Load() || e.corrupt.Load() || max(e.out.head, e.in.head, e.in.tail) > maxKept {
		return nil
	}
	return &Kept{mem: e.mem, size: e.size, side: e.side, fd: e.bell.fd, file: e.bell.file, raw: e.bell.raw}
}

// Open returns the End of the side that does not call Renew, after the other has.
func (k *Kept) Open() *End {
	e := newEnd(k.mem, k.size, k.side, k.fd)
	e.bell.file, e.bell.raw = k.file, k.raw
	return e
}

// Renew returns an End of memory that looks like new to both sides.
func (k *Kept) Renew() *End {
	for _, s := range []Side{SideA, SideB} {
		sh, _ := direction(k.mem, k.size, s)
		for _, w := range []*atomic.Uint64{sh.head, sh.jump, sh.tail} {
			w.Store(0)
		}
		sh.rsleep.Store(0)
		sh.wsleep.Store(0)
		stateWord(k.mem, s).Store(0)
	}
	return k.Open()
}

// Close gives memory and bell back: the other side hears the bell hang up.
func (k *Kept) Close() {
	if k.file != nil {
		k.file.Close()
	} else {
		rawClose(k.fd)
	}
	unmap(k.mem)
}
