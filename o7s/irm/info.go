// SPDX-License-Identifier: BSD-3-Clause

package irm

import (
	"fmt"
	"time"

	"o7gw/o7s/ipcp"
	"o7gw/o7s/layer"
	"o7gw/o7s/qos"
)

// IPCPInfo describes an IPC process.
type IPCPInfo struct {
	ID    int // what the prototype calls pid
	Name  string
	Type  ipcp.Type
	State ipcp.State
	Layer string         // empty: not in a layer
	Hash  layer.HashAlgo // directory hash of the layer
	Addr  string         // own address or device as configured; may be empty
	MTU   int            // bytes; 0: not in a layer
	Flows int
}

// Policy says which of the waiting acceptors of a name gets the next flow.
type Policy uint8

const (
	// RoundRobin takes the one that has waited longest.
	RoundRobin Policy = iota
	// Spillover takes the one that came last, so that a server gets flows
	// until it is busy.
	Spillover
)

// String returns the name as users type it.
func (p Policy) String() string {
	switch p {
	case RoundRobin:
		return "round-robin"
	case Spillover:
		return "spillover"
	}
	return fmt.Sprintf("Policy(%d)", uint8(p))
}

// NameInfo describes a service name. CreateName looks at the first five
// fields only.
type NameInfo struct {
	Name           string // 1–255 bytes
	Policy         Policy
	Owner          uint32     // uid
	Server, Client Protection // of flows that are accepted for it, and of those to it

	Programs   []ProgramBinding
	Processes  []int // pids bound to the name, ascending
	IPCPs      []BoundIPCP
	Registered []Registration
}

// Registration says that a name is reachable through an IPC process.
type Registration struct {
	IPCP int // its id
	Name string
	Hash layer.Hash
}

// BoundIPCP is an IPC process that accepts flows for a name.
type BoundIPCP struct {
	ID   int
	Name string
}

// ProcessInfo describes an attached process.
type ProcessInfo struct {
	PID     int
	Program string // as given to Attach
	UID     uint32
	Names   []string // bound names, sorted
	Accepts int      // waiting accept calls
	Flows   int
}

// ProgramInfo describes a program that is bound to names. Programs are told
// apart by the last component of their path.
type ProgramInfo struct {
	Program  string
	Bindings []ProgramBinding
}

// FlowState is the state of a flow.
type FlowState uint8

const (
	// Pending: the request is under way.
	Pending FlowState = iota
	// Allocated: in use.
	Allocated
)

// String returns the lower-case name of the state.
func (s FlowState) String() string {
	if s == Allocated {
		return "allocated"
	}
	return "pending"
}

// FlowInfo describes one end of a flow.
type FlowInfo struct {
	ID     int
	Name   string // service name, or layer name of a broadcast flow
	PID    int    // process that uses it
	User   int    // id of the IPC process that uses it; 0: none does
	UID    uint32
	Server bool // accepted, not asked for
	Direct bool // between two processes of this node
	IPCP   int  // id of the IPC process that carries it; 0 for a direct flow
	Peer   int  // direct flow: id of the other end
	State  FlowState
	QoS    qos.Spec
	MPL    time.Duration
	MTU    int // bytes; 0 while pending
	// Cipher is the number of the packet cipher (package oap/cipher), 0 if the
	// flow is not encrypted or is pending.
	Cipher   uint16
	PeerName string // authenticated name of the peer, "" if there is none
}
