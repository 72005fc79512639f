// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"bufio"
	"context"
	"fmt"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"

	"o7gw/integration/lab"
)

// The TCP benchmarks alternate runs of the tunnel, of wireguard-go and of the
// bare veth between the same hosts.
const (
	tcpRounds  = 4
	tcpSeconds = 2
)

func tunnelTCP(ctx context.Context, b *bench) ([]figure, error) {
	return b.tcp(ctx, "tunnel_tcp", udpTunnelConfig)
}

func tunnelTCPReverse(ctx context.Context, b *bench) ([]figure, error) {
	return b.tcp(ctx, "tunnel_tcp_reverse", udpTunnelConfig, "-R")
}

// tunnelConfig returns the layers of gateway i of the tunnel, of which the second
// serves; outer are the addresses of both hosts.
type tunnelConfig func(i int, outer [2]netip.Addr) string

// udpTunnelConfig is the tunnel straight over udp4.
func udpTunnelConfig(i int, outer [2]netip.Addr) string {
	u := lab.UDPLayer{Name: "udp", IP: outer[i]}
	if i == 0 {
		u.Hosts = map[string]netip.Addr{tunnelName: outer[1]}
	}
	return u.String()
}

// tunnelName is the name that the second gateway serves.
const tunnelName = "gw"

// tcp measures one stream with iperf3.
func (b *bench) tcp(ctx context.Context, name string, layers tunnelConfig, args ...string) ([]figure, error) {
	p, paths, err := b.paths(ctx, layers)
	if err != nil {
		return nil, err
	}
	defer p.Close()
	rates := map[string][]float64{}
	for range tcpRounds {
		for path, to := range paths {
			r, err := lab.Iperf(ctx, p.hosts[0], p.hosts[1], to, tcpSeconds, args...)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", path, err)
			}
			rates[path] = append(rates[path], r.BPS/1e9)
		}
	}
	return []figure{ourFigure(name, "Gbit/s", rates)}, nil
}

// our is the path that is measured, the others are peers.
const our = "o7gw"

func ourFigure(name, unit string, runs map[string][]float64) figure {
	ours := runs[our]
	delete(runs, our)
	return newFigure(name, unit, ours, runs)
}

// paths makes two hosts with the tunnel, wireguard-go and the veth, and returns the
// address of the second host on each.
func (b *bench) paths(ctx context.Context, layers tunnelConfig) (*pair, map[string]netip.Addr, error) {
	p, err := b.pair()
	if err != nil {
		return nil, nil, err
	}
	tunnel, err := p.tunnel(ctx, layers)
	if err != nil {
		p.Close()
		return nil, nil, fmt.Errorf("tunnel: %w", err)
	}
	wg, err := p.wireguard(ctx)
	if err != nil {
		p.Close()
		return nil, nil, fmt.Errorf("wireguard-go: %w", err)
	}
	return p, map[string]netip.Addr{our: tunnel, "wireguard-go": wg, "veth": p.outer[1]}, nil
}

// tunnel starts a gateway with an embedded node on each host and returns the
// address of the second inside the tunnel.
func (p *pair) tunnel(ctx context.Context, layers tunnelConfig) (netip.Addr, error) {
	inner := [2]netip.Addr{netip.MustParseAddr("10.22.0.1"), netip.MustParseAddr("10.22.0.2")}
	tunnels := [2]lab.Tunnel{{Connect: tunnelName}, {Listen: tunnelName}}
	for i := 1; i >= 0; i-- {
		tunnels[i].Device = "o7"
		tunnels[i].Addresses = []netip.Prefix{netip.PrefixFrom(inner[i], 24)}
		_, err := p.hosts[i].StartGateway(ctx, filepath.Join(p.b.bin, "o7gw"),
			filepath.Join(p.dir, fmt.Sprint("g", i)), layers(i, p.outer)+tunnels[i].String())
		if err != nil {
			return netip.Addr{}, err
		}
	}
	return inner[1], p.hosts[0].Reach(ctx, inner[1])
}

// tunnelPing measures ping through the tunnel and through wireguard-go,
// alternately.
func tunnelPing(ctx context.Context, b *bench) ([]figure, error) {
	p, paths, err := b.paths(ctx, udpTunnelConfig)
	if err != nil {
		return nil, err
	}
	defer p.Close()
	delete(paths, "veth")
	medians := map[string][]float64{}
	for range 5 {
		for path, to := range paths {
			m, err := pingMedian(ctx, p.hosts[0], to)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", path, err)
			}
			medians[path] = append(medians[path], m)
		}
	}
	return []figure{ourFigure("tunnel_ping", "µs", medians)}, nil
}

// pingMedian pings 200 times, every 5 ms, and returns the median in µs.
func pingMedian(ctx context.Context, from *lab.Host, to netip.Addr) (float64, error) {
	out, err := from.Run(ctx, "ping", "-c", "200", "-i", "0.005", to.String())
	if err != nil {
		return 0, fmt.Errorf("%w\n%s", err, out)
	}
	var times []float64
	for lines := bufio.NewScanner(strings.NewReader(out)); lines.Scan(); {
		_, after, found := strings.Cut(lines.Text(), " time=")
		if !found {
			continue
		}
		ms, err := strconv.ParseFloat(strings.TrimSuffix(after, " ms"), 64)
		if err != nil {
			return 0, fmt.Errorf("output of ping: %w", err)
		}
		times = append(times, ms*1000)
	}
	if len(times) < 100 {
		return 0, fmt.Errorf("only %d replies:\n%s", len(times), out)
	}
	return median(times), nil
}
