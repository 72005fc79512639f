// SPDX-License-Identifier: BSD-3-Clause

package httpproxy

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"o7gw/proxy/listen"
)

const (
	// upstreamIdle is how long a connection to a service is kept for the next
	// request of the same client, and upstreamMost how many are.
	upstreamIdle = 30 * time.Second
	upstreamMost = 8
)

// client is a connection of a client. Its requests come one after the other;
// the connections to services that it has used wait for the next one, and
// never serve another client: some ways to log in are to connections.
type client struct {
	*net.TCPConn
	from      netip.AddrPort
	transport http.Transport

	once  sync.Once
	ended chan struct{} // closed by Close

	handling sync.Mutex // held while a request is served
	over     bool       // no more are; guarded by handling
}

// clientKey is the key of the client in the context of a request.
type clientKey struct{}

func clientOf(r *http.Request) *client { return r.Context().Value(clientKey{}).(*client) }

// serve hands a connection to the HTTP server, and returns when it is closed.
func (p *Proxy) serve(ctx context.Context, c *net.TCPConn) {
	cl := &client{TCPConn: c, from: listen.Source(c), ended: make(chan struct{})}
	cl.transport = http.Transport{
		DialContext: func(ctx context.Context, _, address string) (net.Conn, error) {
			return p.dial(ctx, cl, address)
		},
		DisableCompression:    true,
		MaxIdleConns:          upstreamMost,
		IdleConnTimeout:       upstreamIdle,
		ExpectContinueTimeout: time.Second,
	}
	select {
	case p.conns <- cl:
	case <-ctx.Done():
		cl.Close()
	case <-p.closing:
		cl.Close()
	}
	select {
	case <-cl.ended:
	case <-ctx.Done():
		listen.Reset(c) // also when the HTTP server has given it away
		<-cl.ended
	}
	// What is served notices that the connection is closed.
	cl.handling.Lock()
	defer cl.handling.Unlock()
	cl.over = true
}

// Close closes the connection, and those to services.
func (c *client) Close() error {
	err := c.TCPConn.Close()
	c.once.Do(func() {
		c.transport.CloseIdleConnections()
		close(c.ended)
	})
	return err
}

// inbox is the listener of the HTTP server: it takes what serve hands over.
type inbox Proxy

func (i *inbox) Accept() (net.Conn, error) {
	select {
	case c := <-i.conns:
		return c, nil
	case <-i.closing:
		return nil, net.ErrClosed
	}
}

// Close ends Accept.
func (i *inbox) Close() error {
	i.closeOnce.Do(func() { close(i.closing) })
	return nil
}

func (i *inbox) Addr() net.Addr { return &net.TCPAddr{} }
