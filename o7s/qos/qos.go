// SPDX-License-Identifier: BSD-3-Clause

// Package qos holds the QoS specification of a flow, the predefined ones, and
// the cubes into which layers sort packets (spec 10 §0.2, spec 30 §2.2).
//
// Start with the predefined Raw and Data, or Parse for a name typed by a user.
package qos

import (
	"fmt"
	"math"
	"time"
)

// Spec is what a requester asks of a flow. It travels bit for bit to the
// acceptor: InOrder, BER and Timeout decide the framing of the data.
type Spec struct {
	Delay        uint32 // ms
	Bandwidth    uint64 // bit/s
	Availability uint8  // class of nines
	Loss         uint32 // 0: retransmission wanted
	BER          uint32 // bit errors per 10^9; 0: CRC trailer on every packet
	InOrder      uint8  // not 0: FRCP
	MaxGap       uint32 // ms
	Timeout      uint32 // peer timeout in ms; 0: no liveness check, no keepalives
}

// DefaultTimeout is the peer timeout, in ms, of every predefined Spec.
const DefaultTimeout = 120000

// The predefined specifications of the prototype (spec 10 §0.2), with BER 1
// as its default build sends it.
var (
	Raw   = Spec{Delay: math.MaxUint32, Loss: 1, BER: 1, MaxGap: math.MaxUint32, Timeout: DefaultTimeout}
	Best  = Spec{Delay: math.MaxUint32, Loss: 1, BER: 1, InOrder: 1, MaxGap: math.MaxUint32, Timeout: DefaultTimeout}
	Video = Spec{Delay: 100, Bandwidth: math.MaxUint64, Availability: 3, Loss: 1, BER: 1, InOrder: 1, MaxGap: 100, Timeout: DefaultTimeout}
	Voice = Spec{Delay: 50, Bandwidth: 100000, Availability: 5, Loss: 1, BER: 1, InOrder: 1, MaxGap: 50, Timeout: DefaultTimeout}
	Data  = Spec{Delay: 1000, BER: 1, InOrder: 1, MaxGap: 2000, Timeout: DefaultTimeout}
)

// names in the order of the tools' help texts.
var names = []struct {
	name string
	spec Spec
}{{"raw", Raw}, {"best", Best}, {"video", Video}, {"voice", Voice}, {"data", Data}}

// Parse returns the predefined Spec of that name: raw, best, video, voice or
// data.
func Parse(name string) (Spec, error) {
	for _, n := range names {
		if n.name == name {
			return n.spec, nil
		}
	}
	return Spec{}, fmt.Errorf("parse QoS: %q is none of raw, best, video, voice, data", name)
}

// Reliable reports whether lost packets are to be sent again.
func (s Spec) Reliable() bool { return s.InOrder != 0 && s.Loss == 0 }

// PeerTimeout returns the liveness limit, 0 if there is none.
func (s Spec) PeerTimeout() time.Duration { return time.Duration(s.Timeout) * time.Millisecond }

// String returns the name of a predefined Spec, or the fields of another.
func (s Spec) String() string {
	for _, n := range names {
		if n.spec == s {
			return n.name
		}
	}
	return fmt.Sprintf("delay=%dms bandwidth=%db/s availability=%d loss=%d ber=%d in-order=%d max-gap=%dms timeout=%dms",
		s.Delay, s.Bandwidth, s.Availability, s.Loss, s.BER, s.InOrder, s.MaxGap, s.Timeout)
}

// Cube is the class in which a layer carries a packet. Numbers are those of
// the wire.
type Cube uint8

const (
	BestEffort Cube = iota
	VideoCube
	VoiceCube
	// Cubes is the number of cubes.
	Cubes = 3
)

// Cube returns the cube that a layer picks for the Spec (spec 30 §2.2).
func (s Spec) Cube() Cube {
	switch {
	case s.Delay <= 50 && s.Bandwidth <= 100000 && s.Availability >= 5 && s.MaxGap <= 50:
		return VoiceCube
	case s.Delay <= 100 && s.Availability >= 3 && s.MaxGap <= 100:
		return VideoCube
	}
	return BestEffort
}
