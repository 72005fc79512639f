// SPDX-License-Identifier: BSD-3-Clause

package ring

import (
	"cmp"
	"slices"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// limbo is the memory of closed Ends that is still mapped. Nobody uses it again.
// Unmapping makes every processor that runs the process forget its translations,
// which is dearer than all the rest of closing an End. As a rule the memory of Ends
// that were made one after the other lies side by side, and goes in one call.
var limbo struct {
	mu    sync.Mutex
	mems  [][]byte
	timer *time.Timer // runs while there is something, but not enough
}

const (
	// limboLength is how much is unmapped at once.
	limboLength = 16
	// limboTime is how long it may wait for more.
	limboTime = 50 * time.Millisecond
)

// unmap unmaps memory, soon.
func unmap(mem []byte) {
	limbo.mu.Lock()
	limbo.mems = append(limbo.mems, mem)
	n := len(limbo.mems)
	switch {
	case n >= limboLength:
	case limbo.timer == nil:
		limbo.timer = time.AfterFunc(limboTime, unmapAll)
	case n == 1:
		limbo.timer.Reset(limboTime)
	}
	limbo.mu.Unlock()
	if n >= limboLength {
		unmapAll()
	}
}

// unmapAll empties limbo.
func unmapAll() {
	limbo.mu.Lock()
	mems := limbo.mems
	limbo.mems = nil
	limbo.mu.Unlock()
	at := func(mem []byte) uintptr { return uintptr(unsafe.Pointer(unsafe.SliceData(mem))) }
	slices.SortFunc(mems, func(a, b []byte) int { return cmp.Compare(at(a), at(b)) })
	for len(mems) > 0 {
		first, n := mems[0], uintptr(len(mems[0]))
		mems = mems[1:]
		for len(mems) > 0 && at(mems[0]) == at(first)+n {
			n += uintptr(len(mems[0]))
			mems = mems[1:]
		}
		// It fails only if the memory was not mapped.
		_ = unix.MunmapPtr(unsafe.Pointer(unsafe.SliceData(first)), n)
	}
}
