// SPDX-License-Identifier: BSD-3-Clause

package dt

import (
	"encoding/binary"
	"math"

	"o7gw/o7s/qos"
)

// eidLen is the length of an EID in bytes, whatever the configuration says
// (spec 20 §3.1).
const eidLen = 8

// Header is the header (PCI) of a packet (spec 20 §3.1):
//
//	destination address | cube | TTL | ECN | destination EID
//	         A             1      1     1          8           bytes, little-endian
type Header struct {
	Dst  uint64
	Cube uint8 // as on the wire; above 2: best effort
	TTL  uint8 // remaining hops
	ECN  uint8 // congestion mark
	EID  uint64
}

// Format is the layout of headers in a layer: A, the size of its addresses, 1 to 8
// bytes.
type Format int

func (f Format) valid() bool { return f >= 1 && f <= 8 }

// Len returns the length of a header in bytes, 12 to 19.
func (f Format) Len() int { return int(f) + 3 + eidLen }

// Parse reads the header at the beginning of a packet. It reports false if the
// packet is shorter than that.
func (f Format) Parse(b []byte) (Header, bool) {
	if len(b) < f.Len() {
		return Header{}, false
	}
	return Header{Dst: f.dst(b), Cube: b[f.cubeAt()], TTL: b[f.ttlAt()], ECN: b[f.ecnAt()], EID: f.eid(b)}, true
}

// Put writes the header to b, which has at least Len bytes. Of the address the
// low A bytes are written.
func (f Format) Put(b []byte, h Header) {
	_ = b[f.Len()-1]
	// 8 bytes are there for every A, and the fields behind the address are
	// written later.
	binary.LittleEndian.PutUint64(b, h.Dst)
	b[f.cubeAt()], b[f.ttlAt()], b[f.ecnAt()] = h.Cube, h.TTL, h.ECN
	binary.LittleEndian.PutUint64(b[f.eidAt():], h.EID)
}

// Where fields are. The following are for packets that are long enough.

func (f Format) cubeAt() int { return int(f) }
func (f Format) ttlAt() int  { return int(f) + 1 }
func (f Format) ecnAt() int  { return int(f) + 2 }
func (f Format) eidAt() int  { return int(f) + 3 }

// dst reads 8 bytes, of which A are the address: the shortest header has 12.
func (f Format) dst(b []byte) uint64 {
	return binary.LittleEndian.Uint64(b) & (math.MaxUint64 >> (64 - 8*uint(f)))
}

func (f Format) eid(b []byte) uint64 { return binary.LittleEndian.Uint64(b[f.eidAt():]) }

// cube returns the cube that a number stands for.
func cube(c uint8) uint8 {
	if c >= qos.Cubes {
		return uint8(qos.BestEffort)
	}
	return c
}
