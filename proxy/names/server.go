// SPDX-License-Identifier: BSD-3-Clause

package names

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/miekg/dns"

	"o7gw/proxy/ledger"
)

// Server answers DNS queries. Make one with New.
type Server struct {
	log    *slog.Logger
	book   *ledger.Book
	pool   *Pool
	zone   zone
	census *census
	relay  *relay
	guard  *guard
	count  counters
	cfg    atomic.Pointer[Config] // never changed, only replaced
	ctx    context.Context        // ends with Close
	cancel context.CancelFunc
	drain  atomic.Bool
	wg     sync.WaitGroup // readers of sockets, connections, queries that wait

	mu      sync.Mutex
	sockets []*net.UDPConn
	ports   []*net.TCPListener
	conns   map[net.Conn]struct{}
	closed  bool
}

// New returns a server that Start starts. known says whether a service exists;
// nil: every name that can be one does. control is called for sockets to upstream
// servers; it may be nil.
func New(cfg Config, pool *Pool, known func(ctx context.Context, service string) (bool, error),
	control func(network, address string, c syscall.RawConn) error, log *slog.Logger) *Server {
	s := &Server{
		log: log.With("component", "o7gw/names"), book: ledger.New("names", "", log),
		pool: pool, zone: newZone(cfg.Zone), census: newCensus(known), guard: newGuard(defaultLimits()),
		conns: map[net.Conn]struct{}{},
	}
	s.relay = newRelay(control, pool.Contains, &s.count, s.log)
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.cfg.Store(&cfg)
	pool.SetTTL(cfg.TTL)
	return s
}

// apply makes the configuration in use count.
func (s *Server) apply() {
	cfg := s.cfg.Load()
	s.pool.SetTTL(cfg.TTL)
	upstream := slices.Clone(cfg.Upstream)
	upstream = slices.DeleteFunc(upstream, func(a netip.AddrPort) bool {
		own := s.self(a)
		if own {
			s.log.Warn("an upstream server is this one: not used", "upstream", a)
		}
		return own
	})
	s.relay.use(upstream)
	for _, a := range cfg.Listen {
		if len(upstream) > 0 && !a.Addr().IsLoopback() && !a.Addr().IsPrivate() && !a.Addr().IsLinkLocalUnicast() {
			s.log.Warn("all who reach this address are answered, for all names: an open resolver, unless packets are filtered", "listen", a)
		}
	}
}

// self reports whether a query to the address would be ours to answer.
func (s *Server) self(a netip.AddrPort) bool {
	if v4, v6 := s.pool.Resolver(); a.Port() == 53 && (a.Addr() == v4 || a.Addr() == v6) {
		return true
	}
	return slices.ContainsFunc(slices.Concat(s.cfg.Load().Listen, s.Addrs()), func(l netip.AddrPort) bool {
		return l == a || l.Port() == a.Port() && l.Addr().IsUnspecified() && l.Addr().Is4() == a.Addr().Is4() && local(a.Addr())
	})
}

// local reports whether an address is one of this machine.
func local(a netip.Addr) bool {
	if a.IsLoopback() || a.IsUnspecified() {
		return true
	}
	addrs, err := net.InterfaceAddrs()
	return err == nil && slices.ContainsFunc(addrs, func(n net.Addr) bool {
		ipnet, ok := n.(*net.IPNet)
		return ok && ipnet.IP.Equal(net.IP(a.AsSlice()))
	})
}

// Start opens the sockets. After an error nothing is left open.
func (s *Server) Start(ctx context.Context) error {
	for _, a := range s.cfg.Load().Listen {
		if err := s.listen(ctx, a); err != nil {
			s.Close()
			switch {
			case errors.Is(err, os.ErrPermission):
				err = fmt.Errorf("%w (ports below 1024 need root or the capability CAP_NET_BIND_SERVICE)", err)
			case errors.Is(err, syscall.EADDRINUSE):
				err = fmt.Errorf("%w (another DNS server is there; take another address, such as 127.0.0.7:53)", err)
			}
			return fmt.Errorf("serve names: %w", err)
		}
	}
	s.apply()
	s.book.SetState("up", nil)
	return nil
}

// Drain takes no more connections; queries that wait are answered, those that
// come are refused, so that clients ask another server.
func (s *Server) Drain() {
	s.drain.Store(true)
	s.book.SetState("draining", nil)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.ports {
		l.Close()
	}
	for c := range s.conns {
		c.SetReadDeadline(time.Unix(1, 0))
	}
}

