// SPDX-License-Identifier: BSD-3-Clause

package socks

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/netip"
	"sync/atomic"

	"o7gw/o7s/packet"
	"o7gw/proxy"
	"o7gw/proxy/ledger"
	"o7gw/proxy/listen"
	"o7gw/proxy/route"
	"o7gw/proxy/session"
	"o7gw/proxy/udpsock"
)

// flowsMost is how many flows one association may have at a time: one for each
// service and host name that it sends to, and one for each exit.
const flowsMost = 256

// association relays the datagrams of one client, as long as its TCP connection
// stays (RFC 1928 §6 and §7).
//
//	client ─ UDP, with header ─ [association] ┬ Packets ═ flow ═ service
//	                                          └ Packets ═ flow ═ exit
type association struct {
	server *Server
	sock   *udpsock.Socket
	source netip.AddrPort // of the TCP connection
	// client is where datagrams may come from. Its port is 0 until the first
	// has come, unless the client has named it.
	client atomic.Pointer[netip.AddrPort]
	flows  *listen.Sessions[target]
	count  atomic.Int32 // flows

	dropped atomic.Uint64

	// The destination of the datagram before, as the client has written it, and
	// its flow; used by the reader only.
	lastRaw []byte
	last    *listen.Session[target]
	beyond  bool // it is an address beyond an exit
}

// target tells the flows of an association apart: by service, and by what the
// client has asked for, unless that is an address beyond an exit, which all
// share a flow.
type target struct{ service, asked string }

// associate serves UDP ASSOCIATE until the client closes the connection.
func (s *Server) associate(ctx context.Context, c *net.TCPConn, from netip.AddrPort, named address) {
	a, err := s.newAssociation(c, from, named)
	if err != nil {
		s.book.Refused(ledger.Info{Proto: session.UDP, Source: from.String()}, err)
		c.Write(reply(failure, none))
		part(c)
		return
	}
	s.udp.add(a)
	reading := make(chan struct{})
	go func() {
		defer close(reading)
		a.read()
	}()
	bound := a.sock.LocalAddr().(*net.UDPAddr).AddrPort()
	_, err = c.Write(reply(succeeded, netip.AddrPortFrom(bound.Addr().Unmap().WithZone(""), bound.Port())))
	if err == nil {
		hold(c)
	}
	s.udp.remove(a)
	a.sock.Close()
	<-reading
	a.flows.Close()
	s.log.Debug("association ended", "source", from, "dropped", a.dropped.Load())
}

// hold waits until the client ends its direction of the connection, on which it
// has nothing to say. It needs no buffer worth the name, since that may be long.
func hold(c *net.TCPConn) {
	var buf [16]byte
	for {
		if _, err := c.Read(buf[:]); err != nil {
			return
		}
	}
}

// newAssociation opens a socket at the address at which the client has reached
// the server. named is where the client says that it will send from: an
// address that is not its own is not believed.
func (s *Server) newAssociation(c *net.TCPConn, from netip.AddrPort, named address) (*association, error) {
	local, ok := c.LocalAddr().(*net.TCPAddr)
	if !ok {
		return nil, net.ErrClosed
	}
	u, err := net.ListenUDP("udp", &net.UDPAddr{IP: local.IP, Zone: local.Zone})
	if err != nil {
		return nil, err
	}
	sock, err := udpsock.New(u, false)
	if err != nil {
		u.Close()
		return nil, err
	}
	client := netip.AddrPortFrom(from.Addr(), 0)
	if named.addr == from.Addr() {
		client = netip.AddrPortFrom(from.Addr(), named.port)
	}
	a := &association{server: s, sock: sock, source: from, flows: listen.NewSessions[target](s.book, s.cfg.Load().IdleUDP)}
	a.client.Store(&client)
	return a, nil
}

// read takes datagrams of the client until the socket is closed.
func (a *association) read() {
	for {
		d, err := a.sock.Read()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue // an ICMP error: the client does not listen at present
		}
		a.take(d)
	}
}

