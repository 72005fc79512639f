// SPDX-License-Identifier: BSD-3-Clause

// Package ipcp holds what all IPC processes share: their types and states,
// their configuration, and the shell that checks the state before each
// operation (spec 10 §0.1, §8, §10).
//
// Start with IPCP, which the IRM drives, and Shell, which implementations
// embed.
package ipcp

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"o7gw/o7s/layer"
	"o7gw/o7s/qos"
	"o7gw/o7s/rib"
)

// Type is the type of an IPC process. Numbers are those of the prototype.
type Type uint8

const (
	Local Type = iota
	Unicast
	Broadcast
	EthLLC
	EthDIX
	UDP4
	UDP6
	numTypes
)

var typeNames = [numTypes]string{"local", "unicast", "broadcast", "eth-llc", "eth-dix", "udp4", "udp6"}

// String returns the name as users type it.
func (t Type) String() string {
	if t < numTypes {
		return typeNames[t]
	}
	return fmt.Sprintf("Type(%d)", uint8(t))
}

// ParseType returns the type of an exact name typed by a user.
func ParseType(s string) (Type, error) {
	for t, n := range typeNames {
		if n == s {
			return Type(t), nil
		}
	}
	return 0, fmt.Errorf("parse IPCP type: %q is unknown", s)
}

// State is the state of an IPC process (spec 10 §10.2).
type State uint8

const (
	Null State = iota
	Init
	Boot // ready for bootstrap or enrolment
	_    // bootstrapped: never used
	_    // enrolled: never used
	Operational
	Shutdown
)

// String returns the lower-case name of the state.
func (s State) String() string {
	switch s {
	case Null:
		return "null"
	case Init:
		return "init"
	case Boot:
		return "boot"
	case Operational:
		return "operational"
	case Shutdown:
		return "shutdown"
	}
	return fmt.Sprintf("State(%d)", uint8(s))
}

// Info describes the layer of an operational IPC process.
type Info struct {
	Layer string         // layer name
	Hash  layer.HashAlgo // directory hash
	MTU   int            // largest packet of a flow, bytes
	MPL   time.Duration  // maximum packet lifetime
	// Uncontrolled says that the layer avoids no congestion: who sends reliably
	// through it has to.
	Uncontrolled bool
}

// IPCP is an IPC process as the IRM drives it. Operations that a type does
// not have return layer.ErrNotSupported.
type IPCP interface {
	layer.Layer
	Type() Type
	State() State
	// Info is valid while the state is Operational.
	Info() Info
	// Bootstrap makes the first member of a layer.
	Bootstrap(ctx context.Context, cfg Config) error
	// Enroll joins the layer of dst.
	Enroll(ctx context.Context, dst string) error
	// Connect and Disconnect manage the connections to other members.
	// component is "Management" or "Data Transfer".
	Connect(ctx context.Context, dst, component string, qs qos.Spec) error
	Disconnect(ctx context.Context, dst, component string) error
	// Close ends all flows, goroutines and sockets. Idempotent.
	Close() error
}

// Env is what an IPC process gets from its node.
type Env struct {
	Name  string       // of the IPC process
	Upper layer.Upper  // receives flow requests
	Below Below        // flows of the layers below; for types that are built on layers
	RIB   *rib.Tree    // where to publish statistics; nil: nowhere
	Log   *slog.Logger // never nil; has the component already
}

// Factory makes an IPC process of a type in state Boot, or returns
// layer.ErrIPCPType if it has none.
type Factory func(t Type, env Env) (IPCP, error)
