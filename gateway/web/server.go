// SPDX-License-Identifier: BSD-3-Clause

// Package web is the live web page of a gateway (DESIGN §7): what it does now
// and did in the last ten minutes, in one page without a framework that asks
// nobody but this server. Metrics are served beside it.
//
//	/            the page, with its parts beside it
//	/events      server-sent events: "past" (report.Past) first, then "now"
//	             (Sample) each second
//	/api/status  the newest report.Report as JSON
//	/api/past    what plots show, as JSON
//	/metrics     the handler given to New
//
// Everything is read-only. A page on the loopback interface is for everybody
// on this machine, any other needs a token: as "Authorization: Bearer TOKEN",
// or once as ?token=TOKEN, which sets a cookie. Names in the Host header
// are checked, so that no page from elsewhere can read it through a name of its
// own that it lets point here.
//
// Start with New and Start.
package web

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/netutil"

	"o7gw/gateway/report"
	"o7gw/proxy/ledger"
)

// Server serves the page.
type Server struct {
	source  func() report.Report
	metrics http.Handler // nil: none
	log     *slog.Logger
	book    *ledger.Book
	history *report.History
	live    *live
	every   time.Duration // between samples
	cfg     atomic.Pointer[Config]

	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	wg     sync.WaitGroup // goroutines of this package
	conns  sync.WaitGroup // goroutines of net/http

	mu     sync.Mutex
	http   *http.Server // nil before Start
	l      net.Listener
	closed bool
}

// New returns a server that Start starts. source tells the state of the
// gateway, complete (report.Complete); it is called each second by one
// goroutine, for which Close waits.
func New(cfg Config, source func() report.Report, metrics http.Handler, log *slog.Logger) *Server {
	s := &Server{
		source: source, metrics: metrics,
		log:     log.With("component", "o7gw/web"),
		book:    ledger.New("web", "", log),
		history: report.NewHistory(maxPast),
		live:    newLive(),
		every:   sampleEvery,
	}
	s.cfg.Store(&cfg)
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s
}

// Start listens. The error of an address that would be open to everybody wraps
// ErrToken.
func (s *Server) Start(ctx context.Context) error {
	cfg := s.Config()
	loopback := cfg.Listen.Addr().IsLoopback()
	if cfg.Token == "" && !loopback {
		return fmt.Errorf("web page on %v: %w", cfg.Listen, ErrToken)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.http != nil {
		return fmt.Errorf("web page on %v: %w", cfg.Listen, net.ErrClosed)
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", cfg.Listen.String())
	if err != nil {
		return fmt.Errorf("web page: %w", err)
	}
	s.l = l
	s.http = &http.Server{
		Handler:           s.guard(s.routes()),
		ReadHeaderTimeout: headerLimit, ReadTimeout: requestLimit, WriteTimeout: answerLimit, IdleTimeout: idleLimit,
		MaxHeaderBytes: maxHeader,
		ErrorLog:       slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
		ConnState:      s.track,
	}
	if !loopback {
		s.log.Warn("the web page is not encrypted: whoever can listen on the way learns the token", "listen", cfg.Listen)
	}
	limited := netutil.LimitListener(l, maxConns)
	s.wg.Go(func() {
		if err := s.http.Serve(limited); !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
			s.book.SetState("down", err)
			s.log.Error("the web page ended", "err", err)
		}
	})
	s.wg.Go(s.sample)
	s.book.SetState(report.StateUp, nil)
	return nil
}

// track counts the goroutines of net/http, one per connection.
func (s *Server) track(_ net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		s.conns.Add(1)
	case http.StateClosed, http.StateHijacked:
		s.conns.Done()
	}
}

// Addr returns the address that is listened on, nil before Start.
func (s *Server) Addr() net.Addr {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.l == nil {
		return nil
	}
	return s.l.Addr()
}

// Drain takes no new connections; readers of the live page keep theirs.
func (s *Server) Drain() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.l != nil {
		s.book.SetState("draining", nil)
		s.l.Close()
	}
}

// Close ends all connections. Idempotent; also without Start.
func (s *Server) Close() error {
	s.mu.Lock()
	s.closed = true
	server := s.http
	s.mu.Unlock()
	s.cancel()
	if server != nil {
		server.Close()
	}
	s.wg.Wait()
	s.conns.Wait()
	return nil
}

// Config returns a copy of the configuration in use.
func (s *Server) Config() Config { return *s.cfg.Load() }

// Update applies token and hosts to the next requests; live streams that run
// stay. The address needs a new Server.
func (s *Server) Update(cfg Config) (restart []string) {
	old := s.Config()
	if cfg.Listen != old.Listen {
		restart = []string{"listen"}
		cfg.Listen = old.Listen
	}
	if cfg.Token == "" && !cfg.Listen.Addr().IsLoopback() {
		restart = append(restart, "token")
		cfg.Token = old.Token
	}
	if !reflect.DeepEqual(cfg, old) {
		cfg.Hosts = slices.Clone(cfg.Hosts)
		s.cfg.Store(&cfg)
	}
	return restart
}

// Book returns the account of the server, whose refused sessions are requests
// without the token.
func (s *Server) Book() *ledger.Book { return s.book }
