// SPDX-License-Identifier: BSD-3-Clause

// Package fa is the flow allocator of a unicast layer (spec 20 §6): it
// makes flows between members of the layer, and carries their packets at the
// rate that congestion avoidance (package ca) permits.
//
// Start with New and FA.Allocate. Data transfer gives it the packets for
// endpoint 0 with Manage and those of flows with Deliver.
package fa

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"o7gw/o7s/ipcp/unicast/ca"
	"o7gw/o7s/layer"
	"o7gw/o7s/packet"
	"o7gw/o7s/qos"
)

// Network carries packets to other members of the layer.
type Network interface {
	// Send sends packets to an endpoint of a member, each in the cube that it is
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
	HashLen    int                   // of the layer's directory hash, bytes
	Upper      layer.Upper           // receives flow requests
	Registered func(layer.Hash) bool // whether a name is served here; nil: Upper decides
	Log        *slog.Logger          // nil: slog.Default
}

// FA is the flow allocator of one IPC process. All methods may be called at
// the same time.
type FA struct {
	cfg       Config
	start     time.Time // of the clock that now reads
	flows     flowTable
	requests  recent
	members   members
	abandoned abandoned
	routes    again // of checkRoutes
	downs     alarm // of RoutesChanged
	notices   notices
	reminder  alarm // of remind
	stats     counters

	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	// work counts what Close waits for. A flow that has not ended adds under its
	// mu; others enter.
	work   sync.WaitGroup
	mu     sync.Mutex
	closed bool // guarded by mu
}

// New returns a flow allocator. Nothing runs until it is used.
func New(cfg Config) *FA {
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	a := &FA{cfg: cfg, start: time.Now()}
	a.downs = alarm{fa: a, ring: a.RoutesChanged}
	a.reminder = alarm{fa: a, ring: a.remind}
	a.ctx, a.cancel = context.WithCancel(context.Background())
	return a
}

// now returns nanoseconds of a monotonic clock.
func (a *FA) now() int64 { return int64(time.Since(a.start)) }

// enter begins work that Close waits for, and reports whether it may begin. It
// ends with a.work.Done.
func (a *FA) enter() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return false
	}
	a.work.Add(1)
	return true
}

// Close ends all flows, whose peers are told where they understand it, and
// everything that waits. Idempotent.
func (a *FA) Close() {
	a.mu.Lock()
	a.closed = true
	a.mu.Unlock()
	a.cancel()
	a.flows.close()
	for f := range a.flows.all() {
		f.abort()
	}
	a.downs.stop()
	a.reminder.stop()
	a.work.Wait()
}

// Ours says that the member with the address runs our code, and so understands
// our extensions. A flow whose peer announced capabilities says it too.
func (a *FA) Ours(addr uint64) { a.members.add(addr) }

// send sends a management message in a cube.
func (a *FA) send(to uint64, cube qos.Cube, m message) error {
	return a.cfg.Net.Send(to, manageEID, []*packet.Buffer{pack(cube, m)})
}

// pack makes a packet of a message.
func pack(cube qos.Cube, m message) *packet.Buffer {
	var fixed [headerLen]byte // what most messages consist of
	msg := m.append(fixed[:0])
	b := packet.Get(len(msg))
	b.Append(msg)
	b.SetCube(uint8(cube))
	return b
}