// Close ends everything; it returns when nothing is left.
func (s *Server) Close() error {
	s.drain.Store(true)
	s.cancel()
	s.mu.Lock()
	s.closed = true
	for _, c := range s.sockets {
		c.Close()
	}
	for _, l := range s.ports {
		l.Close()
	}
	for c := range s.conns {
		c.Close()
	}
	s.mu.Unlock()
	s.wg.Wait()
	return nil
}

// Config returns a copy of the configuration in use.
func (s *Server) Config() Config { return *s.cfg.Load() }

// Book returns the state of the server; it has no sessions.
func (s *Server) Book() *ledger.Book { return s.book }

// Addrs returns the addresses that the server listens on, those of UDP and TCP
// being the same.
func (s *Server) Addrs() (list []netip.AddrPort) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.sockets {
		list = append(list, c.LocalAddr().(*net.UDPAddr).AddrPort())
	}
	return list
}

// Update applies to new queries what can change at run time, and returns the
// keys that cannot.
func (s *Server) Update(cfg Config) []string {
	old := s.cfg.Load()
	keys := old.needsRestart(&cfg)
	next := *old
	next.TTL, next.Upstream = cfg.TTL, slices.Clone(cfg.Upstream)
	if cfg.Check && s.census.known == nil {
		if cfg.Check != old.Check {
			keys = append(keys, "check")
		}
	} else {
		next.Check = cfg.Check
	}
	s.cfg.Store(&next)
	s.apply()
	return keys
}

// Answer answers a query that came by other ways than the sockets of the server;
// it keeps nothing of it. nil is no answer: a client over UDP asks again, the
// connection of one over TCP is to be closed. It may wait for the layers or
// upstream servers, 5 s at most.
func (s *Server) Answer(ctx context.Context, raw []byte, from netip.AddrPort, tcp bool) []byte {
	out, w := s.begin(raw, from, tcp)
	if w == nil {
		return out
	}
	return w.finish(ctx)
}

// waiting is a query that cannot be answered at once.
type waiting struct {
	s      *Server
	q      *query
	client *client
	then   later
}

// begin answers a query, or returns what has to be waited for: its finish must be
// called.
func (s *Server) begin(raw []byte, from netip.AddrPort, tcp bool) (out []byte, w *waiting) {
	now := time.Now()
	if len(raw) < headerLen || from.Port() == 0 {
		s.count.malformed.Add(1)
		return nil, nil
	}
	switch v := s.guard.admit(from.Addr(), now); {
	case v == answer:
	case raw[2]&0x80 != 0 || v == silence && !tcp:
		s.count.over.Add(1)
		return nil, nil
	case tcp:
		s.count.over.Add(1)
		return failure(raw, dns.RcodeRefused), nil
	default:
		s.count.over.Add(1)
		return truncated(raw), nil
	}
	q, fail := parse(raw, from.Addr(), tcp)
	if q == nil {
		s.count.malformed.Add(1)
		return fail, nil
	}
	s.count.queries.Add(1)
	cfg := s.cfg.Load()
	q.msg.RecursionAvailable = len(s.relay.servers()) > 0
	if s.drain.Load() {
		q.fail(dns.RcodeRefused, dns.ExtendedErrorCodeNotReady, "the gateway is ending")
		return s.done(q), nil
	}
	then := s.route(q, cfg, now)
	if then == nil {
		return s.done(q), nil
	}
	c := s.guard.wait(from.Addr(), now)
	if c == nil {
		s.count.over.Add(1)
		if !tcp {
			return nil, nil
		}
		q.fail(dns.RcodeServerFailure, dns.ExtendedErrorCodeOther, "too many queries at once")
		return s.done(q), nil
	}
	return nil, &waiting{s, q, c, then}
}

// truncated answers a query with "ask over TCP".
func truncated(raw []byte) []byte {
	q, fail := parse(raw, netip.Addr{}, false)
	if q == nil {
		return fail
	}
	q.msg.Truncated = true
	return q.pack()
}

// finish waits and returns the answer.
func (w *waiting) finish(ctx context.Context) []byte {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(w.s.ctx, cancel)()
	w.then(ctx, w.q)
	w.s.guard.leave(w.client)
	return w.s.done(w.q)
}

func (s *Server) done(q *query) []byte {
	s.count.done(q.msg)
	return q.pack()
}
