// SPDX-License-Identifier: BSD-3-Clause

package service

import (
	"context"
	"net"

	"o7gw/o7s"
	"o7gw/proxy"
	"o7gw/proxy/ledger"
	"o7gw/proxy/policy"
	"o7gw/proxy/session"
	"o7gw/proxy/udpsock"
)

// Call is a peer that asks for a session. Exactly one of TCP, UDP and Refuse
// must be called.
type Call struct {
	Peer    policy.Peer
	Request session.Request // without session protocol: TCP
	Info    ledger.Info     // for the book; the handler may make it more exact

	s    *Service
	flow *o7s.Flow
	in   *proxy.Incoming // nil: without session protocol
}

// receive waits for the request. After an error the flow is closed.
func (c *Call) receive() error {
	ctx, leave := c.s.lobby.enter(c.s.ctx, c.Peer.Key())
	defer leave()
	in, err := proxy.Accept(ctx, c.flow)
	if err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return err
	}
	c.in, c.Request = in, in.Request
	c.Info.Proto = in.Request.Proto
	if in.Request.Source.IsValid() {
		c.Info.Source = in.Request.Source.String()
	}
	return nil
}

// Dial runs what opens the target. Its context ends early if too many wait for
// theirs; the error is a session.Busy then.
func (c *Call) Dial(ctx context.Context, open func(context.Context) error) error {
	ctx, leave := c.s.dials.enter(ctx, c.Peer.Key())
	defer leave()
	err := open(ctx)
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// Refuse ends the call, and tells the peer why.
func (c *Call) Refuse(why error) {
	c.s.book.Refused(c.Info, why)
	if c.in == nil {
		abort(c.flow)
		return
	}
	select {
	case c.s.refusing <- struct{}{}:
		defer func() { <-c.s.refusing }()
		c.in.Refuse(session.StatusOf(why))
	default:
		abort(c.flow)
	}
}

// TCP joins the call with a connection until both directions have ended, or
// allowed, which is asked whenever the policy changes, says no more.
func (c *Call) TCP(ctx context.Context, to *net.TCPConn, allowed func() bool) {
	ctx, done := c.s.running.enter(ctx, allowed)
	defer done()
	if ctx.Err() != nil {
		Reset(to)
		c.Refuse(context.Cause(ctx))
		return
	}
	conn, err := proxy.PlainConn(c.flow), error(nil)
	if c.in != nil {
		conn, err = c.in.AcceptTCP()
	}
	if err != nil {
		Reset(to)
		c.s.book.Refused(c.Info, err)
		return
	}
	s := c.s.book.Open(c.Info)
	s.Close(proxy.Relay(ctx, to, conn, s))
}

// UDP joins the call with a socket, as TCP does.
func (c *Call) UDP(ctx context.Context, sock *udpsock.Socket, rules udpsock.Rules, allowed func() bool) {
	ctx, done := c.s.running.enter(ctx, allowed)
	defer done()
	if ctx.Err() != nil {
		sock.Close()
		c.Refuse(context.Cause(ctx))
		return
	}
	flow, err := c.in.AcceptUDP()
	if err != nil {
		sock.Close()
		c.s.book.Refused(c.Info, err)
		return
	}
	s := c.s.book.Open(c.Info)
	s.Close(udpsock.Relay(ctx, sock, flow, s, rules))
}

// Reset aborts a kernel connection.
func Reset(c *net.TCPConn) {
	c.SetLinger(0)
	c.Close()
}
