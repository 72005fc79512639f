// SPDX-License-Identifier: BSD-3-Clause

package names

import (
	"context"
	"net"
	"net/netip"
	"time"

	"github.com/miekg/dns"
)

// Names that a server of a network answers itself, whatever it is asked.
const (
	// canary is what Firefox asks for before it sends all its queries to a
	// server of its own: no address means that names of this network count.
	canary = "use-application-dns.net."
	// designated is where clients look for a server to use instead of this
	// one (RFC 9462 §6.4): there is none.
	designated = "resolver.arpa."
)

// later completes the answer to a query; it may wait.
type later func(ctx context.Context, q *query)

// route answers a query, or says what has to be waited for.
func (s *Server) route(q *query, cfg *Config, now time.Time) later {
	switch {
	case q.typ == dns.TypeAXFR, q.typ == dns.TypeIXFR, q.msg.Question[0].Qclass != dns.ClassINET:
		q.fail(dns.RcodeRefused, dns.ExtendedErrorCodeProhibited, "")
		return nil
	case q.typ >= 128 && q.typ < dns.TypeANY, q.typ == dns.TypeOPT, q.typ == dns.TypeNone:
		// Q types and meta types but ANY (RFC 6895 §3.1).
		q.fail(dns.RcodeNotImplemented, dns.ExtendedErrorCodeNotSupported, "")
		return nil
	}
	if prefix, in := s.zone.cut(q.name); in {
		return s.own(q, cfg, prefix, now)
	}
	lower := toLower(q.name)
	if p, rest, ok := parseReverse(lower); ok {
		for _, r := range []netip.Prefix{cfg.V4, cfg.V6} {
			if r.IsValid() && r.Contains(p.Addr()) && p.Bits() >= apexBits(r) {
				s.reverse(q, cfg, p, rest, reverseApex(q.name, apexBits(r)))
				return nil
			}
		}
	}
	switch {
	case lower == canary:
		s.nothing(q, q.name)
	case lower == designated, dns.IsSubDomain(designated, lower):
		s.nothing(q, designated)
	case len(s.relay.servers()) == 0:
		q.fail(dns.RcodeRefused, dns.ExtendedErrorCodeNotAuthoritative, "only names of "+cfg.Zone+" are known here")
	default:
		return s.relay.resolve
	}
	return nil
}

// own answers for a name of the zone.
func (s *Server) own(q *query, cfg *Config, prefix string, now time.Time) later {
	apex := q.name[len(q.name)-len(s.zone.apex()):] // written as the client does, so that it is compressed
	if prefix == "" {
		v4, v6 := s.pool.Resolver()
		s.records(q, cfg, apex, v4, v6)
		return nil
	}
	name, ok := service(prefix)
	if !ok {
		s.missing(q, apex)
		return nil
	}
	if s.census.known == nil || !cfg.Check {
		s.present(q, cfg, name, apex)
		return nil
	}
	if exists, err, ok := s.census.recall(name, now); ok {
		s.tell(q, cfg, name, apex, exists, err)
		return nil
	}
	return func(ctx context.Context, q *query) {
		exists, err := s.census.ask(ctx, name)
		s.tell(q, cfg, name, apex, exists, err)
	}
}

// tell answers with what the census says. A service whose existence could not
// be found out in time is taken for what it was if it has an address: clients
// that know it may go on. Otherwise the answer is SERVFAIL, which clients ask
// again: NXDOMAIN would be a lie that they keep, and an address for each name that is
// asked would let anybody fill the pool while the layers are slow.
func (s *Server) tell(q *query, cfg *Config, name, apex string, exists bool, err error) {
	switch {
	case exists, err != nil && s.pool.has(name):
		s.present(q, cfg, name, apex)
	case err != nil:
		s.count.unknown.Add(1)
		q.fail(dns.RcodeServerFailure, dns.ExtendedErrorCodeNetworkError, "no layer said in time whether "+name+" exists")
	case s.census.above(name):
		s.nothing(q, apex)
	default:
		s.missing(q, apex)
	}
}

