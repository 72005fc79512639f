// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"context"
	"fmt"
	"log"
	"log/slog"
	"net/http"
	_ "net/http/pprof"
	"net/netip"
	"os"
	"os/signal"
	"syscall"
	"time"

	"o7gw/gateway/tunnel"
	"o7gw/o7s/ipcp"
	"o7gw/o7s/ipcp/udp"
	"o7gw/o7s/layer"
	"o7gw/o7s/packet"
	"o7gw/o7s/qos"
)

type fl struct{ layer.Port }

func (f fl) WriteBatch(p []*packet.Buffer) error { f.Send(p); return nil }
func (f fl) ID() int                             { return 1 }

type network struct {
	u  ipcp.IPCP
	ch chan tunnel.Flow
}

func (n *network) FlowRequested(r *layer.Request) {
	if pa, ok := r.Answerer.(layer.PeerAware); ok {
		pa.SetPeerCaps(layer.CapTeardown)
	}
	go func() {
		p, err := r.Accept(nil)
		if err != nil {
			log.Println(err)
			return
		}
		n.ch <- fl{p}
	}()
}
func (n *network) Dial(ctx context.Context, name string, timeout time.Duration) (tunnel.Flow, error) {
	p, _, err := n.u.Allocate(ctx, layer.MD5.Sum(name), qos.Raw, nil)
	if err != nil {
		return nil, err
	}
	if pa, ok := p.(layer.PeerAware); ok {
		pa.SetPeerCaps(layer.CapTeardown)
	}
	return fl{p}, nil
}
func (n *network) Listen(ctx context.Context, name string) (tunnel.Listener, error) {
	return n, n.u.Register(ctx, layer.MD5.Sum(name))
}
func (n *network) AcceptFlow(ctx context.Context) (tunnel.Flow, error) {
	select {
	case f := <-n.ch:
		return f, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
func (n *network) Close() error { return nil }

func main() {
	own, inner, peer := os.Args[1], os.Args[2], ""
	lg := slog.New(slog.NewTextHandler(os.Stderr, nil))
	n := &network{ch: make(chan tunnel.Flow, 8)}
	u, err := udp.New(ipcp.UDP4, ipcp.Env{Name: "u", Upper: n, Log: lg})
	if err != nil {
		log.Fatal(err)
	}
	n.u = u
	cfg := ipcp.Config{Type: ipcp.UDP4, Layer: "l", UDP: ipcp.UDPConfig{Addr: netip.MustParseAddr(own), Port: 3435}}
	c := tunnel.Defaults()
	c.Name = "t"
	c.Device = "vpn0"
	c.Addresses = []netip.Prefix{netip.MustParsePrefix(inner)}
	if len(os.Args) > 3 {
		peer = os.Args[3]
		cfg.UDP.Hosts = map[string][]netip.Addr{"vpn": {netip.MustParseAddr(peer)}}
		c.Connect = "vpn"
	} else {
		c.Listen = "vpn"
	}
	if err := u.Bootstrap(context.Background(), cfg); err != nil {
		log.Fatal(err)
	}
	t := tunnel.New(c, n, lg)
	if err := t.Start(context.Background()); err != nil {
		log.Fatal(err)
	}
	go func() { log.Println(http.ListenAndServe("127.0.0.1:6060", nil)) }()
	s := make(chan os.Signal, 1)
	signal.Notify(s, syscall.SIGTERM, syscall.SIGINT)
	<-s
	fmt.Printf("%+v\n", t.Status())
	t.Close()
	u.Close()
}
