// SPDX-License-Identifier: BSD-3-Clause

package exit

import (
	"context"
	"net"
	"net/netip"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"o7gw/proxy/service"
	"o7gw/proxy/session"
	"o7gw/proxy/udpsock"
)

// dnsIdle is the idle time of sessions that ask a DNS server, which rarely ask
// twice (RFC 4787 §4.3 allows a shorter one for well-known ports).
const dnsIdle = 15 * time.Second

// dnsPort is that of DNS servers.
const dnsPort = 53

// udp gives a call a socket of its own, of both families, from which it reaches
// everything that the policy allows: the mapping does not depend on the
// destination (RFC 4787 §4.1). What comes back is passed on if the session has
// sent something to that address before, whatever the port (§5,
// address-dependent filtering): games and calls find each other, scans do not
// get in.
func (e *Exit) udp(ctx context.Context, c *service.Call) {
	cfg := e.cfg.Load()
	var first netip.AddrPort
	err := c.Dial(ctx, func(ctx context.Context) (err error) {
		ctx, cancel := context.WithTimeout(ctx, cfg.DialTimeout)
		defer cancel()
		first, err = e.first(ctx, c)
		return err
	})
	if err != nil {
		c.Refuse(err)
		return
	}
	sock, err := openUDP(ctx)
	if err != nil {
		c.Refuse(err)
		return
	}
	if c.Request.Host != "" {
		c.Info.Target += " (" + first.Addr().String() + ")"
	}
	idle := cfg.IdleUDP
	if first.Port() == dnsPort {
		idle = min(idle, dnsIdle)
	}
	p := &partners{e: e, peer: c.Peer, req: c.Request, first: first}
	c.UDP(ctx, sock, udpsock.Rules{Idle: idle, Address: p.target, From: p.knows},
		func() bool { return e.allowed(c.Peer, &c.Request, first.Addr()) })
}

// first returns the target of the request: the first address that is allowed,
// in the order of RFC 6724, which knows what this machine can reach.
func (e *Exit) first(ctx context.Context, c *service.Call) (netip.AddrPort, error) {
	addrs := []netip.Addr{c.Request.Addr}
	if c.Request.Host != "" {
		found, err := e.resolver.LookupNetIP(ctx, "ip", c.Request.Host)
		if err != nil {
			return netip.AddrPort{}, err
		}
		addrs = found
	}
	for _, a := range addrs {
		if a = a.Unmap(); e.allowed(c.Peer, &c.Request, a) {
			return netip.AddrPortFrom(a, c.Request.Port), nil
		}
	}
	return netip.AddrPort{}, session.Denied
}

// openUDP opens a socket that cannot send to all hosts of a network at once.
func openUDP(ctx context.Context) (*udpsock.Socket, error) {
	l := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error {
		var err error
		if cerr := raw.Control(func(fd uintptr) {
			err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_BROADCAST, 0)
		}); cerr != nil {
			return cerr
		}
		return err
	}}
	c, err := l.ListenPacket(ctx, "udp", ":0")
	if err != nil {
		return nil, err
	}
	sock, err := udpsock.New(c.(*net.UDPConn), false)
	if err != nil {
		c.Close()
		return nil, err
	}
	return sock, nil
}
