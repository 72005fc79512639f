// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"time"

	"o7gw/integration/lab"
)

// A long path between the gateways: a role on the second host stands between them
// under two addresses, and holds each datagram for a while, since this system's kernel
// may have no netem.
//
//	first host ─▶ longNear [delay] longFar ─▶ second host, and back
var (
	longNear = netip.AddrFrom4([4]byte{10, 20, 0, 8})
	longFar  = netip.AddrFrom4([4]byte{10, 20, 0, 9})
)

const (
	longDelay = 10 * time.Millisecond // each way
	longPort  = 3435                  // of udp4 layers
	// longQueue is how many datagrams may be on the way: 0.1 s of 2 Gbit/s.
	longQueue = 1 << 14
	// longBuffer is that of a socket, bytes.
	longBuffer  = 32 << 20
	longSeconds = 5
)

// proxyLong is one TCP stream through the proxy over the long path.
func proxyLong(ctx context.Context, b *bench) ([]figure, error) {
	p, err := b.pair()
	if err != nil {
		return nil, err
	}
	defer p.Close()
	for _, a := range []netip.Addr{longNear, longFar} {
		if _, err := p.hosts[1].Run(ctx, "ip", "addr", "add", a.String()+"/32", "dev", "lo"); err != nil {
			return nil, err
		}
	}
	relay, err := startRole(p.hosts[1], p.dir, "delay", p.outer[0].String(), p.outer[1].String())
	if err != nil {
		return nil, err
	}
	if err := relay.WaitFor(ctx, "ready"); err != nil {
		return nil, fmt.Errorf("%w\n%s", err, relay.Output())
	}
	x := &proxy{pair: p, via: longNear}
	if err := x.start(ctx); err != nil {
		return nil, err
	}
	var rates []float64
	for range tcpRounds {
		r, err := lab.Iperf(ctx, p.hosts[0], p.hosts[1], x.to, longSeconds)
		if err != nil {
			return nil, err
		}
		rates = append(rates, r.BPS/1e9)
	}
	return []figure{newFigure("proxy_tcp_20ms", "Gbit/s", rates, nil)}, nil
}

// playDelay forwards datagrams between the two addresses of its arguments.
func playDelay(ctx context.Context, args []string) error {
	var conns [2]*net.UDPConn
	var ends [2]netip.AddrPort
	for i, at := range []netip.Addr{longNear, longFar} {
		peer, err := netip.ParseAddr(args[i])
		if err != nil {
			return err
		}
		ends[i] = netip.AddrPortFrom(peer, longPort)
		if conns[i], err = net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(at, longPort))); err != nil {
			return err
		}
		if err := forceReadBuffer(conns[i], longBuffer); err != nil {
			return err
		}
		defer context.AfterFunc(ctx, func() { conns[i].Close() })()
	}
	fmt.Println("ready")
	done := make(chan error, 2)
	for i := range conns {
		go func() { done <- delay(conns[i], conns[1-i], ends[1-i]) }()
	}
	return <-done
}

// delayed is a datagram and when it may leave.
type delayed struct {
	at   time.Time
	data []byte
}

// delay forwards what one socket receives until it is closed.
func delay(in, out *net.UDPConn, to netip.AddrPort) error {
	queue := make(chan delayed, longQueue)
	defer close(queue)
	go func() {
		for d := range queue {
			time.Sleep(time.Until(d.at))
			out.WriteToUDPAddrPort(d.data, to) // lost if it does not go, as on any path
		}
	}()
	buf := make([]byte, 1<<16)
	for {
		n, _, err := in.ReadFromUDPAddrPort(buf)
		if err != nil {
			return nil
		}
		select {
		case queue <- delayed{time.Now().Add(longDelay), append([]byte(nil), buf[:n]...)}:
		default: // a full queue
		}
	}
}
