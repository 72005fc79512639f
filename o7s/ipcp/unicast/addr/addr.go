// SPDX-License-Identifier: BSD-3-Clause

// Package addr is the flat address policy of unicast layers (spec 20 §2): an
// address is 32 random bits, and 0 is none. Everything else in a layer takes
// addresses as numbers and may carry up to 64 bits.
//
// Flat draws an address; Text and Parse are its text form.
package addr

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// Size is the length in bytes of the addresses that Flat draws, and the
// only one that the prototype knows.
const Size = 4

// draws is how often Flat tries: with a working source it ends at the
// first, so more zeros than this are no accident.
const draws = 16

// Flat draws an address from r, which is normally crypto/rand's Reader.
func Flat(r io.Reader) (uint64, error) {
	var b [Size]byte
	for range draws {
		if _, err := io.ReadFull(r, b[:]); err != nil {
			return 0, fmt.Errorf("draw address: %w", err)
		}
		if a := binary.LittleEndian.Uint32(b[:]); a != 0 {
			return uint64(a), nil
		}
	}
	return 0, errors.New("draw address: the source yields only zeros")
}

// Text returns the text form: the bytes as the data transfer header carries
// them, least significant first, in hexadecimal. 0x11223344 is "44.33.22.11".
// An address of more than 32 bits has eight parts.
func Text(a uint64) string {
	n := Size
	if a>>(8*Size) != 0 {
		n = 8
	}
	b := make([]byte, 0, 3*8)
	for i := range n {
		if i > 0 {
			b = append(b, '.')
		}
		const digits = "0123456789abcdef"
		c := byte(a >> (8 * i))
		b = append(b, digits[c>>4], digits[c&0xf])
	}
	return string(b)
}

// Parse reads the text form: four or eight parts of two hexadecimal digits.
// The address 0 is refused.
func Parse(s string) (uint64, error) {
	parts := strings.Split(s, ".")
	if len(parts) != Size && len(parts) != 8 {
		return 0, fmt.Errorf("parse address %q: not 4 or 8 bytes", s)
	}
	var a uint64
	for i, p := range parts {
		c, err := strconv.ParseUint(p, 16, 8)
		if err != nil || len(p) != 2 {
			return 0, fmt.Errorf("parse address %q: %q is not two hexadecimal digits", s, p)
		}
		a |= c << (8 * i)
	}
	if a == 0 {
		return 0, fmt.Errorf("parse address %q: 0 is no address", s)
	}
	return a, nil
}
