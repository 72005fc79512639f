// SPDX-License-Identifier: BSD-3-Clause

package dht

import (
	"errors"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
)

// Errors of the parsers.
var (
	errCutOff   = errors.New("field cut off")
	errWireType = errors.New("field of another wire type")
	errRequired = errors.New("required field missing")
)

// field is one field of a protobuf message. Of a varint there is num, of bytes
// data, which is part of the message.
type field struct {
	no   protowire.Number
	typ  protowire.Type
	num  uint64
	data []byte
}

// nextField reads the field at the beginning of b and returns how long it is.
func nextField(b []byte) (f field, n int, err error) {
	no, typ, n := protowire.ConsumeTag(b)
	if n < 0 {
		return f, 0, errCutOff
	}
	f.no, f.typ = no, typ
	var m int
	switch typ {
	case protowire.VarintType:
		f.num, m = protowire.ConsumeVarint(b[n:])
	case protowire.BytesType:
		f.data, m = protowire.ConsumeBytes(b[n:])
	default: // of unknown fields only
		m = protowire.ConsumeFieldValue(no, typ, b[n:])
	}
	if m < 0 {
		return f, 0, errCutOff
	}
	return f, n + m, nil
}

// want is the wire type of each known field, from number 1 on.
type want []protowire.Type

const (
	varintType = protowire.VarintType
	bytesType  = protowire.BytesType
)

// parseFields calls known for each field of b that w lists, and skips others. It
// fails unless the first required fields were there, each of its type.
func parseFields(b []byte, w want, required int, known func(field) error) error {
	var seen uint
	for len(b) > 0 {
		f, n, err := nextField(b)
		if err != nil {
			return err
		}
		b = b[n:]
		i := int(f.no) - 1
		if i >= len(w) {
			continue
		}
		if f.typ != w[i] {
			return fmt.Errorf("field %d: %w", f.no, errWireType)
		}
		if err := known(f); err != nil {
			return fmt.Errorf("field %d: %w", f.no, err)
		}
		seen |= 1 << i
	}
	if all := uint(1)<<required - 1; seen&all != all {
		return errRequired
	}
	return nil
}

// appendVarint appends a field of type uint32 or uint64.
func appendVarint(b []byte, no protowire.Number, v uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(b, no, varintType), v)
}

// appendBytes appends a field of type bytes.
func appendBytes[T []byte | string](b []byte, no protowire.Number, v T) []byte {
	b = protowire.AppendVarint(protowire.AppendTag(b, no, bytesType), uint64(len(v)))
	return append(b, v...)
}

// appendHead appends what stands in front of a sub-message of n bytes.
func appendHead(b []byte, no protowire.Number, n int) []byte {
	return protowire.AppendVarint(protowire.AppendTag(b, no, bytesType), uint64(n))
}

// Sizes of fields with numbers below 16.
func varintSize(v uint64) int { return 1 + protowire.SizeVarint(v) }
func bytesSize(n int) int     { return 1 + protowire.SizeBytes(n) }
