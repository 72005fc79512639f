// SPDX-License-Identifier: BSD-3-Clause

// Package socks is a SOCKS5 server (RFC 1928, RFC 1929): programs that can use
// one reach services by Ouroboros name, and what lies beyond exits, without
// privileges (DESIGN §6). It has CONNECT and UDP ASSOCIATE, and takes host
// names: they are not resolved here.
//
// Start with New, Start and Close.
package socks

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"o7gw/proxy"
	"o7gw/proxy/ledger"
	"o7gw/proxy/listen"
	"o7gw/proxy/route"
	"o7gw/proxy/session"
	"o7gw/proxy/users"
)

const (
	// handshakeLimit is how long a client may take until its request is
	// complete.
	handshakeLimit = 10 * time.Second
	// partLimit is how long the client of a refused request may take to read
	// the reply and close, and partBytes how much it may send meanwhile.
	partLimit = time.Second
	partBytes = 64 << 10
)

// Server is a SOCKS5 server.
type Server struct {
	dialer *proxy.Dialer
	table  func() *route.Table
	log    *slog.Logger
	book   *ledger.Book
	tcp    *listen.TCP
	users  atomic.Pointer[users.List]
	cfg    atomic.Pointer[Config] // never changed, only replaced
	udp    associations
	flows  *listen.Gate // of UDP, of all associations
}

// New returns a server that Start starts. table returns the routes of the
// moment.
func New(cfg Config, d *proxy.Dialer, table func() *route.Table, log *slog.Logger) *Server {
	s := &Server{
		dialer: d, table: table,
		log:  log.With("component", "o7gw/socks"),
		book: ledger.New("socks", "", log),
	}
	s.users.Store(users.New(cfg.Users))
	s.cfg.Store(&cfg)
	s.flows = listen.NewGate(cfg.MaxSessions)
	s.tcp = listen.NewTCP(s.log, s.book, cfg.MaxSessions, s.serve)
	return s
}

// Start opens the local addresses.
func (s *Server) Start(context.Context) error {
	cfg := s.cfg.Load()
	s.udp.start()
	if err := s.tcp.Listen(cfg.Listen); err != nil {
		s.Close()
		return fmt.Errorf("socks: %w", err)
	}
	listen.WarnOpen(s.log, cfg.Listen, s.users.Load().Empty())
	s.book.SetState("up", nil)
	return nil
}

// Addrs returns the local addresses that are open.
func (s *Server) Addrs() []netip.AddrPort { return s.tcp.Addrs() }

// Drain closes the local addresses; sessions go on.
func (s *Server) Drain() {
	s.tcp.Drain()
	s.book.SetState("draining", nil)
}

// Close ends all sessions and returns when nothing is left.
func (s *Server) Close() error {
	s.tcp.Close()
	s.udp.close()
	return nil
}

// Config returns a copy of the configuration in use.
func (s *Server) Config() Config { return *s.cfg.Load() }

// Update applies a configuration to new sessions, and returns the keys that
// could not be applied.
func (s *Server) Update(cfg Config) (restart []string) {
	old := s.cfg.Load()
	if err := s.tcp.Listen(cfg.Listen); err != nil {
		s.log.Error("the new local addresses could not be opened, the old ones stay", "err", err)
		restart = append(restart, "listen")
		cfg.Listen = old.Listen
	}
	s.tcp.SetMax(cfg.MaxSessions)
	s.flows.Set(cfg.MaxSessions)
	s.users.Store(users.New(cfg.Users))
	s.udp.setIdle(cfg.IdleUDP)
	s.cfg.Store(&cfg)
	listen.WarnOpen(s.log, cfg.Listen, s.users.Load().Empty())
	return restart
}

// Book returns the sessions.
func (s *Server) Book() *ledger.Book { return s.book }

// serve serves one client.
func (s *Server) serve(ctx context.Context, c *net.TCPConn) {
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.Close() })()
	from := listen.Source(c)
	var check func(user, password string) bool
	if u := s.users.Load(); !u.Empty() {
		check = u.Check
	}
	h := newHandshake(check)
	c.SetDeadline(time.Now().Add(handshakeLimit))
	if err := negotiate(c, h); err != nil {
		if err != io.EOF { // a connection without a word is a probe
			s.book.Refused(ledger.Info{Proto: session.TCP, Source: from.String()}, fmt.Errorf("handshake: %w", err))
			part(c)
		}
		return
	}
	c.SetDeadline(time.Time{})
	if h.command == commandAssociate {
		s.associate(ctx, c, from, h.target)
		return
	}
	s.connect(ctx, c, from, h.target)
}

// negotiate leads a handshake to its end. What the client sends behind its
// request is not read.
func negotiate(c *net.TCPConn, h *handshake) error {
	buf := make([]byte, 256)
	for begun := false; h.need() > 0; begun = true {
		n, err := c.Read(buf[:min(h.need(), len(buf))])
		if err == io.EOF && begun {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return err
		}
		reply, err := h.take(buf[:n])
		if len(reply) > 0 {
			if _, werr := c.Write(reply); werr != nil {
				return errors.Join(err, werr)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// part takes leave of a client that has got a reply which it should read:
// closing while something of it is unread would reset the connection, and the
// reply would be lost.
func part(c *net.TCPConn) {
	c.CloseWrite()
	c.SetReadDeadline(time.Now().Add(partLimit))
	io.CopyN(io.Discard, c, partBytes)
}

// connect carries one connection: the client is told that it is connected when
// it is.
func (s *Server) connect(ctx context.Context, c *net.TCPConn, from netip.AddrPort, to address) {
	info := ledger.Info{Proto: session.TCP, Source: from.String(), Target: to.String()}
	dest := route.Dest{Host: to.host, Addr: to.addr, Port: to.port, Proto: session.TCP}
	conn, way, err := s.table().DialTCP(ctx, s.dialer, dest, from)
	info.Service = way.Service
	if err != nil {
		s.book.Refused(info, err)
		c.SetWriteDeadline(time.Now().Add(partLimit))
		c.Write(reply(code(err), none))
		part(c)
		return
	}
	if _, err := c.Write(reply(succeeded, none)); err != nil {
		conn.Reset()
		s.book.Refused(info, err)
		return
	}
	info.Peer = conn.Flow().Peer()
	e := s.book.Open(info)
	e.Close(proxy.Relay(ctx, c, conn, e))
}
