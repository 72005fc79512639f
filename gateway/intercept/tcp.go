// SPDX-License-Identifier: BSD-3-Clause

//go:build linux

package intercept

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net/netip"
	"time"

	"o7gw/netstack"
	"o7gw/proxy"
	"o7gw/proxy/ledger"
	"o7gw/proxy/route"
	"o7gw/proxy/session"
)

// errDraining refuses sessions while the gateway ends.
var errDraining = errors.New("the gateway is ending")

// tcp carries one connection: it allocates the flow and asks the other side to
// open the service before the client is told that it is connected.
func (i *Intercept) tcp(r *netstack.TCPRequest) {
	if r.Dst.Port() == dnsPort && i.resolver(r.Dst.Addr()) {
		i.tcpDNS(r)
		return
	}
	info := ledger.Info{Proto: session.TCP, Source: r.Src.String(), Target: r.Dst.String()}
	conn, way, err := i.open(r.Context(), route.Dest{Addr: r.Dst.Addr(), Port: r.Dst.Port(), Proto: session.TCP, DSCP: r.TOS >> 2}, r.Src)
	info.Service = way.Service
	if err != nil {
		i.book.Refused(info, err)
		if session.StatusOf(err) == session.Unreachable {
			r.Unreachable()
		} else {
			r.Refuse()
		}
		return
	}
	client, err := r.Accept()
	if err != nil {
		conn.Reset()
		i.book.Refused(info, err)
		return
	}
	defer i.hold(r.Dst.Addr(), way.Service)()
	info.Peer = conn.Flow().Peer()
	s := i.book.Open(info)
	s.Close(proxy.Relay(i.ctx, client, conn, s))
}

// open allocates the flow for a connection.
func (i *Intercept) open(ctx context.Context, d route.Dest, from netip.AddrPort) (*proxy.Conn, route.Way, error) {
	if i.drain.Load() {
		return nil, route.Way{}, errDraining
	}
	return i.table.Load().DialTCP(ctx, i.env.Dialer, d, from)
}

const (
	dnsPort = 53
	// dnsIdle is how long a TCP connection of a DNS client may be silent.
	dnsIdle = 10 * time.Second
)

// tcpDNS answers queries over TCP (RFC 1035 §4.2.2), one after the other.
func (i *Intercept) tcpDNS(r *netstack.TCPRequest) {
	c, err := r.Accept()
	if err != nil {
		return
	}
	defer c.Close()
	defer context.AfterFunc(i.ctx, func() { c.Close() })()
	var size [2]byte
	for {
		c.SetDeadline(time.Now().Add(dnsIdle))
		if _, err := io.ReadFull(c, size[:]); err != nil {
			return
		}
		query := make([]byte, binary.BigEndian.Uint16(size[:]))
		if _, err := io.ReadFull(c, query); err != nil {
			return
		}
		answer := i.env.Names.Answer(i.ctx, query, r.Src, true)
		if answer == nil {
			return
		}
		if _, err := c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(answer))), answer...)); err != nil {
			return
		}
	}
}
