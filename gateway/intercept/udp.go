// SPDX-License-Identifier: BSD-3-Clause

//go:build linux

package intercept

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"o7gw/netstack"
	"o7gw/o7s/packet"
	"o7gw/proxy"
	"o7gw/proxy/ledger"
	"o7gw/proxy/listen"
	"o7gw/proxy/route"
	"o7gw/proxy/session"
)

// key tells UDP sessions apart: by source, not by destination, as far as one
// flow can serve several (RFC 4787 §4.1). Beyond an exit it can; the service of
// a name has one flow per port.
type key struct {
	src     netip.AddrPort
	service string
	port    uint16 // 0 beyond an exit
}

// sessions are the UDP sessions of an intercept. Datagrams of the kernel come
// on one goroutine.
type sessions struct {
	i   *Intercept
	all *listen.Sessions[key]

	// Of the datagram before; used by that goroutine only.
	last    *listen.Session[key]
	lastKey key
	dst     netip.AddrPort

	mu        sync.Mutex
	open      int
	perSource map[netip.Addr]int
}

func newSessions(i *Intercept) *sessions {
	return &sessions{i: i, all: listen.NewSessions[key](i.book, i.Config().IdleUDP), perSource: map[netip.Addr]int{}}
}

// handle takes a batch of datagrams from the kernel: runs of one source and
// destination go to their session together.
func (s *sessions) handle(d []netstack.Datagram) {
	for len(d) > 0 {
		n := 1
		for n < min(len(d), packet.BatchSize) && d[n].Src == d[0].Src && d[n].Dst == d[0].Dst {
			n++
		}
		s.run(d[:n])
		d = d[n:]
	}
}

func (s *sessions) run(d []netstack.Datagram) {
	src, dst := d[0].Src, d[0].Dst
	if dst.Port() == dnsPort && s.i.resolver(dst.Addr()) {
		s.i.udpDNS(d)
		return
	}
	u := s.last
	if u == nil || s.lastKey.src != src || s.dst != dst || u.Over() {
		if u = s.find(d[0]); u == nil {
			release(d)
			return
		}
		s.last, s.dst = u, dst
	}
	var out [packet.BatchSize]proxy.Datagram
	for i := range d {
		out[i].Buf = d[i].Buf
		if s.lastKey.port == 0 {
			out[i].Addr = dst
		}
	}
	s.all.Send(u, out[:len(d)])
}

// find returns the session of a datagram, and begins it if there is none; nil:
// the datagram is refused, or there is no room.
func (s *sessions) find(d netstack.Datagram) *listen.Session[key] {
	ways, err := s.i.table.Load().FindAll(route.Dest{Addr: d.Dst.Addr(), Port: d.Dst.Port(), Proto: session.UDP, DSCP: d.TOS >> 2})
	if err == nil && s.i.drain.Load() {
		err = errDraining
	}
	if err != nil {
		s.i.book.Refused(s.info(d.Src, d.Dst, ""), err)
		s.i.stack.UDPUnreachable(d)
		return nil
	}
	k := key{src: d.Src, service: ways[0].Service}
	if !ways[0].Request.Addr.IsValid() {
		k.port = d.Dst.Port()
	}
	u := s.all.Begin(k, s.beginning(k, d.Dst, ways))
	if u == nil {
		s.i.book.Refused(s.info(d.Src, d.Dst, k.service), session.Busy)
		return nil
	}
	s.lastKey = k
	return u
}

func (s *sessions) info(src, dst netip.AddrPort, service string) ledger.Info {
	return ledger.Info{Proto: session.UDP, Source: src.String(), Target: dst.String(), Service: service}
}

// beginning is how a session begins; dst is the destination of its first
// datagram, from which the answers of a named service come.
func (s *sessions) beginning(k key, dst netip.AddrPort, ways []route.Way) listen.Beginning {
	free := func() {}
	return listen.Beginning{
		Enter: func() bool {
			if !s.enter(k.src.Addr()) {
				return false
			}
			free = s.i.hold(dst.Addr(), k.service)
			return true
		},
		Leave: func() {
			free()
			s.leave(k.src.Addr())
		},
		Dial: func(ctx context.Context) (*proxy.Packets, ledger.Info, error) {
			flow, way, err := route.DialUDP(ctx, s.i.env.Dialer, ways, k.src)
			return flow, s.info(k.src, dst, way.Service), err
		},
		Answer: func(d []proxy.Datagram) { s.answer(k, dst, d) },
		Refuse: func(d proxy.Datagram) {
			s.i.stack.UDPUnreachable(netstack.Datagram{Src: k.src, Dst: dst, Buf: d.Buf})
		},
	}
}

// answer takes datagrams of a flow to the kernel.
func (s *sessions) answer(k key, dst netip.AddrPort, d []proxy.Datagram) {
	var in [packet.BatchSize]netstack.Datagram
	for len(d) > 0 {
		n := min(len(d), len(in))
		for i := range n {
			in[i] = netstack.Datagram{Src: dst, Dst: k.src, Buf: d[i].Buf}
			if k.port == 0 && d[i].Addr.IsValid() {
				in[i].Src = d[i].Addr
			}
		}
		s.i.stack.SendUDP(in[:n])
		d = d[n:]
	}
}

// enter takes a place for a session of a source, if there is one.
func (s *sessions) enter(a netip.Addr) bool {
	cfg := s.i.Config()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open >= cfg.MaxSessions || s.perSource[a] >= cfg.MaxPerSource {
		return false
	}
	s.open++
	s.perSource[a]++
	return true
}

func (s *sessions) leave(a netip.Addr) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open--
	if s.perSource[a]--; s.perSource[a] == 0 {
		delete(s.perSource, a)
	}
}

// sweep ends idle sessions until ctx ends.
func (s *sessions) sweep(ctx context.Context) {
	t := time.NewTicker(listen.SweepEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			s.all.Sweep()
		}
	}
}

func release(d []netstack.Datagram) {
	for i := range d {
		d[i].Buf.Release()
	}
}

// udpDNS answers DNS queries, each on a goroutine of its own; it takes the
// buffers.
func (i *Intercept) udpDNS(d []netstack.Datagram) {
	for _, q := range d {
		select {
		case i.dns <- struct{}{}:
		default: // too many: the client asks again
			q.Buf.Release()
			continue
		}
		i.wg.Go(func() {
			defer func() { <-i.dns }()
			answer := i.env.Names.Answer(i.ctx, q.Buf.Bytes(), q.Src, false)
			q.Buf.Release()
			if answer == nil {
				return
			}
			b := packet.Get(len(answer))
			b.Append(answer)
			i.stack.SendUDP([]netstack.Datagram{{Src: q.Dst, Dst: q.Src, Buf: b}})
		})
	}
}
