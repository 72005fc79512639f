// SPDX-License-Identifier: BSD-3-Clause

package httpproxy

import "net/netip"

// Config describes the HTTP proxy. The package trusts what gateway/config has
// checked.
type Config struct {
	Listen []netip.AddrPort
	// Users are names and their passwords; without any, everybody who can
	// reach the addresses is served.
	Users       map[string]string
	MaxSessions int // clients at a time
}

// Defaults returns a Config with the defaults of the configuration file. It
// listens on the loopback interface alone: whoever opens it to a network says
// so.
func Defaults() Config {
	return Config{
		Listen:      []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:3128")},
		MaxSessions: 4096,
	}
}
