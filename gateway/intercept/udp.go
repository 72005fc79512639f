// SPDX-License-Identifier: BSD-3-Clause

//go:build linux

package intercept

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"o7gw/netstack"
	"o7gw/o7s/packet"
	"o7gw/proxy"
	"o7gw/proxy/ledger"
	"o7gw/proxy/route"
	"o7gw/proxy/session"
)

const (
	// sweepEvery is how often idle sessions are looked for, and the
	// resolution of their idle time.
	sweepEvery = time.Second
	// waitingMost is how many datagrams wait for the flow of their session.
	waitingMost = 64
	// dialsAtOnce is how many flows for UDP are allocated at a time; datagrams
	// that would need one more are dropped, and sent again by who needs them.
	dialsAtOnce = 128
	// failedFor is how long datagrams are refused without another attempt
	// after one to allocate the flow failed.
	failedFor = time.Second
)

// errIdle ends a session through which nothing passed.
var errIdle = errors.New("idle")

// key tells sessions apart: by source, not by destination, as far as one flow
// can serve several (RFC 4787 §4.1). Beyond an exit it can; the service of a
// name has one flow per port.
type key struct {
	src     netip.AddrPort
	service string
	port    uint16 // 0 beyond an exit
}

// sessions are the UDP sessions of an intercept. Datagrams of the kernel come
// on one goroutine.
type sessions struct {
	i    *Intercept
	tick atomic.Int64 // sweeps so far: the clock of idle times
	full atomic.Uint64
	last *udpSession // of the datagram before; used by handle only
	dst  netip.AddrPort

	mu        sync.Mutex
	open      map[key]*udpSession
	perSource map[netip.Addr]int
	dialling  int
	closed    bool
	wg        sync.WaitGroup // flows being allocated
}

// udpSession is what one source sends to one service.
type udpSession struct {
	s     *sessions
	key   key
	dst   netip.AddrPort // of the first datagram: the source of answers of a named service
	entry *ledger.Session
	free  func()       // gives the address of the name back
	used  atomic.Int64 // tick
	flow  atomic.Pointer[proxy.Packets]

	mu      sync.Mutex
	waiting []netstack.Datagram // until flow is there
	ended   bool
	refused bool // the flow could not be allocated: until the sweep
}

func newSessions(i *Intercept) *sessions {
	return &sessions{i: i, open: map[key]*udpSession{}, perSource: map[netip.Addr]int{}}
}

