// SPDX-License-Identifier: BSD-3-Clause

package flow

import (
	"fmt"
	"time"

	"o7gw/o7s/layer"
	"o7gw/o7s/qos"
	"o7gw/o7s/ring"
)

// Attachment is the lower end of a flow as the resource manager hands it to
// the process that uses the flow.
type Attachment struct {
	ID   int    // flow id in the IRM
	Name string // service name
	QoS  qos.Spec
	MPL  time.Duration // maximum packet lifetime of the layer
	MTU  int           // largest packet the flow carries, bytes
	// Exactly one of Port and Ring is set.
	Port layer.Port
	Ring *ring.End
	// Direct: the ring leads to another process of this node. It loses
	// nothing, keeps order and is private, so it needs no help.
	Direct bool
	// Server: this end accepted the flow.
	Server bool
	// PeerCaps is what the peer announced.
	PeerCaps layer.Caps
	// Shim: nothing beneath the flow avoids congestion, so FRCP has to.
	Shim bool
	// Cipher is the number of the packet cipher (package crypt), 0 if the flow is
	// not encrypted, and Key its 32 bytes.
	Cipher uint16
	Key    []byte
	Peer   string // authenticated name of the peer, "" if there is none
	// Lost returns why the IRM is gone, nil if it is not: a ring whose other
	// side died with it did not end as the peer wanted. May be nil.
	Lost func() error
	// Dealloc tells the IRM that the flow is over. It is called once, after
	// the port or ring was closed; nil if there is nobody to tell.
	Dealloc func() error
}

// Supported returns nil if flows of the specification can be carried: raw
// ones. FRCP and the CRC trailer are not there yet.
func Supported(qs qos.Spec) error {
	switch {
	case qs.InOrder != 0:
		return fmt.Errorf("QoS %v needs FRCP (in-order delivery), which this version does not have: %w", qs, layer.ErrNotSupported)
	case qs.BER == 0:
		return fmt.Errorf("QoS %v needs a CRC trailer (bit error rate 0), which this version does not have: %w", qs, layer.ErrNotSupported)
	}
	return nil
}

func (a *Attachment) close() {
	if a.Ring != nil {
		a.Ring.Close()
	}
	if a.Port != nil {
		a.Port.Close()
	}
	if a.Dealloc != nil {
		a.Dealloc()
	}
}
