// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"time"

	"o7gw/o7s"
	"o7gw/o7s/layer"
)

// closeWrite tells the peer that nothing more comes.
func closeWrite(f *o7s.Flow) error {
	if c, ok := any(f).(interface{ CloseWrite() error }); ok {
		return c.CloseWrite()
	}
	return layer.ErrNotSupported
}

// setLinger limits the wait of Close for a peer that takes nothing.
func setLinger(f *o7s.Flow, d time.Duration) {
	if c, ok := any(f).(interface{ SetLinger(time.Duration) }); ok {
		c.SetLinger(d)
	}
}

// peerOf returns the authenticated name of the peer, "" if there is none.
func peerOf(f *o7s.Flow) string {
	if c, ok := any(f).(interface{ Peer() string }); ok {
		return c.Peer()
	}
	return ""
}
