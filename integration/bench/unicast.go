// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"context"
	"fmt"
	"net/netip"
	"path/filepath"

	"o7gw/integration/lab"
)

// unicastLine makes hosts in a line, of which each has an Ethernet layer with the next
// and all are members of one unicast layer. The ends are the hosts of the pair.
func (b *bench) unicastLine(hosts int) (*pair, error) {
	p, err := b.newPair()
	if err != nil {
		return nil, err
	}
	line := make([]*lab.Host, hosts)
	for i := range line {
		if line[i], err = p.net.Host(string(rune('a' + i))); err != nil {
			p.Close()
			return nil, err
		}
		if i == 0 {
			continue
		}
		if err := p.net.Link(line[i-1], nil, line[i], nil); err != nil {
			p.Close()
			return nil, err
		}
	}
	p.hosts = [2]*lab.Host{line[0], line[hosts-1]}
	p.daemons = func(ctx context.Context, name string) error {
		for i, h := range line {
			dir := filepath.Join(p.dir, fmt.Sprint("r", i))
			if _, err := h.StartDaemon(ctx, filepath.Join(b.bin, "irmd"), dir, unicastConfig(line, i, name)); err != nil {
				return err
			}
			switch i {
			case 0:
				p.dirs[0] = dir
			case hosts - 1:
				p.dirs[1] = dir
			}
		}
		return p.settle(ctx)
	}
	return p, nil
}

// unicastConfig is the configuration of one host in a line, of which the last
// serves the name.
func unicastConfig(line []*lab.Host, i int, name string) string {
	uni := lab.Stacked{Type: "unicast", Name: "uni." + line[i].Name}
	var text string
	for _, n := range []int{i - 1, i + 1} {
		if n >= 0 && n < len(line) {
			text += lab.EthLayer{Type: "eth-dix", Name: "to" + line[n].Name, Device: "to-" + line[n].Name, Serve: []string{"net", uni.Name}}.String()
		}
	}
	if i == 0 {
		uni.Bootstrap = "net"
	} else {
		uni.Enroll = "uni." + line[i-1].Name
		uni.Connect = []string{uni.Enroll}
	}
	if i == len(line)-1 {
		uni.Serve = []string{name, settledName}
	}
	return text + uni.String()
}

// settledName is served in the unicast layer alone: other names, to which programs
// listen, can be reached through the Ethernet layer, too, until the
// unicast layer, which comes first, knows them.
const settledName = "settled"

// settle waits until the first host reaches the second in the unicast layer.
func (p *pair) settle(ctx context.Context) error {
	bind, err := p.program(1, "irm", "bind", "program", filepath.Join(p.b.bin, "oping"), "name", settledName)
	if err != nil {
		return err
	}
	if err := bind.Wait(ctx); err != nil {
		return fmt.Errorf("%w\n%s", err, bind.Output())
	}
	server, err := p.program(1, "oping", "-l", "-Q")
	if err != nil {
		return err
	}
	defer server.Kill()
	if err := server.WaitFor(ctx, "started"); err != nil {
		return err
	}
	for {
		client, err := p.program(0, "oping", "-n", settledName, "-c", "1", "-i", "1ms")
		if err != nil {
			return err
		}
		if client.Wait(ctx) == nil {
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("the layer does not come up: %w; oping printed:\n%s", ctx.Err(), client.Output())
		}
	}
}

// overLine runs a measurement over a unicast layer of a number of hosts.
func overLine(hosts int, measure func(ctx context.Context, p *pair) ([]figure, error)) func(ctx context.Context, b *bench) ([]figure, error) {
	return func(ctx context.Context, b *bench) ([]figure, error) {
		p, err := b.unicastLine(hosts)
		if err != nil {
			return nil, err
		}
		defer p.Close()
		return measure(ctx, p)
	}
}

func pingsAs(name string) func(ctx context.Context, p *pair) ([]figure, error) {
	return func(ctx context.Context, p *pair) ([]figure, error) {
		return p.pings(ctx, name, 5, "-i 1ms -c 1000", false)
	}
}

func loadAs(name string) func(ctx context.Context, p *pair) ([]figure, error) {
	return func(ctx context.Context, p *pair) ([]figure, error) {
		return p.load(ctx, name, 5, 1024, false)
	}
}

// unicastOverUDP is the layers of one of two hosts: unicast over udp4, in which
// this one serves the names.
func unicastOverUDP(i int, outer [2]netip.Addr, serve []string) string {
	names := [2]string{"uni.a", "uni.b"}
	udp := lab.UDPLayer{
		Name: "udp", Layer: "udp", IP: outer[i], Serve: []string{"net", names[i]},
		Hosts: map[string]netip.Addr{names[1-i]: outer[1-i]},
	}
	uni := lab.Stacked{Type: "unicast", Name: names[i], Serve: serve}
	if i == 1 {
		uni.Bootstrap = "net"
	} else {
		uni.Enroll = names[1]
		uni.Connect = []string{names[1]}
	}
	return udp.String() + uni.String()
}

// unicastTunnelConfig is the layers of one gateway of a tunnel over unicast over udp4.
func unicastTunnelConfig(i int, outer [2]netip.Addr) string { return unicastOverUDP(i, outer, nil) }

func tunnelUnicastTCP(ctx context.Context, b *bench) ([]figure, error) {
	return b.tcp(ctx, "tunnel_unicast_tcp", unicastTunnelConfig)
}
