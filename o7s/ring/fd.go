// SPDX-License-Identifier: BSD-3-Clause

package ring

// FD is a descriptor that belongs to whoever has the FD, who closes it once. The
// zero FD is none. It is no os.File because most of them only pass through: that
// would cost three system calls each.
type FD struct {
	n int32 // descriptor + 1
}

// NewFD takes over an open descriptor.
func NewFD(fd int) FD { return FD{int32(fd) + 1} }

// Int returns the number of the descriptor, -1 if there is none.
func (f FD) Int() int { return int(f.n) - 1 }

// Valid reports whether there is a descriptor.
func (f FD) Valid() bool { return f.n > 0 }

// Close closes the descriptor, if there is one.
func (f FD) Close() {
	if f.Valid() {
		rawClose(f.Int())
	}
}
