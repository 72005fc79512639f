// SPDX-License-Identifier: BSD-3-Clause

package names

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/miekg/dns"
)

const (
	// badFor is how long a server that did not answer is asked after the others.
	badFor = 15 * time.Second
	// failedFor is how long a question that had no answer is not asked again
	// (RFC 9520 §3.2): one that went round a loop may come late.
	failedFor = 2 * time.Second
	// failuresMost bounds what is remembered of them.
	failuresMost = 4096
	// warnEvery bounds the log lines on a loop.
	warnEvery = time.Minute
)

// patience is how long upstream servers are waited for.
type patience struct {
	tries []time.Duration // each server is asked as often as this long, over UDP
	all   time.Duration   // bounds the search for an answer
}

// defaultPatience ends before clients, which ask again after 5 s.
func defaultPatience() patience {
	return patience{[]time.Duration{time.Second, 2 * time.Second}, 4500 * time.Millisecond}
}

// Control is called for each socket before it is connected, as that of a
// net.Dialer: to mark packets that shall not come back to the gateway.
type Control func(network, address string, c syscall.RawConn) error

// upstream is a server that names of other zones are asked.
type upstream struct {
	addr netip.AddrPort
	bad  atomic.Int64 // Unix ns; until then it is asked last
}

// question is what makes two queries for upstream the same.
type question struct {
	name   string
	typ    uint16
	do, cd bool
}

// flight is a question on its way.
type flight struct {
	id     atomic.Uint32 // of the message to the server, and 1<<16; 0: none
	joined atomic.Bool   // the question came in again meanwhile
	done   chan struct{}
	answer *dns.Msg // read only
	err    error
	until  time.Time // of a failure; guarded by relay.mu
}

// relay asks upstream servers. The same question is on its way once, and not
// again for a while if it had no answer: a query that comes back through somebody
// else waits for itself, is not sent again, and ends with its time; one that comes
// straight back is recognised by its number.
type relay struct {
	patience
	control Control
	log     *slog.Logger
	blocked func(netip.Addr) bool // addresses that answers from outside may not have
	list    atomic.Pointer[[]*upstream]
	count   *counters
	warned  atomic.Int64

	mu       sync.Mutex
	flights  map[question]*flight // on their way, or failed just now
	failures []failed             // the oldest first
}

// failed is a question that had no answer.
type failed struct {
	question
	*flight
}

func newRelay(control Control, blocked func(netip.Addr) bool, count *counters, log *slog.Logger) *relay {
	r := &relay{patience: defaultPatience(), control: control, log: log, blocked: blocked, count: count, flights: map[question]*flight{}}
	r.list.Store(&[]*upstream{})
	return r
}

// use sets the servers.
func (r *relay) use(addrs []netip.AddrPort) {
	list := make([]*upstream, len(addrs))
	for i, a := range addrs {
		list[i] = &upstream{addr: a}
	}
	r.list.Store(&list)
}

func (r *relay) servers() []*upstream { return *r.list.Load() }

var errNone = errors.New("no upstream server is left")

var errLoop = errors.New("the query came back: an upstream server asks this one")

// resolve answers a query with what a server says.
func (r *relay) resolve(ctx context.Context, q *query) {
	m, err := r.find(ctx, q)
	q.msg.RecursionAvailable = true
	if err != nil {
		r.count.unreached.Add(1)
		q.fail(dns.RcodeServerFailure, dns.ExtendedErrorCodeNoReachableAuthority, err.Error())
		return
	}
	r.count.relayed.Add(1)
	r.give(q, m)
}

// give makes the answer of a server that to a client.
func (r *relay) give(q *query, m *dns.Msg) {
	q.msg.Rcode = m.Rcode
	q.msg.AuthenticatedData = m.AuthenticatedData && (q.ad || q.do)
	q.msg.Answer, q.msg.Ns = slices.Clone(m.Answer), slices.Clone(m.Ns)
	q.msg.Extra = nil
	for _, rr := range m.Extra {
		if rr.Header().Rrtype != dns.TypeOPT {
			q.msg.Extra = append(q.msg.Extra, rr)
		}
	}
	r.filter(q)
}

