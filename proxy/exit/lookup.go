// SPDX-License-Identifier: BSD-3-Clause

package exit

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync/atomic"

	"o7gw/proxy/session"
)

// resolver returns a resolver that asks the servers; without any, those of the
// system. A query that nobody waits for any more ends at once, and not when the
// server's time is up.
func resolver(servers []netip.AddrPort) *net.Resolver {
	turn := new(atomic.Uint32)
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, at string) (net.Conn, error) {
		mine := turn.Load()
		if n := uint32(len(servers)); n > 0 {
			at = servers[mine%n].String()
		}
		c, err := new(net.Dialer).DialContext(ctx, network, at)
		if err != nil {
			return nil, err
		}
		context.AfterFunc(ctx, func() { c.Close() })
		if u, ok := c.(*net.UDPConn); ok {
			return &query{u, turn, mine}, nil
		}
		return c, nil
	}}
}

// query is a question to one of several servers. If that does not answer it is
// the turn of the next, from then on and for all.
type query struct {
	*net.UDPConn
	turn *atomic.Uint32
	mine uint32
}

func (q *query) Read(b []byte) (int, error) {
	n, err := q.UDPConn.Read(b)
	if err != nil && !errors.Is(err, net.ErrClosed) {
		q.turn.CompareAndSwap(q.mine, q.mine+1)
	}
	return n, err
}

// answer is what one question to the DNS has brought.
type answer struct {
	addrs []netip.Addr
	err   error
}

// families are the questions that are asked at a time (RFC 8305 §3).
var families = [...]string{"ip6", "ip4"}

// lookUp returns the addresses of the target of a request, as they become
// known. The channel is closed after the last; all of it must be read, or ctx
// end.
func (e *Exit) lookUp(ctx context.Context, r *session.Request) <-chan answer {
	out := make(chan answer, len(families))
	if r.Addr.IsValid() {
		out <- answer{addrs: []netip.Addr{r.Addr}}
		close(out)
		return out
	}
	var left atomic.Int32
	left.Store(int32(len(families)))
	for _, f := range families {
		go func() {
			addrs, err := e.resolver.LookupNetIP(ctx, f, r.Host)
			out <- answer{addrs, err}
			if left.Add(-1) == 0 {
				close(out)
			}
		}()
	}
	return out
}
