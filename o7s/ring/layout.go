// SPDX-License-Identifier: BSD-3-Clause

package ring

import (
	"sync/atomic"
	"unsafe"
)

// Layout of the memory file. Words that different sides write are two cache
// lines apart, since processors fetch lines in pairs.
//
//	   0  magic, size of a ring
//	 128  direction 0: head and jump | +128 tail | +256 reader sleeps | +384 writer sleeps
//	 640  direction 1: the same
//	1152  state of side A
//	1280  state of side B
//	1408  ring 0, then ring 1
//
// The rings begin in the first page on purpose: a flow with little traffic
// stays within the first bytes of each ring (see producer.jump) and so
// occupies two pages.
const (
	offMagic  = 0
	offSize   = 8
	offDir    = 128
	dirBytes  = 512
	offHead   = 0
	offJump   = 8
	offTail   = 128
	offRSleep = 256
	offWSleep = 384
	offState  = 1152
	stateGap  = 128
	offData   = 1408

	magic    = 0x3130676e6972376f // "o7ring01"
	pageBits = 12
	headerLn = 4 // bytes of the length in front of a packet
)

// Bits of the state word of a side.
const (
	stateClosed = 1 << iota
	stateDown
	stateFinished // writes nothing more
)

// fileSize returns the size of the memory file with rings of size bytes.
func fileSize(size int) int64 {
	const page = 1 << pageBits
	return (int64(offData) + 2*int64(size) + page - 1) &^ (page - 1)
}

// record returns the bytes that a packet of n bytes takes in a ring.
func record(n int) uint64 { return (uint64(n) + headerLn + 7) &^ 7 }

// lines are the shared words of one direction.
type lines struct {
	head   *atomic.Uint64 // written by the producer: end of the records
	jump   *atomic.Uint64 // written by the producer: records go on here
	tail   *atomic.Uint64 // written by the consumer: begin of the unread records
	rsleep *atomic.Uint32 // set by the consumer, cleared by the producer when it rings
	wsleep *atomic.Uint32 // set by the producer, cleared by the consumer when it rings
}

func word64(mem []byte, off int) *atomic.Uint64 {
	return (*atomic.Uint64)(unsafe.Pointer(&mem[off]))
}

func word32(mem []byte, off int) *atomic.Uint32 {
	return (*atomic.Uint32)(unsafe.Pointer(&mem[off]))
}

// direction returns the words and the bytes of the ring into which side s
// writes.
func direction(mem []byte, size int, s Side) (lines, []byte) {
	base := offDir + int(s)*dirBytes
	data := offData + int(s)*size
	return lines{
		head:   word64(mem, base+offHead),
		jump:   word64(mem, base+offJump),
		tail:   word64(mem, base+offTail),
		rsleep: word32(mem, base+offRSleep),
		wsleep: word32(mem, base+offWSleep),
	}, mem[data : data+size : data+size]
}

func stateWord(mem []byte, s Side) *atomic.Uint32 {
	return word32(mem, offState+int(s)*stateGap)
}
