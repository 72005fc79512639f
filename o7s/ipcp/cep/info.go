// SPDX-License-Identifier: BSD-3-Clause

package cep

import (
	"errors"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"

	"o7gw/o7s/layer"
	"o7gw/o7s/oap"
)

// Names of components (spec 10 §6.1).
const (
	DataTransfer = "Data Transfer"
	Enrollment   = "Enrollment"
	Management   = "Management"
)

// MaxMessage is the longest CEP message, in bytes, that a prototype reads
// (spec 10 §6.2).
const MaxMessage = 127

// Caps is the set of extensions that an IPC process announces to a neighbour
// (docs/extensions.md §6).
type Caps uint32

const (
	// CapKeepalive: a packet every second at least, and dead after 2.5 s without.
	CapKeepalive Caps = 1 << iota
	// CapLSBatch: one packet of a Management connection may carry several
	// link-state announcements.
	CapLSBatch
	// CapWithdraw: link-state withdrawals.
	CapWithdraw
)

// Info is a CEP message: what a component says of itself (spec 10 §6.2).
type Info struct {
	Component string
	Protocol  string // may be empty
	Version   int32
	Syntax    int32  // 0: protocol buffers, 1: ASN.1, 2: fixed
	Address   uint64 // DT address, or 0
	// Ours tells whether there is a list of capabilities, which Caps are of.
	Ours bool
	Caps Caps
}

// Field numbers.
const (
	fieldComponent = 1
	fieldProtocol  = 2
	fieldVersion   = 3
	fieldSyntax    = 5
	fieldAddress   = 8
	fieldCaps      = 100
)

var errMessage = errors.New("malformed CEP message")

// Append appends the encoded message to b.
func (i Info) Append(b []byte) []byte {
	b = protowire.AppendTag(b, fieldComponent, protowire.BytesType)
	b = protowire.AppendString(b, i.Component)
	b = protowire.AppendTag(b, fieldProtocol, protowire.BytesType)
	b = protowire.AppendString(b, i.Protocol)
	b = protowire.AppendTag(b, fieldVersion, protowire.VarintType)
	b = protowire.AppendVarint(b, uint64(int64(i.Version)))
	b = protowire.AppendTag(b, fieldSyntax, protowire.VarintType)
	b = protowire.AppendVarint(b, uint64(int64(i.Syntax)))
	b = protowire.AppendTag(b, fieldAddress, protowire.VarintType)
	b = protowire.AppendVarint(b, i.Address)
	if i.Ours {
		b = protowire.AppendTag(b, fieldCaps, protowire.BytesType)
		b = protowire.AppendBytes(b, oap.AppendCaps(nil, layer.Caps(i.Caps)))
	}
	return b
}

// Parse reads a message, which is all of b. Unknown fields are skipped; of a
// repeated one the last counts.
func Parse(b []byte) (Info, error) {
	var i Info
	if len(b) > MaxMessage {
		return i, fmt.Errorf("CEP message of %d bytes, at most %d: %w", len(b), MaxMessage, errMessage)
	}
	seen := 0
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return Info{}, fmt.Errorf("%w: %w", errMessage, protowire.ParseError(n))
		}
		size := protowire.ConsumeFieldValue(num, typ, b[n:])
		if size < 0 {
			return Info{}, fmt.Errorf("%w: %w", errMessage, protowire.ParseError(size))
		}
		value := b[n : n+size]
		b = b[n+size:]
		text, _ := protowire.ConsumeBytes(value)
		number, _ := protowire.ConsumeVarint(value)
		want := protowire.VarintType
		switch num {
		case fieldComponent:
			i.Component, want = string(text), protowire.BytesType
		case fieldProtocol:
			i.Protocol, want = string(text), protowire.BytesType
		case fieldVersion:
			i.Version = int32(number)
		case fieldSyntax:
			i.Syntax = int32(number)
		case fieldAddress:
			i.Address = number
		case fieldCaps:
			if typ == protowire.BytesType {
				var caps layer.Caps
				caps, i.Ours = oap.ParseCaps(text)
				i.Caps = Caps(caps)
			}
			continue
		default:
			continue
		}
		if typ != want {
			return Info{}, fmt.Errorf("field %d has wire type %d: %w", num, typ, errMessage)
		}
		seen |= 1 << num
	}
	const required = 1<<fieldComponent | 1<<fieldProtocol | 1<<fieldVersion | 1<<fieldSyntax | 1<<fieldAddress
	if seen&required != required {
		return Info{}, fmt.Errorf("a required field is missing: %w", errMessage)
	}
	return i, nil
}

// matches returns nil if the peer's component can work with ours: both sides
// compare everything but the address (spec 10 §11.4, CM-1).
func (i Info) matches(peer Info) error {
	switch {
	case peer.Component != i.Component:
		return fmt.Errorf("peer answers for component %q, not %q: %w", peer.Component, i.Component, layer.ErrIPCP)
	case peer.Protocol != i.Protocol || peer.Version != i.Version || peer.Syntax != i.Syntax:
		return fmt.Errorf("peer speaks %q version %d in syntax %d, not %q version %d in syntax %d: %w",
			peer.Protocol, peer.Version, peer.Syntax, i.Protocol, i.Version, i.Syntax, layer.ErrIPCP)
	}
	return nil
}

// refusal answers for a component that there is not. The prototype answers
// with all fields empty, which its broadcast IPC process takes for success
// (BC-7); a protocol that nobody speaks makes every initiator fail. The name
// comes from a message: if it leaves no room for that, ok is false.
func refusal(component string) (i Info, ok bool) {
	i = Info{Component: component, Protocol: "none"}
	return i, component != "" && len(i.Append(nil)) <= MaxMessage
}
