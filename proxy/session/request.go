// SPDX-License-Identifier: BSD-3-Clause

package session

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"
)

// Request asks for a session. It is the first packet of a flow:
//
//	kind 0x01, version, protocol, target, port (2 bytes), source, extensions
//	target: 0 | 4, IPv4 address | 16, IPv6 address | 255, length, host name
//	source: 0 | 4, address, port | 16, address, port
//
// Extensions are triples of type, length and value; unknown ones are skipped.
type Request struct {
	Proto Proto
	// Host or Addr is a target beyond an exit; with neither the service is
	// meant that the flow's name stands for.
	Host string
	Addr netip.Addr
	// Port of the target or service; 0 is the only or first one of a service.
	Port uint16
	// Source is who asks: informative, may be invalid.
	Source netip.AddrPort
}

// MaxHost is the longest host name, bytes (RFC 1035).
const MaxHost = 253

// Lengths of addresses, which also are their types on the wire.
const (
	addrNone = 0
	addr4    = 4
	addr16   = 16
	addrHost = 255
)

// Check returns an error, of status BadRequest, if the request cannot be sent.
func (r *Request) Check() error {
	if r.Host == "" || validHost(r.Host) {
		return nil
	}
	return fmt.Errorf("host name %.300q: %w", r.Host, BadRequest)
}

// Append appends the packet of a request that passes Check to b.
func (r *Request) Append(b []byte) []byte {
	b = append(b, byte(KindRequest), Version, byte(r.Proto))
	switch {
	case r.Host != "":
		b = append(b, addrHost, byte(len(r.Host)))
		b = append(b, r.Host...)
	case r.Addr.IsValid():
		b = appendAddr(b, r.Addr)
	default:
		b = append(b, addrNone)
	}
	b = binary.BigEndian.AppendUint16(b, r.Port)
	if !r.Source.IsValid() {
		return append(b, addrNone)
	}
	return binary.BigEndian.AppendUint16(appendAddr(b, r.Source.Addr()), r.Source.Port())
}

func appendAddr(b []byte, a netip.Addr) []byte {
	a = a.Unmap().WithZone("")
	return append(append(b, byte(a.BitLen()/8)), a.AsSlice()...)
}

// ParseRequest reads the first packet of a flow. A request of a later version
// is read as far as this one knows it.
func ParseRequest(p []byte) (r Request, version uint8, err error) {
	if len(p) < 4 || Kind(p[0]) != KindRequest {
		return r, 0, malformed("no request")
	}
	version = p[1]
	if version == 0 {
		return r, 0, malformed("version 0")
	}
	r.Proto = Proto(p[2])
	p = p[3:]
	if p[0] == addrHost {
		if r.Host, p, err = parseHost(p[1:]); err != nil {
			return Request{}, version, err
		}
	} else if r.Addr, p, err = parseAddr(p); err != nil {
		return Request{}, version, err
	}
	if len(p) < 3 {
		return Request{}, version, malformed("request of %d bytes too few", 3-len(p))
	}
	r.Port = binary.BigEndian.Uint16(p)
	source, p, err := parseAddr(p[2:])
	if err != nil {
		return Request{}, version, err
	}
	if source.IsValid() {
		if len(p) < 2 {
			return Request{}, version, malformed("source without port")
		}
		r.Source = netip.AddrPortFrom(source, binary.BigEndian.Uint16(p))
		p = p[2:]
	}
	if err := checkExtensions(p); err != nil {
		return Request{}, version, err
	}
	return r, version, nil
}

func parseHost(p []byte) (host string, rest []byte, err error) {
	if len(p) < 1 || int(p[0]) > len(p)-1 {
		return "", nil, malformed("host name cut off")
	}
	n := int(p[0])
	host, rest = string(p[1:1+n]), p[1+n:]
	if !validHost(host) {
		return "", nil, malformed("host name %q", host)
	}
	return host, rest, nil
}

// validHost reports whether a host name can be one: printable ASCII without
// spaces, which names of other languages have become by then (RFC 5891).
func validHost(host string) bool {
	return host != "" && len(host) <= MaxHost &&
		!strings.ContainsFunc(host, func(r rune) bool { return r <= ' ' || r >= 0x7f })
}

// parseAddr reads an address with its type; an invalid one says there is none.
func parseAddr(p []byte) (a netip.Addr, rest []byte, err error) {
	if len(p) == 0 {
		return a, nil, malformed("address cut off")
	}
	switch n := int(p[0]); n {
	case addrNone:
		return a, p[1:], nil
	case addr4, addr16:
		if len(p) < 1+n {
			return a, nil, malformed("address cut off")
		}
		a, _ = netip.AddrFromSlice(p[1 : 1+n])
		if a.Is4In6() {
			return netip.Addr{}, nil, malformed("IPv4 address %v in IPv6 form", a)
		}
		return a, p[1+n:], nil
	default:
		return a, nil, malformed("address type %d", n)
	}
}

// checkExtensions reads what follows the known part of a request or status: triples
// of type, length and value, all of which this version skips.
func checkExtensions(p []byte) error {
	if len(p) > maxExtensions {
		return malformed("%d bytes of extensions", len(p))
	}
	for len(p) > 0 {
		if len(p) < 2 || len(p) < 2+int(p[1]) {
			return malformed("extension cut off")
		}
		p = p[2+int(p[1]):]
	}
	return nil
}
