// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"context"
	"fmt"
	"strings"
)

// pings measures round trips with oping: medians of runs with the arguments.
// With reference bare UDP is measured beside it.
func (p *pair) pings(ctx context.Context, figureName string, runs int, args string, reference bool) ([]figure, error) {
	const name = "op"
	if err := p.pingServer(ctx, name); err != nil {
		return nil, err
	}
	var medians, bare []float64
	for range runs {
		if reference {
			m, err := p.bareUDP(ctx)
			if err != nil {
				return nil, err
			}
			bare = append(bare, m)
		}
		m, err := p.ping(ctx, name, args)
		if err != nil {
			return nil, err
		}
		medians = append(medians, m)
	}
	var peers map[string][]float64
	if bare != nil {
		peers = map[string][]float64{"bare-udp": bare}
	}
	return []figure{newFigure(figureName, "µs", medians, peers)}, nil
}

// pingServer starts the daemons, and oping's server on the second host.
func (p *pair) pingServer(ctx context.Context, name string) error {
	if err := p.daemons(ctx, name); err != nil {
		return err
	}
	server, err := p.program(1, "oping", "-l", "-Q", "-n", name)
	if err != nil {
		return err
	}
	return server.WaitFor(ctx, "started")
}

// ping runs oping once and returns the median in µs.
func (p *pair) ping(ctx context.Context, name, args string) (float64, error) {
	client, err := p.program(0, "oping", strings.Fields("-n "+name+" -Q --json "+args)...)
	if err != nil {
		return 0, err
	}
	var r struct {
		Sent, Received int
		End            string
		RTT            struct{ P50 float64 } `json:"rtt_us"`
	}
	if err := result(ctx, client, &r); err != nil {
		return 0, err
	}
	if r.End != "done" || r.Received == 0 {
		return 0, fmt.Errorf("oping ended with %q, %d of %d replies", r.End, r.Received, r.Sent)
	}
	return r.RTT.P50, nil
}

func localPing(ctx context.Context, b *bench) ([]figure, error) {
	p, err := b.single()
	if err != nil {
		return nil, err
	}
	defer p.Close()
	return p.pings(ctx, "local_ping", 5, "-f -d 1s", false)
}

func udp4Ping(ctx context.Context, b *bench) ([]figure, error) {
	p, err := b.pair()
	if err != nil {
		return nil, err
	}
	defer p.Close()
	return p.pings(ctx, "udp4_ping", 5, "-i 1ms -c 1000", true)
}

func udp4PingFlood(ctx context.Context, b *bench) ([]figure, error) {
	p, err := b.pair()
	if err != nil {
		return nil, err
	}
	defer p.Close()
	return p.pings(ctx, "udp4_ping_flood", 5, "-f -d 1s", false)
}
