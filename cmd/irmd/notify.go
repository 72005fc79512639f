// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"fmt"
	"net"
)

// notifier tells the service manager how far the daemon is, as described in
// sd_notify(3). The zero value tells nobody.
type notifier struct{ path string } // @ in front: abstract

// send sends one state, such as READY=1.
func (n notifier) send(state string) error {
	if n.path == "" {
		return nil
	}
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: n.path, Net: "unixgram"})
	if err != nil {
		return fmt.Errorf("notify %s: %w", state, err)
	}
	defer c.Close()
	if _, err := c.Write([]byte(state)); err != nil {
		return fmt.Errorf("notify %s: %w", state, err)
	}
	return nil
}
