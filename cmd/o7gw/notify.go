// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"net"
	"os"
)

// notify tells systemd the state (sd_notify(3)), if it wants to know. Nothing
// depends on it, so errors are ignored.
func notify(state string) {
	path := os.Getenv("NOTIFY_SOCKET")
	if path == "" {
		return
	}
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		return
	}
	defer c.Close()
	c.Write([]byte(state))
}
