// SPDX-License-Identifier: BSD-3-Clause

package ipcp

import (
	"context"
	"time"

	"o7gw/o7s/layer"
	"o7gw/o7s/qos"
)

// Below gives an IPC process the flows of the layers below it, where it is an
// application like any other (spec 10 §6.1). All methods may be called at the
// same time.
type Below interface {
	// Allocate asks for a flow to a name that a layer below knows. An IPC
	// process never gets a flow of its own layer, nor of one that stands on it.
	Allocate(ctx context.Context, name string, qs qos.Spec) (Flow, error)
	// Accept waits for a flow to one of the names that the IPC process is
	// bound to.
	Accept(ctx context.Context) (Flow, error)
}

// Flow is a flow of a layer below with its end-to-end functions: keepalives
// are sent and never reach the receiver, and a peer that has been silent for
// too long is reported as layer.Closed.
type Flow interface {
	layer.Port
	// Name returns the name that was asked for.
	Name() string
	// QoS returns what the requester asked for.
	QoS() qos.Spec
	// SetLiveness replaces the peer timeout of the QoS: a keepalive is sent
	// after interval without sending, the peer is dead after timeout without
	// arrival. 0 and 0 end both.
	SetLiveness(interval, timeout time.Duration)
}
