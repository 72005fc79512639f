// SPDX-License-Identifier: BSD-3-Clause

// Package packet holds the buffers in which packets travel through a node
// (DESIGN §3): one backing array with headroom for the headers of a deep
// stack in front of the payload and tailroom for a tag and a CRC behind it,
// so that every layer adds its bytes in place.
//
// Start with Get and Buffer.Release; hot paths use GetBatch and ReleaseBatch.
//
// A buffer has exactly one owner. Passing it to a function that is documented
// to take ownership ends the caller's right to touch it; the last owner
// releases it.
package packet

const (
	// Headroom is the space, in bytes, in front of the payload of a fresh
	// buffer: enough for DT headers of several layers, an Ethernet header,
	// an FRCP header and an IV.
	Headroom = 128
	// Tailroom is the space, in bytes, that a fresh buffer keeps behind the
	// requested payload: an AEAD tag, a CRC and some alignment.
	Tailroom = 64
	// BatchSize is the usual number of packets handed on together.
	BatchSize = 128
	// MaxPayload is the largest payload, in bytes, that Get accepts.
	MaxPayload = 65536
)

// Buffer is one packet. The zero value is unusable; buffers come from Get.
type Buffer struct {
	buf      []byte // whole backing array
	off, end int    // the packet is buf[off:end]
	class    uint8  // index of its pool
	cube     uint8  // see SetCube
	free     bool   // in a pool; catches double release
}

// Bytes returns the packet, len b.Len(). The slice is valid until the buffer
// changes or is released.
func (b *Buffer) Bytes() []byte { return b.buf[b.off:b.end:b.end] }

// Len returns the length of the packet in bytes.
func (b *Buffer) Len() int { return b.end - b.off }

// Headroom returns the bytes free in front of the packet.
func (b *Buffer) Headroom() int { return b.off }

// Tailroom returns the bytes free behind the packet.
func (b *Buffer) Tailroom() int { return len(b.buf) - b.end }

// Backing returns the whole backing array and where the packet begins in it,
// for callers that read from a device with an offset. After writing n bytes
// at buf[off:], call SetLen(n).
func (b *Buffer) Backing() (buf []byte, off int) { return b.buf, b.off }

// SetLen makes the packet n bytes long from its present start. It panics if
// the backing array is shorter: that is a bug of the caller, not bad input.
func (b *Buffer) SetLen(n int) {
	if n < 0 || b.off+n > len(b.buf) {
		panic("packet: SetLen out of range")
	}
	b.end = b.off + n
}

// Prepend makes n bytes of room in front of the packet and returns them for
// the caller to fill. If the headroom is too small the packet moves to a
// larger backing array.
func (b *Buffer) Prepend(n int) []byte {
	if n > b.off {
		b.relocate(n, 0)
	}
	b.off -= n
	return b.buf[b.off : b.off+n : b.off+n]
}

// Extend makes n bytes of room behind the packet and returns them for the
// caller to fill, moving the packet if the tailroom is too small.
func (b *Buffer) Extend(n int) []byte {
	if b.end+n > len(b.buf) {
		b.relocate(0, n)
	}
	b.end += n
	return b.buf[b.end-n : b.end : b.end]
}

// Append copies p behind the packet.
func (b *Buffer) Append(p []byte) { copy(b.Extend(len(p)), p) }

// TrimFront removes n bytes from the front (a header that was read); it
// reports false, and changes nothing, if the packet is shorter.
func (b *Buffer) TrimFront(n int) bool {
	if n < 0 || n > b.Len() {
		return false
	}
	b.off += n
	return true
}

// TrimBack removes n bytes from the end (a tag or CRC that was checked); it
// reports false, and changes nothing, if the packet is shorter.
func (b *Buffer) TrimBack(n int) bool {
	if n < 0 || n > b.Len() {
		return false
	}
	b.end -= n
	return true
}

// SetCube marks the packet with the QoS cube (package qos) in which a layer
// shall carry it. The mark stays with the buffer inside a node, through all layers, and is 0,
// best effort, in a fresh one. It raises a packet above the cube of its flow,
// never below.
func (b *Buffer) SetCube(c uint8) { b.cube = c }

// Cube returns the mark that SetCube made.
func (b *Buffer) Cube() uint8 { return b.cube }

// Clone returns a copy of the packet, with its mark, in a fresh buffer.
func (b *Buffer) Clone() *Buffer {
	c := Get(b.Len())
	c.Append(b.Bytes())
	c.cube = b.cube
	return c
}

// relocate moves the packet to a backing array with front and back bytes of
// room beyond the usual ones. It is the slow path of a stack deeper than
// Headroom and allocates.
func (b *Buffer) relocate(front, back int) {
	off := Headroom + front
	buf := make([]byte, off+b.Len()+back+Tailroom)
	copy(buf[off:], b.Bytes())
	b.end = off + b.Len()
	b.off = off
	b.buf = buf
	b.class = unpooled
}
