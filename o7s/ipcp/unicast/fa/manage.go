// SPDX-License-Identifier: BSD-3-Clause

package fa

import (
	"errors"

	"o7gw/o7s/packet"
)

// Manage takes packets that came for endpoint 0. It takes ownership of the
// buffers, but not of the slice.
func (a *FA) Manage(pkts []*packet.Buffer) {
	for _, b := range pkts {
		a.manage(b.Bytes())
		b.Release()
	}
}

// manage takes one message. What is to be kept of it is copied.
func (a *FA) manage(b []byte) {
	m, err := parse(b, a.cfg.HashLen)
	switch {
	case errors.Is(err, errCode):
		a.stats.unknown.Add(1)
		return
	case err != nil:
		a.stats.malformed.Add(1)
		return
	}
	switch m := m.(type) {
	case request:
		a.requested(m)
	case reply:
		a.replied(m)
	case update:
		a.updated(m)
	case teardown:
		a.torn(m)
	}
}