// present answers for a service that exists.
func (s *Server) present(q *query, cfg *Config, name, apex string) {
	var v4, v6 netip.Addr
	if q.typ == dns.TypeA || q.typ == dns.TypeAAAA {
		var err error
		if v4, v6, err = s.pool.assign(name, clientOf(q.from)); err != nil {
			s.count.full.Add(1)
			q.fail(dns.RcodeServerFailure, dns.ExtendedErrorCodeOther, err.Error())
			return
		}
	}
	s.records(q, cfg, apex, v4, v6)
}

// records answers for a name that exists and has these addresses.
func (s *Server) records(q *query, cfg *Config, apex string, v4, v6 netip.Addr) {
	head := dns.RR_Header{Name: q.name, Rrtype: q.typ, Class: dns.ClassINET, Ttl: uint32(cfg.TTL / time.Second)}
	var rr dns.RR
	switch {
	case q.typ == dns.TypeA && v4.IsValid():
		rr = &dns.A{Hdr: head, A: net.IP(v4.AsSlice())}
	case q.typ == dns.TypeAAAA && v6.IsValid():
		rr = &dns.AAAA{Hdr: head, AAAA: net.IP(v6.AsSlice())}
	case q.typ == dns.TypeANY: // RFC 8482 §4.2
		head.Rrtype = dns.TypeHINFO
		rr = &dns.HINFO{Hdr: head, Cpu: "RFC8482"}
	case q.typ == dns.TypeSOA && len(q.name) == len(apex):
		rr = s.soa(apex)
	case q.typ == dns.TypeNS && len(q.name) == len(apex):
		rr = &dns.NS{Hdr: head, Ns: s.zone.apex()}
	default:
		s.nothing(q, apex)
		return
	}
	q.msg.Authoritative = true
	q.msg.Answer = []dns.RR{rr}
}

// reverse answers for a name of a reverse zone.
func (s *Server) reverse(q *query, cfg *Config, p netip.Prefix, rest int, apex string) {
	if rest > 0 {
		s.missing(q, apex)
		return
	}
	if p.Bits() < p.Addr().BitLen() { // above addresses
		s.records(q, cfg, apex, netip.Addr{}, netip.Addr{})
		return
	}
	var name string
	ttl := cfg.TTL
	if v4, v6 := s.pool.Resolver(); p.Addr() == v4 || p.Addr() == v6 {
		name = s.zone.apex()
	} else if service, left, ok := s.pool.peek(p.Addr()); ok {
		name, _ = s.zone.name(service)
		ttl = min(ttl, max(0, left))
	}
	switch {
	case name == "" && len(q.name) != len(apex):
		s.missing(q, apex)
	case name == "" || q.typ != dns.TypePTR:
		s.records(q, cfg, apex, netip.Addr{}, netip.Addr{})
	default:
		q.msg.Authoritative = true
		q.msg.Answer = []dns.RR{&dns.PTR{
			Hdr: dns.RR_Header{Name: q.name, Rrtype: dns.TypePTR, Class: dns.ClassINET, Ttl: uint32(ttl / time.Second)},
			Ptr: name,
		}}
	}
}

// nothing answers that the name exists, but nothing of that type (NODATA).
func (s *Server) nothing(q *query, apex string) {
	q.msg.Authoritative = true
	q.msg.Ns = []dns.RR{s.soa(apex)}
}

// missing answers that the name does not exist, nor anything below it.
func (s *Server) missing(q *query, apex string) {
	s.nothing(q, apex)
	q.msg.Rcode = dns.RcodeNameError
}

// soa returns the SOA record of a zone: its TTL and minimum say for how long
// clients believe that something is missing (RFC 2308 §5). Nobody transfers the
// zone, so the rest has no meaning (RFC 6303 §3).
func (s *Server) soa(apex string) dns.RR {
	return &dns.SOA{
		Hdr:    dns.RR_Header{Name: apex, Rrtype: dns.TypeSOA, Class: dns.ClassINET, Ttl: uint32(missingFor / time.Second)},
		Ns:     s.zone.apex(),
		Mbox:   "nobody.invalid.",
		Serial: 1, Refresh: 3600, Retry: 1200, Expire: 604800, Minttl: uint32(missingFor / time.Second),
	}
}
