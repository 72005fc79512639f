// SPDX-License-Identifier: BSD-3-Clause

// Package names is the DNS side of the gateway (DESIGN §6 [names],
// docs/names.md): a Pool of addresses that stand for the names of services, and
// a Server that tells them to unmodified programs.
//
//	query ─ guard (limits) ─┬ own zone ─ census (does it exist?) ─ Pool ─ address
//	                        ├ reverse zones of the ranges ─ Pool ─ name
//	                        └ other names ─ relay (upstream servers) or REFUSED
//
// Start with NewPool, New and Server.Start; Server.Answer serves a query that
// came by another way than a socket of the Server.
package names

import (
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"time"
)

// Config describes the name service. The package trusts what gateway/config
// has checked.
type Config struct {
	Listen   []netip.AddrPort // UDP and TCP; may be empty: Answer only
	Zone     string           // HOST.Zone stands for the service HOST; no dot at the end
	TTL      time.Duration    // of addresses, in whole seconds
	Upstream []netip.AddrPort // servers for all other names, in order of preference; empty: REFUSED
	V4, V6   netip.Prefix     // ranges of the addresses; one of them may be missing
	Max      int              // names that have an address at the same time
	Check    bool             // ask whether a name exists; false: each does
}

// Defaults returns a Config with the defaults of the configuration file.
//
// 198.18.0.0/15 is for measurements of network devices (RFC 2544): no network
// that people are in uses it, unlike those of RFC 1918, and 100.64.0.0/10 of
// providers and VPNs; programs take it for what it is, an ordinary address,
// unlike 240.0.0.0/4. The IPv6 range is of a ULA (RFC 4193) whose global ID was
// drawn at random.
func Defaults() Config {
	return Config{
		Zone:  "o7s",
		TTL:   time.Minute,
		V4:    netip.MustParsePrefix("198.18.0.0/15"),
		V6:    netip.MustParsePrefix("fd61:19fe:dbd5::/64"),
		Max:   32768,
		Check: true,
	}
}

// needsRestart returns the keys in which n differs from c and which a running
// server cannot change.
func (c *Config) needsRestart(n *Config) (keys []string) {
	for _, k := range []struct {
		key      string
		old, now any
	}{
		{"zone", c.Zone, n.Zone},
		{"listen", c.Listen, n.Listen},
		{"v4", c.V4, n.V4},
		{"v6", c.V6, n.V6},
		{"max", c.Max, n.Max},
	} {
		if !reflect.DeepEqual(k.old, k.now) {
			keys = append(keys, k.key)
		}
	}
	return keys
}

// maxZone is the longest zone in bytes: enough remains of the 253 of a DNS name
// for the names of services.
const maxZone = 63

// CheckZone returns an error for people if the zone cannot be served.
func CheckZone(zone string) error {
	switch {
	case zone == "":
		return errors.New("the zone is empty: the names of the whole world are not ours")
	case len(zone) > maxZone:
		return fmt.Errorf("the zone is longer than %d bytes", maxZone)
	case strings.HasSuffix(zone, "."):
		return fmt.Errorf("zone %q: without the dot at the end", zone)
	case zone == "arpa" || strings.HasSuffix(zone, ".arpa") && zone != "home.arpa" && !strings.HasSuffix(zone, ".home.arpa"):
		return fmt.Errorf("zone %q belongs to reverse look-ups", zone)
	}
	for label := range strings.SplitSeq(zone, ".") {
		if label == "" || strings.HasPrefix(label, "-") || strings.HasSuffix(label, "-") || strings.ContainsFunc(label, notHost) {
			return fmt.Errorf("zone %q: labels are of a-z, 0-9 and -, which does not begin or end one", zone)
		}
	}
	return nil
}

// notHost reports whether a host name of lower-case letters cannot have r.
func notHost(r rune) bool { return !(r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-') }
