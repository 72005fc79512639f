// SPDX-License-Identifier: BSD-3-Clause

package socks

import (
	"net/netip"
	"time"
)

// Config describes the SOCKS server. The package trusts what gateway/config
// has checked.
type Config struct {
	Listen []netip.AddrPort
	// Users are names and their passwords; without any, everybody who can
	// reach the addresses is served.
	Users       map[string]string
	MaxSessions int           // clients at a time, and UDP flows of all
	IdleUDP     time.Duration // after which a UDP flow ends
}

// Defaults returns a Config with the defaults of the configuration file. It
// listens on the loopback interface alone: whoever opens it to a network says
// so.
func Defaults() Config {
	return Config{
		Listen:      []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:1080")},
		MaxSessions: 4096,
		IdleUDP:     3 * time.Minute,
	}
}
