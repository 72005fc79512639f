// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"

	"o7gw/integration/lab"
)

// pair is two hosts joined by a veth, or one host that is both.
type pair struct {
	b     *bench
	net   *lab.Net
	hosts [2]*lab.Host
	outer [2]netip.Addr // on the veth
	dirs  [2]string     // run directories of the daemons, if started
	dir   string        // for files
	// daemons starts an irmd on each host; the second serves the name.
	daemons func(ctx context.Context, name string) error
}

// single makes one host that plays both parts.
func (b *bench) single() (*pair, error) {
	p, err := b.newPair()
	if err != nil {
		return nil, err
	}
	h, err := p.net.Host("a")
	if err != nil {
		p.Close()
		return nil, err
	}
	p.hosts = [2]*lab.Host{h, h}
	return p, nil
}

// pair makes two hosts.
func (b *bench) pair() (*pair, error) {
	p, err := b.newPair()
	if err != nil {
		return nil, err
	}
	for i, name := range []string{"a", "b"} {
		if p.hosts[i], err = p.net.Host(name); err != nil {
			p.Close()
			return nil, err
		}
		p.outer[i] = netip.AddrFrom4([4]byte{10, 20, 0, byte(i + 1)})
	}
	err = p.net.Link(p.hosts[0], []netip.Prefix{netip.PrefixFrom(p.outer[0], 24)},
		p.hosts[1], []netip.Prefix{netip.PrefixFrom(p.outer[1], 24)})
	if err != nil {
		p.Close()
		return nil, err
	}
	return p, nil
}

func (b *bench) newPair() (*pair, error) {
	dir, err := os.MkdirTemp(b.work, "")
	if err != nil {
		return nil, err
	}
	p := &pair{b: b, net: lab.New(), dir: dir}
	p.daemons = p.shimDaemons
	return p, nil
}

// Close ends everything on the hosts.
func (p *pair) Close() error { return p.net.Close() }

// shimDaemons joins the hosts, if there are two, by udp4.
func (p *pair) shimDaemons(ctx context.Context, name string) error {
	irmd := filepath.Join(p.b.bin, "irmd")
	if p.hosts[0] == p.hosts[1] {
		d, err := p.hosts[0].StartDaemon(ctx, irmd, filepath.Join(p.dir, "r"), "")
		if err != nil {
			return err
		}
		p.dirs = [2]string{d.Dir, d.Dir}
		return nil
	}
	layers := [2]lab.UDPLayer{
		{Name: "udp", IP: p.outer[0], Hosts: map[string]netip.Addr{name: p.outer[1]}},
		{Name: "udp", IP: p.outer[1], Serve: []string{name}},
	}
	for i, h := range p.hosts {
		d, err := h.StartDaemon(ctx, irmd, filepath.Join(p.dir, fmt.Sprint("r", i)), layers[i].String())
		if err != nil {
			return err
		}
		p.dirs[i] = d.Dir
	}
	return nil
}

// program starts one of our programs on host i, with its daemon.
func (p *pair) program(i int, name string, args ...string) (*lab.Proc, error) {
	cmd := exec.Command(filepath.Join(p.b.bin, name), args...)
	cmd.Env = append(os.Environ(), "O7S_RUN_DIR="+p.dirs[i])
	return p.hosts[i].Start(cmd)
}

// role starts a role on host i, with its daemon.
func (p *pair) role(i int, role string, args ...string) (*lab.Proc, error) {
	return startRole(p.hosts[i], p.dirs[i], role, args...)
}
