// SPDX-License-Identifier: BSD-3-Clause

package config

import (
	"fmt"
	"net/netip"
	"time"
)

// address is an address of an interface with the length of its network's
// prefix.
type address netip.Prefix

func (a *address) UnmarshalText(b []byte) error {
	p, err := netip.ParsePrefix(string(b))
	if err != nil || p.Addr().Is4In6() {
		return fmt.Errorf("%q is no address with prefix length, such as 10.0.0.1/24 or fd00::1/64", b)
	}
	if p.Addr().IsUnspecified() || p.Addr().IsMulticast() {
		return fmt.Errorf("%q is no address for an interface", b)
	}
	*a = address(p)
	return nil
}

func addresses(in []address) []netip.Prefix {
	var out []netip.Prefix
	for _, a := range in {
		out = append(out, netip.Prefix(a))
	}
	return out
}

// prefix is a range of addresses.
type prefix netip.Prefix

func (x *prefix) UnmarshalText(b []byte) error {
	p, err := netip.ParsePrefix(string(b))
	if err != nil || p.Addr().Is4In6() {
		return fmt.Errorf("%q is no prefix, such as 192.168.7.0/24 or fd00:7::/48", b)
	}
	if p != p.Masked() {
		return fmt.Errorf("%q has bits behind the prefix: did you mean %s?", b, p.Masked())
	}
	*x = prefix(p)
	return nil
}

func prefixes(in []prefix) []netip.Prefix {
	var out []netip.Prefix
	for _, p := range in {
		out = append(out, netip.Prefix(p))
	}
	return out
}

// endpoint is an address and a port.
type endpoint netip.AddrPort

func (e *endpoint) UnmarshalText(b []byte) error {
	a, err := netip.ParseAddrPort(string(b))
	if err != nil || a.Addr().Is4In6() {
		return fmt.Errorf("%q is no address with port, such as 127.0.0.1:8080 or [::1]:8080", b)
	}
	*e = endpoint(a)
	return nil
}

func endpoints(in []endpoint) []netip.AddrPort {
	var out []netip.AddrPort
	for _, e := range in {
		out = append(out, netip.AddrPort(e))
	}
	return out
}

// duration is a time with a unit.
type duration time.Duration

func (d *duration) UnmarshalText(b []byte) error {
	v, err := time.ParseDuration(string(b))
	if err != nil {
		return fmt.Errorf("%q is no duration, such as 500ms, 15s or 2m", b)
	}
	*d = duration(v)
	return nil
}
