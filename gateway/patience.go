// SPDX-License-Identifier: BSD-3-Clause

package gateway

import (
	"errors"
	"os"
	"sync/atomic"
	"time"

	"o7gw/gateway/tunnel"
	"o7gw/o7s/packet"
)

// patience is how long a write waits for the daemon to make room in the ring,
// or for the peer of a reliable flow to acknowledge something.
// Meanwhile the queue of the TUN device fills, and TCP slows down instead of
// losing packets; longer than a daemon is off the processor, it is no use.
const patience = 20 * time.Millisecond

// limitedWriter is what patient needs of a flow; *o7s.Flow is one.
type limitedWriter interface {
	tunnel.Flow
	SetNonblock(on bool)
	SetWriteDeadline(t time.Time) error
}

// patient is a flow whose writes wait for room, but not for long: a tunnel has
// many peers, and one of them must not hold up the others. After a wait in
// vain writes do not wait at all until one succeeds.
type patient struct {
	limitedWriter
	limit time.Duration
	stuck atomic.Bool
}

func (f *patient) WriteBatch(pkts []*packet.Buffer) error {
	f.SetWriteDeadline(time.Now().Add(f.limit))
	err := f.limitedWriter.WriteBatch(pkts)
	switch stuck := f.stuck.Load(); {
	case !stuck && errors.Is(err, os.ErrDeadlineExceeded):
		f.stuck.Store(true)
		f.SetNonblock(true)
	case stuck && err == nil:
		f.stuck.Store(false)
		f.SetNonblock(false)
	}
	return err
}
