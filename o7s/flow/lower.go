// SPDX-License-Identifier: BSD-3-Clause

package flow

import (
	"time"

	"o7gw/o7s/layer"
	"o7gw/o7s/packet"
	"o7gw/o7s/ring"
)

// lower is what carries a flow: a ring to another process, or a port of a
// layer in this one.
type lower interface {
	// readInto, readBatch and write are those of ring.End. Empty packets are
	// packets.
	readInto(p []byte, keep bool, stop ring.Stop) (n int, more bool, err error)
	readBatch(bufs []*packet.Buffer, stop ring.Stop) (int, error)
	write(p []byte, stop ring.Stop) error
	// writeBatch takes the buffers, not the slice, and reports how many
	// packets were not written.
	writeBatch(pkts []*packet.Buffer, stop ring.Stop) (lost int, err error)
	// keepalive sends an empty packet if that is possible at once.
	keepalive()

	setReadDeadline(t time.Time)
	setWriteDeadline(t time.Time)
	// wakeReaders and wakeWriters make blocked calls ask their stop again.
	wakeReaders()
	wakeWriters()

	// push hands all packets and events to r from now on.
	push(r layer.Receiver, h *Host) error
	// watch calls changed, from any goroutine or within a turn of set, when
	// packets may have arrived or the condition may have changed.
	watch(set *ring.Set, changed func()) error
	unwatch(set *ring.Set)
	// resume asks for the next call of changed, after all was looked at.
	resume(set *ring.Set)

	unread() bool     // packets wait
	down() bool       // marked as down by either side
	peerClosed() bool // the peer, or the layer, has ended the flow
	setDown(down bool) error

	// sent and received change whenever something was sent or has arrived.
	sent() uint64
	received() uint64
	stats() Stats
	close() error
}