// filter takes out addresses of our own ranges: otherwise a name of somebody
// else could lead a browser to a service of ours (DNS rebinding).
func (r *relay) filter(q *query) {
	own := func(rr dns.RR) bool {
		var ip []byte
		switch rr := rr.(type) {
		case *dns.A:
			ip = rr.A
		case *dns.AAAA:
			ip = rr.AAAA
		}
		a, ok := netip.AddrFromSlice(ip)
		return ok && r.blocked(a.Unmap())
	}
	n := len(q.msg.Answer)
	q.msg.Answer = slices.DeleteFunc(q.msg.Answer, own)
	q.msg.Extra = slices.DeleteFunc(q.msg.Extra, own)
	if len(q.msg.Answer) < n {
		q.msg.AuthenticatedData = false
		q.ede = &dns.EDNS0_EDE{InfoCode: dns.ExtendedErrorCodeFiltered, ExtraText: "addresses of the gateway's ranges"}
	}
}

// find returns what a server says.
func (r *relay) find(ctx context.Context, q *query) (*dns.Msg, error) {
	key := question{toLower(q.name), q.typ, q.do, q.cd}
	r.mu.Lock()
	f := r.flights[key]
	if f != nil && (f.until.IsZero() || time.Now().Before(f.until)) {
		r.mu.Unlock()
		if f.id.Load() == 1<<16|uint32(q.id) {
			r.count.loops.Add(1)
			r.warn("a query to an upstream server came back: it asks this gateway")
			return nil, errLoop
		}
		f.joined.Store(true)
		select {
		case <-f.done:
			return f.answer, f.err
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	f = &flight{done: make(chan struct{})}
	r.flights[key] = f
	r.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, r.all)
	defer cancel()
	f.answer, f.err = r.ask(ctx, q, f)
	if errors.Is(f.err, errTimeout) && f.joined.Load() {
		r.warn("no upstream server answered, and the same question came in again: do they ask this gateway?")
	}
	r.land(key, f)
	return f.answer, f.err
}

// land ends a flight. Its failure is remembered for a while.
func (r *relay) land(key question, f *flight) {
	now := time.Now()
	r.mu.Lock()
	for len(r.failures) > 0 && !now.Before(r.failures[0].until) {
		if old := r.failures[0]; r.flights[old.question] == old.flight { // not asked again since
			delete(r.flights, old.question)
		}
		r.failures = r.failures[1:]
	}
	if f.err != nil && len(r.failures) < failuresMost {
		f.until = now.Add(failedFor)
		r.failures = append(r.failures, failed{key, f})
	} else {
		delete(r.flights, key)
	}
	r.mu.Unlock()
	close(f.done)
}

func (r *relay) warn(what string) {
	now := time.Now().UnixNano()
	if last := r.warned.Load(); now-last > int64(warnEvery) && r.warned.CompareAndSwap(last, now) {
		r.log.Warn(what, "upstream", r.addrs())
	}
}

func (r *relay) addrs() (list []netip.AddrPort) {
	for _, u := range r.servers() {
		list = append(list, u.addr)
	}
	return list
}

// ask tries the servers in order, those that failed of late last.
func (r *relay) ask(ctx context.Context, q *query, f *flight) (answer *dns.Msg, err error) {
	servers := slices.Clone(r.servers())
	now := time.Now().UnixNano()
	slices.SortStableFunc(servers, func(a, b *upstream) int {
		return btoi(a.bad.Load() > now) - btoi(b.bad.Load() > now)
	})
	err = errNone
	for _, limit := range r.tries {
		for _, u := range servers {
			m, fail := u.ask(ctx, q, limit, r.control, &f.id)
			switch {
			case ctx.Err() != nil && fail != nil:
				return nil, errTimeout
			case fail != nil:
				err = fail
				u.bad.Store(time.Now().Add(badFor).UnixNano())
			case m.Rcode == dns.RcodeSuccess || m.Rcode == dns.RcodeNameError:
				u.bad.Store(0)
				return m, nil
			default: // it cannot, or does not want to; maybe another does
				answer = m
			}
		}
		if answer != nil {
			return answer, nil
		}
	}
	return nil, err
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}