// handle takes a batch of datagrams from the kernel: runs of one source and
// destination go to their session together.
func (s *sessions) handle(d []netstack.Datagram) {
	for len(d) > 0 {
		n := 1
		for n < len(d) && d[n].Src == d[0].Src && d[n].Dst == d[0].Dst {
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
	if u == nil || u.key.src != src || s.dst != dst || u.over() {
		if u = s.find(d[0]); u == nil {
			release(d)
			return
		}
		s.last, s.dst = u, dst
	}
	u.used.Store(s.tick.Load())
	u.send(d)
}

// find returns the session of a datagram, and begins one if there is none;
// nil: the datagram is refused.
func (s *sessions) find(d netstack.Datagram) *udpSession {
	ways, err := s.i.table.Load().FindAll(route.Dest{Addr: d.Dst.Addr(), Port: d.Dst.Port(), Proto: session.UDP, DSCP: d.TOS >> 2})
	if err != nil {
		s.refuse(d, "", err)
		return nil
	}
	k := key{src: d.Src, service: ways[0].Service}
	if !ways[0].Request.Addr.IsValid() {
		k.port = d.Dst.Port()
	}
	s.mu.Lock()
	u, err := s.beginLocked(k, d.Dst, ways)
	s.mu.Unlock()
	if err != nil {
		s.refuse(d, k.service, err)
		return nil
	}
	return u
}

// beginLocked returns the open session of the key, or starts allocating a flow
// for a new one.
func (s *sessions) beginLocked(k key, dst netip.AddrPort, ways []route.Way) (*udpSession, error) {
	if u := s.open[k]; u != nil {
		return u, nil
	}
	cfg := s.i.Config()
	switch {
	case s.closed || s.i.drain.Load():
		return nil, errDraining
	case len(s.open) >= cfg.MaxSessions, s.perSource[k.src.Addr()] >= cfg.MaxPerSource, s.dialling >= dialsAtOnce:
		s.full.Add(1)
		return nil, session.Busy
	}
	u := &udpSession{s: s, key: k, dst: dst}
	u.used.Store(s.tick.Load())
	s.open[k] = u
	s.perSource[k.src.Addr()]++
	s.dialling++
	s.wg.Go(func() {
		u.dial(ways)
		s.mu.Lock()
		s.dialling--
		s.mu.Unlock()
	})
	return u, nil
}

// refuse tells the sender that nobody takes the datagram, unless the reason is
// that there is too much work.
func (s *sessions) refuse(d netstack.Datagram, service string, err error) {
	s.i.book.Refused(ledger.Info{Proto: session.UDP, Source: d.Src.String(), Target: d.Dst.String(), Service: service}, err)
	if session.StatusOf(err) != session.Busy {
		s.i.stack.UDPUnreachable(d)
	}
}

// dial allocates the flow and sends what has waited for it.
func (u *udpSession) dial(ways []route.Way) {
	i := u.s.i
	info := ledger.Info{Proto: session.UDP, Source: u.key.src.String(), Target: u.dst.String(), Service: u.key.service}
	var flow *proxy.Packets
	var err error
	for _, way := range ways {
		way.Request.Source = u.key.src
		if flow, err = i.env.Dialer.DialUDP(i.ctx, way.Service, way.QoS, way.Request); err == nil || !proxy.NobodyServes(err) {
			break
		}
	}
	if err != nil {
		i.book.Refused(info, err)
		u.fail()
		return
	}
	info.Peer = flow.Flow().Peer()
	u.entry = i.book.Open(info)
	u.free = i.hold(u.dst.Addr(), u.key.service)
	u.mu.Lock()
	if u.ended {
		u.mu.Unlock()
		flow.Close()
		u.free()
		u.entry.Close(errIdle)
		return
	}
	u.flow.Store(flow)
	waiting := u.waiting
	u.waiting = nil
	u.transmit(flow, waiting)
	u.mu.Unlock()
	flow.Receive(u.receive, func(err error) { u.s.end(u, err) })
}

// fail refuses what waits, and what comes until the sweep forgets the session.
func (u *udpSession) fail() {
	u.mu.Lock()
	waiting := u.waiting
	u.waiting, u.refused = nil, true
	u.mu.Unlock()
	if len(waiting) > 0 {
		u.s.i.stack.UDPUnreachable(waiting[0])
	}
	release(waiting)
	u.used.Store(u.s.tick.Load())
}

// over reports whether the session has ended.
func (u *udpSession) over() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.ended
}

// send sends datagrams of the kernel; it takes the buffers.
func (u *udpSession) send(d []netstack.Datagram) {
	if flow := u.flow.Load(); flow != nil {
		u.transmit(flow, d)
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	switch flow := u.flow.Load(); {
	case flow != nil:
		u.transmit(flow, d)
	case u.refused:
		u.s.i.stack.UDPUnreachable(d[0])
		release(d)
	case u.ended:
		release(d)
	default:
		n := min(len(d), waitingMost-len(u.waiting))
		u.waiting = append(u.waiting, d[:n]...)
		release(d[n:])
	}
}

// transmit hands datagrams to the flow.
func (u *udpSession) transmit(flow *proxy.Packets, d []netstack.Datagram) {
	var out [packet.BatchSize]proxy.Datagram
	bytes, packets := 0, len(d)
	for len(d) > 0 {
		n := min(len(d), len(out))
		for i := range n {
			out[i].Buf, out[i].Addr = d[i].Buf, netip.AddrPort{}
			if u.key.port == 0 {
				out[i].Addr = d[i].Dst
			}
			bytes += d[i].Buf.Len()
		}
		flow.Send(out[:n]) // what the layer has no room for is lost, as on any network
		d = d[n:]
	}
	if packets > 0 {
		u.entry.Tx(packets, bytes)
	}
}

// receive takes datagrams of the flow to the kernel.
func (u *udpSession) receive(d []proxy.Datagram) {
	u.used.Store(u.s.tick.Load())
	var in [packet.BatchSize]netstack.Datagram
	u.entry.Rx(len(d), sum(d))
	for len(d) > 0 {
		n := min(len(d), len(in))
		for i := range n {
			in[i] = netstack.Datagram{Src: u.dst, Dst: u.key.src, Buf: d[i].Buf}
			if u.key.port == 0 && d[i].Addr.IsValid() {
				in[i].Src = d[i].Addr
			}
		}
		u.s.i.stack.SendUDP(in[:n])
		d = d[n:]
	}
}

func sum(d []proxy.Datagram) (bytes int) {
	for i := range d {
		bytes += d[i].Buf.Len()
	}
	return bytes
}

// end ends a session, once.
func (s *sessions) end(u *udpSession, reason error) {
	u.mu.Lock()
	if u.ended {
		u.mu.Unlock()
		return
	}
	u.ended = true
	release(u.waiting)
	u.waiting = nil
	flow := u.flow.Load()
	u.mu.Unlock()

	s.mu.Lock()
	delete(s.open, u.key)
	if a := u.key.src.Addr(); s.perSource[a] > 1 {
		s.perSource[a]--
	} else {
		delete(s.perSource, a)
	}
	s.mu.Unlock()
	if flow != nil {
		flow.Close()
		u.free()
		u.entry.Close(reason)
	}
}

// sweep ends idle sessions until ctx ends.
func (s *sessions) sweep(ctx context.Context) {
	t := time.NewTicker(sweepEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		now := s.tick.Add(1)
		idle := int64(s.i.Config().IdleUDP / sweepEvery)
		for _, u := range s.idle(now, idle) {
			s.end(u, errIdle)
		}
	}
}

// idle returns the sessions that are due.
func (s *sessions) idle(now, idle int64) (due []*udpSession) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, u := range s.open {
		limit := idle
		u.mu.Lock()
		if u.refused {
			limit = int64(failedFor / sweepEvery)
		}
		u.mu.Unlock()
		if now-u.used.Load() > limit {
			due = append(due, u)
		}
	}
	return due
}

// close ends all sessions; the context of the intercept has ended.
func (s *sessions) close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.wg.Wait()
	s.mu.Lock()
	var all []*udpSession
	for _, u := range s.open {
		all = append(all, u)
	}
	s.mu.Unlock()
	for _, u := range all {
		s.end(u, errDraining)
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
