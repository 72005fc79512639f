// SPDX-License-Identifier: BSD-3-Clause

package main

import "encoding/binary"

// kind is the type of a test. It is the first message of a flow, 4 bytes in the
// host order of the prototype, which is little-endian (spec 40 §6.3).
type kind uint32

const (
	uni kind = 0 // the client sends
	bi  kind = 1 // and the server sends everything back
)

const configSize = 4 // bytes

// String returns the argument of --test.
func (k kind) String() string {
	if k == bi {
		return "bi"
	}
	return "uni"
}

// title is the line with which both ends begin.
func (k kind) title() string {
	if k == bi {
		return "Doing a bidirectional test.\n"
	}
	return "Doing a unidirectional test.\n"
}

func (k kind) config() []byte { return binary.LittleEndian.AppendUint32(nil, uint32(k)) }

// parseConfig reads the first message of a flow.
func parseConfig(p []byte) (kind, bool) {
	if len(p) != configSize {
		return 0, false
	}
	k := kind(binary.LittleEndian.Uint32(p))
	return k, k <= bi
}

// Data messages begin with their number, in the same order, and end with zeros.
const numberSize = 4 // bytes

// putNumber numbers a message. Numbers wrap, in a long flood.
func putNumber(p []byte, n uint64) { binary.LittleEndian.PutUint32(p, uint32(n)) }

// number returns the number of a message, false if it has none.
func number(p []byte) (uint32, bool) {
	if len(p) < numberSize {
		return 0, false
	}
	return binary.LittleEndian.Uint32(p), true
}
