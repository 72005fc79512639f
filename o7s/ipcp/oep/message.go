// SPDX-License-Identifier: BSD-3-Clause

package oep

import (
	"fmt"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// id names one attempt to enrol.
type id [8]byte

func (i *id) set(b []byte) error {
	if len(b) != len(i) { // OEP-3
		return fmt.Errorf("id of %d bytes, not %d: %w", len(b), len(i), errMessage)
	}
	copy(i[:], b)
	return nil
}

// fieldExtension is the number of the one field of ours in requests and responses
// (docs/extensions.md §6.2).
const fieldExtension = 100

// request asks to be enrolled (spec 10 §7.2).
type request struct {
	id id
	// address is the one that the enrollee would like to have; 0: it does not
	// say.
	address uint64
}

func (r request) append(b []byte) []byte {
	b = appendBytes(b, 1, r.id[:])
	if r.address != 0 {
		b = appendNumber(b, fieldExtension, r.address)
	}
	return b
}

func parseRequest(b []byte) (r request, err error) {
	err = reader{
		what:     "enrolment request",
		messages: map[protowire.Number]func([]byte) error{1: r.id.set},
		numbers:  map[protowire.Number]func(uint64) error{fieldExtension: set(&r.address)},
		required: []protowire.Number{1},
	}.read(b)
	return r, err
}

// response answers it.
type response struct {
	id     id
	time   time.Time // of the member's clock
	result int32     // 0, or a negative number: refused
	conf   *Membership
	taken  bool // the address asked for belongs to another member
}

func (r response) append(b []byte) []byte {
	b = appendBytes(b, 1, r.id[:])
	b = appendNumber(b, 2, uint64(r.time.Unix()))
	b = appendNumber(b, 3, uint64(r.time.Nanosecond()))
	b = appendNumber(b, 4, uint64(int64(r.result)))
	if r.conf != nil {
		b = appendBytes(b, 5, r.conf.append(nil))
	}
	if r.taken {
		b = appendNumber(b, fieldExtension, 1)
	}
	return b
}

func parseResponse(b []byte) (r response, err error) {
	var sec, nsec, result, taken uint64
	err = reader{
		what: "enrolment response",
		messages: map[protowire.Number]func([]byte) error{1: r.id.set, 5: func(b []byte) error {
			m, err := parseMembership(b)
			r.conf = &m
			return err
		}},
		numbers:  map[protowire.Number]func(uint64) error{2: set(&sec), 3: set(&nsec), 4: set(&result), fieldExtension: set(&taken)},
		required: []protowire.Number{1, 2, 3, 4},
	}.read(b)
	r.time, r.result, r.taken = time.Unix(int64(sec), int64(int32(nsec))), int32(result), taken == 1
	if err == nil && r.result >= 0 && r.conf == nil { // OEP-1
		err = fmt.Errorf("enrolment response without a configuration: %w", errMessage)
	}
	return r, err
}

// ack ends the exchange.
type ack struct {
	id     id
	result int32
}

func (a ack) append(b []byte) []byte {
	b = appendBytes(b, 1, a.id[:])
	return appendNumber(b, 2, uint64(int64(a.result)))
}

func parseAck(b []byte) (a ack, err error) {
	var result uint64
	err = reader{
		what:     "enrolment acknowledgement",
		messages: map[protowire.Number]func([]byte) error{1: a.id.set},
		numbers:  map[protowire.Number]func(uint64) error{2: set(&result)},
		required: []protowire.Number{1, 2},
	}.read(b)
	a.result = int32(result)
	return a, err
}

// set returns what stores a number.
func set(at *uint64) func(uint64) error {
	return func(v uint64) error {
		*at = v
		return nil
	}
}
