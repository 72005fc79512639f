// SPDX-License-Identifier: BSD-3-Clause

package names

import (
	"sync/atomic"

	"github.com/miekg/dns"
)

// Stats counts what a server has done since it was made.
type Stats struct {
	Queries   uint64 `json:"queries"`   // that were understood and within the limits
	Answered  uint64 `json:"answered"`  // with data
	NoData    uint64 `json:"nodata"`    // the name has nothing of the type
	NXDomain  uint64 `json:"nxdomain"`  // no such name
	Refused   uint64 `json:"refused"`   // a zone that is not ours, a type nobody gets
	Failed    uint64 `json:"failed"`    // SERVFAIL, for any reason
	Unknown   uint64 `json:"unknown"`   // of those: no layer said in time whether the name exists
	Full      uint64 `json:"full"`      // of those: no address was left
	Unreached uint64 `json:"unreached"` // of those: no upstream server answered
	Loops     uint64 `json:"loops"`     // of those: the query came back from upstream
	Relayed   uint64 `json:"relayed"`   // answered by an upstream server
	Malformed uint64 `json:"malformed"` // no query, or one that is not understood
	Limited   uint64 `json:"limited"`   // above a limit of the client or of all
	Names     int    `json:"names"`     // that have an address now
}

type counters struct {
	queries, answered, nodata, nxdomain, refused, failed      atomic.Uint64
	unknown, full, unreached, loops, relayed, malformed, over atomic.Uint64
}

// done counts an answer by what it says.
func (c *counters) done(m *dns.Msg) {
	switch {
	case m.Rcode == dns.RcodeSuccess && len(m.Answer) > 0:
		c.answered.Add(1)
	case m.Rcode == dns.RcodeSuccess:
		c.nodata.Add(1)
	case m.Rcode == dns.RcodeNameError:
		c.nxdomain.Add(1)
	case m.Rcode == dns.RcodeServerFailure:
		c.failed.Add(1)
	default:
		c.refused.Add(1)
	}
}

// Stats returns the counters.
func (s *Server) Stats() Stats {
	c := &s.count
	return Stats{
		Queries: c.queries.Load(), Answered: c.answered.Load(), NoData: c.nodata.Load(), NXDomain: c.nxdomain.Load(),
		Refused: c.refused.Load(), Failed: c.failed.Load(), Unknown: c.unknown.Load(), Full: c.full.Load(),
		Unreached: c.unreached.Load(), Loops: c.loops.Load(), Relayed: c.relayed.Load(),
		Malformed: c.malformed.Load(), Limited: c.over.Load(), Names: s.pool.Len(),
	}
}
