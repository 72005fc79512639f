// SPDX-License-Identifier: BSD-3-Clause

package exit

import (
	"context"
	"net"
	"net/netip"
	"sync/atomic"

	"o7gw/proxy/session"
)

// resolver returns a resolver that asks the servers in turn; without any, that
// of the system.
func resolver(servers []netip.AddrPort) *net.Resolver {
	if len(servers) == 0 {
		return net.DefaultResolver
	}
	var turn atomic.Uint32
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		at := servers[int((turn.Add(1)-1)%uint32(len(servers)))]
		return new(net.Dialer).DialContext(ctx, network, at.String())
	}}
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