// take sends datagrams of the client on; it takes the buffers. Those that go
// the same way one after the other go together.
func (a *association) take(d []proxy.Datagram) {
	run := d[:0]
	var to *listen.Session[target]
	for i := range d {
		next := a.prepare(&d[i])
		if next == nil {
			a.dropped.Add(1)
			d[i].Buf.Release()
			continue
		}
		if next != to && len(run) > 0 {
			a.flows.Send(to, run)
			run = run[:0]
		}
		to, run = next, append(run, d[i])
	}
	if len(run) > 0 {
		a.flows.Send(to, run)
	}
}

// mine reports whether a datagram is the client's. The first decides from which
// port it sends.
func (a *association) mine(from netip.AddrPort) bool {
	client := *a.client.Load()
	if client.Port() == 0 && client.Addr() == from.Addr() {
		client = from
		a.client.Store(&client)
	}
	return client == from
}

// prepare takes the header off a datagram of the client and returns the flow
// that it belongs to; nil: it is dropped.
func (a *association) prepare(d *proxy.Datagram) *listen.Session[target] {
	if !a.mine(d.Addr) {
		return nil
	}
	to, raw, n, err := parseRelayed(d.Buf.Bytes())
	if err != nil || to.port == 0 {
		return nil
	}
	if a.last == nil || !bytes.Equal(raw, a.lastRaw) || a.last.Over() {
		a.last = a.find(to, raw)
		a.lastRaw = append(a.lastRaw[:0], raw...)
	}
	d.Buf.TrimFront(n)
	d.Addr = netip.AddrPort{}
	if a.beyond {
		d.Addr = netip.AddrPortFrom(to.addr, to.port)
	}
	return a.last
}

// find returns the flow to a destination, and begins it if there is none.
func (a *association) find(to address, raw []byte) *listen.Session[target] {
	book := a.server.book
	ways, err := a.server.table().FindAll(route.Dest{Host: to.host, Addr: to.addr, Port: to.port, Proto: session.UDP})
	if err != nil {
		book.Refused(ledger.Info{Proto: session.UDP, Source: a.source.String(), Target: to.String()}, err)
		return nil
	}
	k := target{service: ways[0].Service}
	if a.beyond = ways[0].Request.Addr.IsValid(); !a.beyond {
		k.asked = string(raw)
	}
	if c := a.flows.Find(k); c != nil {
		return c
	}
	asked := bytes.Clone(raw)
	info := ledger.Info{Proto: session.UDP, Source: a.source.String(), Target: to.String(), Service: k.service}
	c := a.flows.Begin(k, listen.Beginning{
		Dial: func(ctx context.Context) (*proxy.Packets, ledger.Info, error) {
			p, way, err := route.DialUDP(ctx, a.server.dialer, ways, a.source)
			info.Service = way.Service
			return p, info, err
		},
		Answer: func(d []proxy.Datagram) { a.answer(asked, d) },
		Enter:  a.enter,
		Leave:  a.leave,
	})
	if c == nil {
		book.Refused(info, session.Busy)
	}
	return c
}

// enter takes a place for a flow, among those of the association and among
// those of all.
func (a *association) enter() bool {
	if a.count.Add(1) > flowsMost || !a.server.flows.Enter(a.source.Addr()) {
		a.count.Add(-1)
		return false
	}
	return true
}

// leave gives the place of a flow back.
func (a *association) leave() {
	a.count.Add(-1)
	a.server.flows.Leave(a.source.Addr())
}

// answer takes datagrams of a flow to the client. They come from where it has
// sent to, as it has written that, or from an address beyond an exit.
func (a *association) answer(asked []byte, d []proxy.Datagram) {
	client := *a.client.Load()
	for i := range d {
		header(d[i].Buf, asked, d[i].Addr)
		d[i].Addr = client
	}
	a.sock.Write(d)
}

// header puts the header of a relayed datagram in front of one.
func header(b *packet.Buffer, asked []byte, from netip.AddrPort) {
	if from.IsValid() {
		var raw [1 + 16 + 2]byte
		asked = appendAddress(raw[:0], from)
	}
	h := b.Prepend(relayHeader + len(asked))
	clear(h[:relayHeader])
	copy(h[relayHeader:], asked)
}
