// SPDX-License-Identifier: BSD-3-Clause

package frcp

import "sync/atomic"

// Budget is the memory, in bytes, that the receive windows of several Endpoints may promise
// their peers beyond what each has at first: a reader who stops leaves a whole
// window waiting. A nil Budget has no bound. Its methods may be called from any goroutine.
type Budget struct{ left atomic.Int64 }

// NewBudget returns a Budget.
func NewBudget(bytes int64) *Budget {
	b := new(Budget)
	b.left.Store(bytes)
	return b
}

// take reports whether that much was left, and takes it.
func (b *Budget) take(n int64) bool {
	if b == nil {
		return true
	}
	if b.left.Add(-n) < 0 {
		b.left.Add(n)
		return false
	}
	return true
}

func (b *Budget) give(n int64) {
	if b != nil {
		b.left.Add(n)
	}
}
