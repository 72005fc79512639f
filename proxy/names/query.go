// SPDX-License-Identifier: BSD-3-Clause

package names

import (
	"net/netip"

	"github.com/miekg/dns"
)

const (
	headerLen = 12
	// queryMost is the longest query that is read, bytes: a name, and options.
	queryMost = 4096
	// udpMost is the largest answer over UDP, bytes: it is not fragmented
	// anywhere (DNS flag day 2020). Without EDNS it is 512.
	udpMost = 1232
)

// query is one query and the answer to it in the making.
type query struct {
	msg  *dns.Msg // the query; becomes the answer
	name string   // of the question, as the client wrote it
	typ  uint16
	from netip.Addr
	tcp  bool
	size int  // most bytes of the answer
	edns bool // the client understands EDNS
	do   bool // wants signatures
	cd   bool // checks them itself
	ad   bool // wants to know whether they are right
	id   uint16
	ede  *dns.EDNS0_EDE
}

// parse reads a query. If it is none, fail is the answer, nil for silence:
// answers are never answered, so no two servers talk to each other for ever.
func parse(raw []byte, from netip.Addr, tcp bool) (q *query, fail []byte) {
	if len(raw) < headerLen || raw[2]&0x80 != 0 {
		return nil, nil
	}
	switch {
	case raw[2]>>3&0xf != dns.OpcodeQuery:
		return nil, failure(raw, dns.RcodeNotImplemented)
	case raw[4] != 0 || raw[5] != 1 || len(raw) > queryMost:
		return nil, failure(raw, dns.RcodeFormatError)
	}
	m := new(dns.Msg)
	if err := m.Unpack(raw); err != nil || len(m.Question) != 1 {
		return nil, failure(raw, dns.RcodeFormatError)
	}
	q = &query{
		msg: m, name: m.Question[0].Name, typ: m.Question[0].Qtype, from: from, tcp: tcp,
		size: dns.MinMsgSize, cd: m.CheckingDisabled, ad: m.AuthenticatedData, id: m.Id,
	}
	var version uint8
	for _, rr := range m.Extra {
		opt, ok := rr.(*dns.OPT)
		if !ok {
			continue
		}
		if q.edns || opt.Hdr.Name != "." {
			return nil, failure(raw, dns.RcodeFormatError)
		}
		q.edns, q.do, version = true, opt.Do(), opt.Version()
		q.size = min(udpMost, max(dns.MinMsgSize, int(opt.UDPSize())))
	}
	if tcp {
		q.size = dns.MaxMsgSize
	}
	m.Answer, m.Ns, m.Extra = nil, nil, nil
	m.Response, m.Authoritative, m.Truncated, m.AuthenticatedData, m.RecursionAvailable, m.Zero = true, false, false, false, false, false
	m.Rcode = dns.RcodeSuccess
	if version != 0 {
		m.Rcode = dns.RcodeBadVers
		return nil, q.pack()
	}
	return q, nil
}

// failure returns an answer without a question: to what is not understood, or
// shall not be.
func failure(raw []byte, rcode int) []byte {
	out := make([]byte, headerLen)
	copy(out, raw[:2])
	out[2] = 0x80 | raw[2]&0x79 // opcode, recursion desired
	out[3] = byte(rcode)
	return out
}

// pack returns the answer as it is sent.
func (q *query) pack() []byte {
	m := q.msg
	m.Compress = true
	if q.edns {
		opt := &dns.OPT{Hdr: dns.RR_Header{Name: ".", Rrtype: dns.TypeOPT}}
		opt.SetUDPSize(udpMost)
		opt.SetDo(q.do)
		if q.ede != nil {
			opt.Option = append(opt.Option, q.ede)
		}
		m.Extra = append(m.Extra, opt)
	} else if m.Rcode > 0xf {
		m.Rcode = dns.RcodeServerFailure
	}
	out, err := m.Pack()
	if err == nil && len(out) > q.size {
		m.Truncate(q.size)
		out, err = m.Pack()
	}
	if err != nil { // upstream's data that cannot be written as it was read
		m.Answer, m.Ns, m.Extra, m.Rcode = nil, nil, nil, dns.RcodeServerFailure
		if out, err = m.Pack(); err != nil {
			return nil
		}
	}
	return out
}

// fail makes the answer one without data. why is for people, "" for nothing.
func (q *query) fail(rcode int, code uint16, why string) {
	q.msg.Rcode = rcode
	q.msg.Answer, q.msg.Ns, q.msg.Extra = nil, nil, nil
	if why != "" {
		q.ede = &dns.EDNS0_EDE{InfoCode: code, ExtraText: why}
	}
}
