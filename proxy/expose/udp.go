// SPDX-License-Identifier: BSD-3-Clause

package expose

import (
	"context"
	"net"

	"o7gw/proxy"
	"o7gw/proxy/ledger"
	"o7gw/proxy/session"
	"o7gw/proxy/udpsock"
)

// udp joins a session with a socket of its own toward the local service.
func (e *Expose) udp(ctx context.Context, cfg *Config, in *proxy.Incoming, target string, info ledger.Info) session.Status {
	c, err := dial(ctx, "udp", target, cfg.DialTimeout)
	if err != nil {
		return session.StatusOf(err)
	}
	sock, err := udpsock.New(c.(*net.UDPConn), true)
	if err != nil {
		c.Close()
		return session.Failed
	}
	flow, err := in.AcceptUDP()
	if err != nil {
		c.Close()
		e.book.Refused(info, err)
		return session.OK
	}
	s := e.book.Open(info)
	s.Close(udpsock.Relay(ctx, sock, flow, s, udpsock.Rules{Idle: cfg.IdleUDP}))
	return session.OK
}
