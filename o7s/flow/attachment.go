// SPDX-License-Identifier: BSD-3-Clause

package flow

import (
	"fmt"
	"time"

	"o7gw/o7s/layer"
	"o7gw/o7s/qos"
	"o7gw/o7s/ring"
)

// Terms are what both ends of a flow know of each other, from the handshake
// and from where it runs.
type Terms struct {
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
	Layer  string // that carries the flow, "" for one within the node
}

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
	Terms
	// Lost returns why the IRM is gone, nil if it is not: a ring whose other
	// side died with it did not end as the peer wanted. May be nil.
	Lost func() error
	// Dealloc tells the IRM that the flow is over. It is called once, after
	// the port or ring was closed; nil if there is nobody to tell.
	Dealloc func() error
}

// supported returns why a flow cannot be carried as was asked. A prototype
// leaves the CRC out of retransmissions and acknowledgements (FR-7), so that
// the two together do not work with it.
func supported(a *Attachment) error {
	if qs := a.QoS; qs.Reliable() && qs.BER == 0 && a.PeerCaps&layer.CapFRCP == 0 {
		return fmt.Errorf("reliable flow with a CRC: the peer is a prototype, which cannot do both: %w", layer.ErrNotSupported)
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
