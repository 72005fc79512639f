// SPDX-License-Identifier: BSD-3-Clause

package listen

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"o7gw/proxy"
	"o7gw/proxy/ledger"
	"o7gw/proxy/session"
	"o7gw/proxy/udpsock"
)

// Dial begins the session of a client.
type Dial func(ctx context.Context, from netip.AddrPort) (*proxy.Packets, ledger.Info, error)

// UDP takes datagrams at one address: each client, by its address and port, has
// a session.
type UDP struct {
	sock     *udpsock.Socket
	dial     Dial
	book     *ledger.Book
	gate     *Gate
	sessions *Sessions[netip.AddrPort]
	wg       sync.WaitGroup
	ended    chan struct{}
	end      sync.Once
	dropped  atomic.Uint64
}

// ListenUDP opens an address. Clients need a place in the gate; their sessions
// end when nothing passes for the idle time.
func ListenUDP(at netip.AddrPort, gate *Gate, idle time.Duration, book *ledger.Book, dial Dial) (*UDP, error) {
	c, err := net.ListenUDP(family("udp", at), net.UDPAddrFromAddrPort(at))
	if err != nil {
		return nil, fmt.Errorf("listen at udp %v: %w", at, err)
	}
	sock, err := udpsock.New(c, false)
	if err == nil && at.Addr().IsUnspecified() {
		err = sock.TellLocal()
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	u := &UDP{sock: sock, dial: dial, book: book, gate: gate, sessions: NewSessions[netip.AddrPort](book, idle), ended: make(chan struct{})}
	u.wg.Go(u.read)
	u.wg.Go(u.sweep)
	return u, nil
}

// Addr returns the address.
func (u *UDP) Addr() netip.AddrPort { return u.sock.LocalAddr().(*net.UDPAddr).AddrPort() }

// SetIdle changes the idle time.
func (u *UDP) SetIdle(idle time.Duration) { u.sessions.SetIdle(idle) }

// Dropped returns how many datagrams were lost because there was no room for
// the session of their client.
func (u *UDP) Dropped() uint64 { return u.dropped.Load() }

// read takes datagrams until the socket is closed.
func (u *UDP) read() {
	for {
		d, err := u.sock.Read()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue // an ICMP error about a client that is gone
		}
		for at := 0; at < len(d); {
			end := at + 1
			for end < len(d) && d[end].Addr == d[at].Addr {
				end++
			}
			u.take(d[at:end], u.sock.Local(at))
			at = end
		}
	}
}

// take hands datagrams of one client, which it has sent to a local address, to
// its session; it takes the buffers.
func (u *UDP) take(d []proxy.Datagram, local netip.Addr) {
	from := d[0].Addr
	c := u.sessions.Find(from)
	if c == nil {
		if c = u.sessions.Begin(from, u.begin(from, local)); c == nil {
			u.dropped.Add(uint64(len(d)))
			Release(d)
			return
		}
	}
	for i := range d {
		d[i].Addr = netip.AddrPort{} // the target is that of the request
	}
	u.sessions.Send(c, d)
}

func (u *UDP) begin(from netip.AddrPort, local netip.Addr) Beginning {
	return Beginning{
		Dial:   func(ctx context.Context) (*proxy.Packets, ledger.Info, error) { return u.dial(ctx, from) },
		Answer: func(d []proxy.Datagram) { u.answer(local, from, d) },
		Enter:  func() bool { return u.gate.Enter(from.Addr()) },
		Leave:  func() { u.gate.Leave(from.Addr()) },
	}
}

// answer takes datagrams of a flow to the client, from the address that it has
// asked.
func (u *UDP) answer(from netip.Addr, to netip.AddrPort, d []proxy.Datagram) {
	for i := range d {
		d[i].Addr = to
	}
	u.sock.WriteFrom(from, d)
}

// sweep looks after idle sessions, and enters what was dropped meanwhile into
// the book: not each datagram, since there may be very many.
func (u *UDP) sweep() {
	t := time.NewTicker(SweepEvery)
	defer t.Stop()
	for known := uint64(0); ; {
		select {
		case <-u.ended:
			return
		case <-t.C:
		}
		u.sessions.Sweep()
		if now := u.dropped.Load(); now != known {
			u.book.Refused(ledger.Info{Proto: session.UDP}, fmt.Errorf("%d datagrams of new clients: %w", now-known, session.Busy))
			known = now
		}
	}
}

// Drain begins no new sessions.
func (u *UDP) Drain() { u.sessions.Drain() }

// Close ends everything and returns when nothing is left.
func (u *UDP) Close() {
	u.end.Do(func() { close(u.ended) })
	u.sock.Close()
	u.wg.Wait()
	u.sessions.Close()
}
