// SPDX-License-Identifier: BSD-3-Clause

package flow

// SetNonblock makes reading and writing calls return ErrWouldBlock where they
// would have to wait, also those that wait now.
func (f *Flow) SetNonblock(read, write bool) {
	f.set(readNoWait, read)
	f.set(writeNoWait, write)
	f.low.wakeReaders()
	f.low.wakeWriters()
}

// SetReadOnly makes writing calls fail with ErrReadOnly.
func (f *Flow) SetReadOnly(on bool) { f.set(noWrite, on) }

// SetNoPartial makes Read fail with ErrTooLong, and drop the packet, if it does not
// fit.
func (f *Flow) SetNoPartial(on bool) { f.set(noPartial, on) }
