// SPDX-License-Identifier: BSD-3-Clause

package oep

import (
	"errors"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
)

// maxMessage is the longest message, in bytes: a prototype reads into 1024.
const maxMessage = 1023

var errMessage = errors.New("malformed enrolment message")

// field is a protobuf field as it came: a number, or bytes.
type field struct {
	num    protowire.Number
	bytes  []byte // of wire type 2
	number uint64 // of wire type 0
	typ    protowire.Type
}

// fields calls each for the fields of a message in order. Those of other wire
// types are skipped, as nothing here has them.
func fields(b []byte, each func(f field) error) error {
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return fmt.Errorf("%w: %w", errMessage, protowire.ParseError(n))
		}
		size := protowire.ConsumeFieldValue(num, typ, b[n:])
		if size < 0 {
			return fmt.Errorf("%w: %w", errMessage, protowire.ParseError(size))
		}
		f := field{num: num, typ: typ}
		switch typ {
		case protowire.BytesType:
			f.bytes, _ = protowire.ConsumeBytes(b[n:])
		case protowire.VarintType:
			f.number, _ = protowire.ConsumeVarint(b[n:])
		}
		b = b[n+size:]
		if typ != protowire.BytesType && typ != protowire.VarintType {
			continue
		}
		if err := each(f); err != nil {
			return err
		}
	}
	return nil
}

// reader takes the fields of one message: each has a number, a wire type and
// a place. Unknown fields are skipped; of a repeated one the last counts.
type reader struct {
	what     string // name of the message
	numbers  map[protowire.Number]func(uint64) error
	messages map[protowire.Number]func([]byte) error
	required []protowire.Number
}

func (r reader) read(b []byte) error {
	if len(b) > maxMessage {
		return fmt.Errorf("%s: %d bytes are more than %d: %w", r.what, len(b), maxMessage, errMessage)
	}
	seen := map[protowire.Number]bool{}
	err := fields(b, func(f field) error {
		number, bytes := r.numbers[f.num], r.messages[f.num]
		switch {
		case number == nil && bytes == nil:
			return nil
		case number != nil && f.typ != protowire.VarintType, bytes != nil && f.typ != protowire.BytesType:
			return fmt.Errorf("%s: field %d has wire type %d: %w", r.what, f.num, f.typ, errMessage)
		}
		seen[f.num] = true
		if number != nil {
			return number(f.number)
		}
		return bytes(f.bytes)
	})
	if err != nil {
		return err
	}
	for _, n := range r.required {
		if !seen[n] {
			return fmt.Errorf("%s: field %d is missing: %w", r.what, n, errMessage)
		}
	}
	return nil
}

func appendNumber(b []byte, num protowire.Number, v uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(b, num, protowire.VarintType), v)
}

func appendBytes(b []byte, num protowire.Number, v []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, num, protowire.BytesType), v)
}
