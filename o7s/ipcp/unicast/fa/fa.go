// SPDX-License-Identifier: BSD-3-Clause

// Package fa is the flow allocator of a unicast layer (spec 20 §6): it
// makes flows between members of the layer, and carries their packets with the
// rate that congestion avoidance (package ca) permits.
//
// Start with New and FA.Allocate. Data transfer gives it the packets for
// endpoint 0 with Manage and those of flows with Deliver.
package fa

import (
	"context"
	"errors"
	"log/slog"

	"o7gw/o7s/ipcp/unicast/ca"
	"o7gw/o7s/layer"
	"o7gw/o7s/packet"
	"o7gw/o7s/qos"
	"o7gw/o7s/rib"
)

// Network carries packets to other members of the layer.
type Network interface {
	// Send sends packets to an endpoint of a member, in the cube that each is
	// marked with. It takes ownership of the buffers, but not of the slice. An
	// error means that they were dropped.
	Send(dst, eid uint64, pkts []*packet.Buffer) error
	// MTU returns the largest packet that Send carries, in bytes. It is cheap.
	MTU() int
	// Reachable reports whether there is a route to a member.
	Reachable(dst uint64) bool
}

// Config is what a flow allocator gets from its IPC process.
type Config struct {
	Self       uint64 // own address
	Net        Network
	CA         ca.Policy
	HashLen    int         // of the layer's directory hash, bytes
	Upper      layer.Upper // receives flow requests
	Registered func(layer.Hash) bool
	Log        *slog.Logger // nil: slog.Default
}

// FA is the flow allocator of one IPC process.
type FA struct{ cfg Config }

// New returns a flow allocator.
func New(cfg Config) *FA { return &FA{cfg: cfg} }

// Manage takes packets that came for endpoint 0. It takes ownership of the
// buffers, but not of the slice.
func (a *FA) Manage(pkts []*packet.Buffer) { packet.ReleaseBatch(pkts) }

// Deliver takes packets that came in a row for the endpoint of a flow, all
// with the same congestion mark. It takes ownership of the buffers, but not of
// the slice.
func (a *FA) Deliver(eid uint64, ecn uint8, pkts []*packet.Buffer) { packet.ReleaseBatch(pkts) }

// Allocate asks the member with the address addr for a flow to the name dst
// and waits for the answer, 2.5 s at most: then it returns
// layer.ErrNoAnswer. A refusal is a layer.Errno.
func (a *FA) Allocate(ctx context.Context, addr uint64, dst layer.Hash, qs qos.Spec, data []byte) (layer.Port, []byte, error) {
	return nil, nil, errors.ErrUnsupported
}

// Ours says that the member with the address runs our code and understands
// our extensions.
func (a *FA) Ours(addr uint64) {}

// RoutesChanged tells flows whether their other end can be reached.
func (a *FA) RoutesChanged() {}

// RIB returns the directory "flow-allocator" of the statistics.
func (a *FA) RIB() rib.Dir { return nil }

// Close ends all flows and everything that waits. Idempotent.
func (a *FA) Close() {}
