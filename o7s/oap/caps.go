// SPDX-License-Identifier: BSD-3-Clause

package oap

import (
	"encoding/binary"

	"o7gw/o7s/layer"
)

// The capability list (docs/extensions.md): magic, version, then entries of
// type, length, value.
const (
	capsMagic   = "o7"
	capsVersion = 1
	capsFlags   = 1 // entry: the bits of layer.Caps

	// MaxCaps is the largest capability list in bytes: C peers survive it
	// in every message (spec 60 §2).
	MaxCaps = 64
)

// AppendCaps appends a capability list to dst, 9 bytes.
func AppendCaps(dst []byte, c layer.Caps) []byte {
	dst = append(dst, capsMagic...)
	dst = append(dst, capsVersion, capsFlags, 4)
	return binary.BigEndian.AppendUint32(dst, uint32(c))
}

// ParseCaps reads the data field of a message. ok is false if it is no
// capability list, which means a peer without extensions. Bits and entries of
// later builds do no harm: unknown bits stay set in c and mean nothing, unknown
// entries are skipped.
func ParseCaps(data []byte) (c layer.Caps, ok bool) {
	if len(data) < 3 || len(data) > MaxCaps || string(data[:2]) != capsMagic || data[2] != capsVersion {
		return 0, false
	}
	for rest := data[3:]; len(rest) > 0; {
		if len(rest) < 2 || len(rest)-2 < int(rest[1]) {
			return 0, false
		}
		value := rest[2 : 2+int(rest[1])]
		if rest[0] == capsFlags {
			// Bits that this build has no room for fall off at the top.
			for _, b := range value {
				c = c<<8 | layer.Caps(b)
			}
		}
		rest = rest[2+len(value):]
	}
	return c, true
}
