// SPDX-License-Identifier: BSD-3-Clause

// Package ddns keeps the names of a udp layer in a DNS server, and finds them
// there: dynamic updates (RFC 2136) and look-ups as the prototype makes them
// with nsupdate and nslookup (spec 10 §2.9, §11.1 UDP-13).
//
// Start with Server: Add and Remove change the record of one member, Lookup
// returns the addresses of all. Messages are made and judged in message.go,
// which does no I/O; exchange.go carries them.
package ddns

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/miekg/dns"

	"o7gw/o7s/layer"
)

// Port is where name servers listen.
const Port = 53

// recordTTL is the time to live of the records that are added, in seconds; the
// prototype's.
const recordTTL = 86400

// ErrUnanswered says that the server did not answer, or answered that it
// cannot just now (SERVFAIL): trying again later makes sense.
var ErrUnanswered = errors.New("no answer from the DNS server")

// Refusal is the answer of a server that will not do what was asked.
type Refusal struct {
	Server netip.AddrPort
	What   string // what was asked
	Rcode  int    // response code (RFC 1035, RFC 2136)
}

// Error names the response code as DNS tools do.
func (r *Refusal) Error() string {
	return fmt.Sprintf("DNS server %v refuses %s: %s", r.Server, r.What, dns.RcodeToString[r.Rcode])
}

// Unwrap makes a Refusal a layer.ErrPermission.
func (r *Refusal) Unwrap() error { return layer.ErrPermission }

// Server is a DNS server that holds names of a layer. It has no state.
type Server struct {
	Addr netip.AddrPort
}

// Owner returns the owner name of the records of a service: a single label of
// 32 lower-case hexadecimal digits, as the prototype's.
func Owner(name layer.Hash) string { return name.Hex() + "." }

// Lookup returns the addresses of a name, of the family of IPv4 or of IPv6,
// in the server's order, and how long they may be used. None, without an
// error, means that the server knows nobody. Errors are a *Refusal, wrap
// ErrUnanswered, or are that of ctx.
func (s Server) Lookup(ctx context.Context, owner string, ipv4 bool) ([]netip.Addr, time.Duration, error) {
	q := question(owner, addressType(ipv4))
	r, err := s.exchange(ctx, q)
	if err != nil {
		return nil, 0, err
	}
	if r.Rcode != dns.RcodeNameError {
		if err := s.judge(r, "to look up "+owner); err != nil {
			return nil, 0, err
		}
	}
	addrs, ttl := addresses(r, owner, addressType(ipv4))
	return addrs, ttl, nil
}

// Add adds the record of one member. Those of others stay, and a record that
// is there already is no error. Errors are as those of Lookup.
func (s Server) Add(ctx context.Context, owner string, addr netip.Addr) error {
	return s.update(ctx, owner, addr, (*dns.Msg).Insert)
}

// Remove removes the record that Add added; one that is not there is no
// error.
func (s Server) Remove(ctx context.Context, owner string, addr netip.Addr) error {
	return s.update(ctx, owner, addr, (*dns.Msg).Remove)
}

func (s Server) update(ctx context.Context, owner string, addr netip.Addr, change func(*dns.Msg, []dns.RR)) error {
	zone, err := s.zone(ctx, owner)
	if err != nil {
		return err
	}
	m := new(dns.Msg)
	m.SetUpdate(zone)
	change(m, []dns.RR{record(owner, addr)})
	r, err := s.exchange(ctx, m)
	if err != nil {
		return err
	}
	return s.judge(r, fmt.Sprintf("to update %s in zone %q", owner, zone))
}

// zone finds the zone that the owner name is in, as nsupdate does: the SOA
// record that a server sends for the name is that of its zone. A server that
// sends none is asked for the parents.
func (s Server) zone(ctx context.Context, owner string) (string, error) {
	for name, more := owner, true; more; name, more = parent(name) {
		r, err := s.exchange(ctx, question(name, dns.TypeSOA))
		if err != nil {
			return "", err
		}
		if r.Rcode != dns.RcodeNameError {
			if err := s.judge(r, "to tell the zone of "+name); err != nil {
				return "", err
			}
		}
		if zone, ok := enclosing(r, owner); ok {
			return zone, nil
		}
	}
	return "", &Refusal{Server: s.Addr, What: "to tell the zone of " + owner, Rcode: dns.RcodeNotAuth}
}

// judge turns a response code into an error.
func (s Server) judge(r *dns.Msg, what string) error {
	switch r.Rcode {
	case dns.RcodeSuccess:
		return nil
	case dns.RcodeServerFailure:
		return fmt.Errorf("DNS server %v, asked %s, says SERVFAIL: %w", s.Addr, what, ErrUnanswered)
	}
	return &Refusal{Server: s.Addr, What: what, Rcode: r.Rcode}
}
