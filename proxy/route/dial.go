// SPDX-License-Identifier: BSD-3-Clause

package route

import (
	"context"
	"net/netip"

	"o7gw/proxy"
)

// DialTCP begins a TCP session with a destination on behalf of source. It tries
// the ways in order: the next one only if nobody serves the name of the one
// before. It returns the way that it took last, also with an error.
func (t *Table) DialTCP(ctx context.Context, dialer *proxy.Dialer, d Dest, source netip.AddrPort) (conn *proxy.Conn, way Way, err error) {
	ways, err := t.FindAll(d)
	for _, way = range ways {
		way.Request.Source = source
		conn, err = dialer.DialTCP(ctx, way.Service, way.QoS, way.Request)
		if err == nil || !proxy.NobodyServes(err) {
			break
		}
	}
	return conn, way, err
}

// DialUDP begins a UDP session by the first of the ways, as DialTCP does.
func DialUDP(ctx context.Context, dialer *proxy.Dialer, ways []Way, source netip.AddrPort) (p *proxy.Packets, way Way, err error) {
	for _, way = range ways {
		way.Request.Source = source
		p, err = dialer.DialUDP(ctx, way.Service, way.QoS, way.Request)
		if err == nil || !proxy.NobodyServes(err) {
			break
		}
	}
	return p, way, err
}
