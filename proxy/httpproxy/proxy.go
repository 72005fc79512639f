// SPDX-License-Identifier: BSD-3-Clause

// Package httpproxy is an HTTP proxy (RFC 9110 §7.6, §9.3.6): browsers and
// other programs that can use one reach services by Ouroboros name, and what
// lies beyond exits, without privileges (DESIGN §6). It has CONNECT, and
// forwards requests for http URLs.
//
// Start with New, Start and Close.
package httpproxy

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"o7gw/proxy"
	"o7gw/proxy/ledger"
	"o7gw/proxy/listen"
	"o7gw/proxy/route"
	"o7gw/proxy/users"
)

const (
	// headerLimit is how long a client may take for the header of a request,
	// and headerBytes how large it may be.
	headerLimit = 10 * time.Second
	headerBytes = 256 << 10
	// idleLimit is how long a client may keep a connection without a request.
	idleLimit = 2 * time.Minute
)

// Proxy is an HTTP proxy.
type Proxy struct {
	dialer *proxy.Dialer
	table  func() *route.Table
	log    *slog.Logger
	book   *ledger.Book
	tcp    *listen.TCP
	http   http.Server
	via    string // what this proxy calls itself in Via headers
	users  atomic.Pointer[users.List]
	cfg    atomic.Pointer[Config] // never changed, only replaced

	conns     chan net.Conn // to http
	closing   chan struct{} // closed when http takes no more
	closeOnce sync.Once
	serving   sync.WaitGroup
	upstreams upstreams
}

// New returns a proxy that Start starts. table returns the routes of the
// moment.
func New(cfg Config, d *proxy.Dialer, table func() *route.Table, log *slog.Logger) *Proxy {
	p := &Proxy{
		dialer: d, table: table,
		log:   log.With("component", "o7gw/http"),
		book:  ledger.New("http", "", log),
		via:   "o7gw-" + rand.Text()[:8],
		conns: make(chan net.Conn), closing: make(chan struct{}),
	}
	p.upstreams.init()
	p.cfg.Store(&cfg)
	p.users.Store(users.New(cfg.Users))
	p.tcp = listen.NewTCP(p.log, p.book, cfg.MaxSessions, p.serve)
	p.http = http.Server{
		Handler:           http.HandlerFunc(p.handle),
		ReadHeaderTimeout: headerLimit,
		IdleTimeout:       idleLimit,
		MaxHeaderBytes:    headerBytes,
		ErrorLog:          slog.NewLogLogger(p.log.Handler(), slog.LevelDebug),
		ConnContext:       func(ctx context.Context, c net.Conn) context.Context { return context.WithValue(ctx, clientKey{}, c) },
	}
	return p
}

// Start opens the local addresses.
func (p *Proxy) Start(context.Context) error {
	cfg := p.cfg.Load()
	p.serving.Go(func() { p.http.Serve((*inbox)(p)) })
	if err := p.tcp.Listen(cfg.Listen); err != nil {
		p.Close()
		return fmt.Errorf("http: %w", err)
	}
	listen.WarnOpen(p.log, cfg.Listen, p.users.Load().Empty())
	p.book.SetState("up", nil)
	return nil
}

// Addrs returns the local addresses that are open.
func (p *Proxy) Addrs() []netip.AddrPort { return p.tcp.Addrs() }

// Drain closes the local addresses; what runs goes on, but no connection takes
// a further request.
func (p *Proxy) Drain() {
	p.tcp.Drain()
	p.http.SetKeepAlivesEnabled(false)
	p.book.SetState("draining", nil)
}

// Close ends all sessions and returns when nothing is left.
func (p *Proxy) Close() error {
	p.upstreams.cancel() // what handlers wait for
	p.http.Close()
	p.tcp.Close()
	p.serving.Wait()
	p.upstreams.close()
	return nil
}

// Config returns a copy of the configuration in use.
func (p *Proxy) Config() Config { return *p.cfg.Load() }

// Update applies a configuration to new sessions, and returns the keys that
// could not be applied.
func (p *Proxy) Update(cfg Config) (restart []string) {
	old := p.cfg.Load()
	if err := p.tcp.Listen(cfg.Listen); err != nil {
		p.log.Error("the new local addresses could not be opened, the old ones stay", "err", err)
		restart = append(restart, "listen")
		cfg.Listen = old.Listen
	}
	p.tcp.SetMax(cfg.MaxSessions)
	p.users.Store(users.New(cfg.Users))
	p.cfg.Store(&cfg)
	listen.WarnOpen(p.log, cfg.Listen, p.users.Load().Empty())
	return restart
}

// Book returns the sessions.
func (p *Proxy) Book() *ledger.Book { return p.book }

// handle serves one request.
func (p *Proxy) handle(w http.ResponseWriter, r *http.Request) {
	c := clientOf(r)
	c.handling.Lock()
	defer c.handling.Unlock()
	if c.over {
		return
	}
	if !p.authorized(r) {
		w.Header().Set("Proxy-Authenticate", `Basic realm="o7gw", charset="UTF-8"`)
		fail(w, http.StatusProxyAuthRequired, "This proxy wants a user name and a password: those of [http] users in the configuration of the gateway.")
		return
	}
	switch {
	case r.Method == http.MethodConnect:
		p.connect(w, r, c)
	case r.URL.Scheme == "http" && r.URL.Host != "":
		p.forward(w, r, c)
	case r.URL.IsAbs():
		fail(w, http.StatusNotImplemented, "This proxy forwards requests for http URLs, and has CONNECT for everything else.")
	default:
		fail(w, http.StatusBadRequest, "This is a proxy, not a web server: set it as HTTP proxy in your program.")
	}
}

// authorized checks who makes the request.
func (p *Proxy) authorized(r *http.Request) bool {
	u := p.users.Load()
	if u.Empty() {
		return true
	}
	// BasicAuth reads another header of the same form.
	as := http.Request{Header: http.Header{"Authorization": r.Header["Proxy-Authorization"]}}
	name, password, ok := as.BasicAuth()
	return ok && u.Check(name, password)
}
