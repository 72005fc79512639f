// SPDX-License-Identifier: BSD-3-Clause

package ddns

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
)

const (
	// maxAddresses is how many addresses of one name are used; an
	// allocation shares its time among them.
	maxAddresses = 16
	// maxAliases is how many CNAME records are followed.
	maxAliases = 8
)

// addressType is the type of the records of members.
func addressType(ipv4 bool) uint16 {
	if ipv4 {
		return dns.TypeA
	}
	return dns.TypeAAAA
}

// question makes a query.
func question(name string, qtype uint16) *dns.Msg {
	m := new(dns.Msg)
	m.SetQuestion(name, qtype)
	return m
}

// record makes the record of a member. Zones of link-local addresses have no
// meaning outside the host.
func record(owner string, addr netip.Addr) dns.RR {
	h := dns.RR_Header{Name: owner, Rrtype: addressType(addr.Is4()), Class: dns.ClassINET, Ttl: recordTTL}
	if addr.Is4() {
		return &dns.A{Hdr: h, A: addr.AsSlice()}
	}
	return &dns.AAAA{Hdr: h, AAAA: addr.AsSlice()}
}

// answers reports whether r answers q. What does not is some other message, or
// forged.
func answers(q, r *dns.Msg) bool {
	if r.Id != q.Id || !r.Response || r.Opcode != q.Opcode {
		return false
	}
	switch len(r.Question) {
	case 0: // RFC 2136 §3.8, and servers that give up on a query
		return q.Opcode == dns.OpcodeUpdate || r.Rcode != dns.RcodeSuccess
	case 1:
		a, b := q.Question[0], r.Question[0]
		return a.Qtype == b.Qtype && a.Qclass == b.Qclass && strings.EqualFold(a.Name, b.Name)
	}
	return false
}

// addresses takes the addresses of a name out of an answer, following aliases
// within it, and the shortest time to live on the way. Addresses that no
// member can have are left out.
func addresses(r *dns.Msg, name string, qtype uint16) (addrs []netip.Addr, ttl time.Duration) {
	shortest := uint32(recordTTL)
	for range maxAliases + 1 {
		alias := ""
		for _, rr := range r.Answer {
			h := rr.Header()
			if h.Class != dns.ClassINET || !strings.EqualFold(h.Name, name) {
				continue
			}
			if c, ok := rr.(*dns.CNAME); ok {
				alias = c.Target
			} else if a := address(rr); h.Rrtype != qtype || !usable(a) || len(addrs) == maxAddresses || slices.Contains(addrs, a) {
				continue
			} else {
				addrs = append(addrs, a)
			}
			shortest = min(shortest, h.Ttl)
		}
		if len(addrs) > 0 {
			return addrs, time.Duration(shortest) * time.Second
		}
		if alias == "" {
			break
		}
		name = alias
	}
	return nil, 0
}

// address returns the address in a record, an invalid one if it holds none.
func address(rr dns.RR) netip.Addr {
	var a netip.Addr
	switch rr := rr.(type) {
	case *dns.A:
		a, _ = netip.AddrFromSlice(rr.A)
		a = a.Unmap()
	case *dns.AAAA:
		a, _ = netip.AddrFromSlice(rr.AAAA)
	}
	return a
}

func usable(a netip.Addr) bool {
	return a.IsValid() && !a.IsUnspecified() && !a.IsMulticast() && !a.Is4In6() && a != netip.AddrFrom4([4]byte{255, 255, 255, 255})
}

// enclosing returns the zone whose SOA record is in the answer, or in the
// authority section of an answer that there is no such record, if the zone is
// around the name.
func enclosing(r *dns.Msg, name string) (string, bool) {
	for _, rr := range slices.Concat(r.Answer, r.Ns) {
		h := rr.Header()
		if h.Rrtype == dns.TypeSOA && h.Class == dns.ClassINET && dns.IsSubDomain(h.Name, name) {
			return dns.CanonicalName(h.Name), true
		}
	}
	return "", false
}

// parent returns the name without its first label; the root has no parent.
func parent(name string) (string, bool) {
	if name == "." {
		return "", false
	}
	if next, end := dns.NextLabel(name, 0); !end {
		return name[next:], true
	}
	return ".", true
}
