// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"o7gw/integration/lab"
)

// proxy is a pair with a gateway on each host: the first intercepts what goes
// to names, the second exposes all ports of its host.
type proxy struct {
	*pair
	gateways [2]*lab.Proc
	to       netip.Addr // stands for the second host's services
	via      netip.Addr // where the first gateway finds the second; its own address if invalid
}

// proxyName is the name that the second gateway serves.
const proxyName = "perf"

func (b *bench) proxy(ctx context.Context) (*proxy, error) {
	p, err := b.pair()
	if err != nil {
		return nil, err
	}
	x := &proxy{pair: p}
	if err := x.start(ctx); err != nil {
		p.Close()
		return nil, err
	}
	return x, nil
}

func (x *proxy) start(ctx context.Context) error {
	objects := [2]string{
		"[names]\ncheck = false\n[[intercept]]\nname = \"i\"\ndevice = \"o7\"\nnames = true\n",
		fmt.Sprintf("[[expose]]\nname = \"e\"\nservice = %q\nany_tcp = %q\nany_udp = %[2]q\n", proxyName, x.outer[1]),
	}
	for i := 1; i >= 0; i-- {
		u := lab.UDPLayer{Name: "udp", IP: x.outer[i]}
		if i == 0 {
			u.Hosts = map[string]netip.Addr{proxyName: x.outer[1]}
			if x.via.IsValid() {
				u.Hosts[proxyName] = x.via
			}
		}
		gw, err := x.hosts[i].StartGateway(ctx, filepath.Join(x.b.bin, "o7gw"), filepath.Join(x.dir, fmt.Sprint("g", i)), u.String()+objects[i])
		if err != nil {
			return err
		}
		x.gateways[i] = gw
	}
	out, err := x.hosts[0].Run(ctx, "dig", "@198.18.0.1", "+short", "A", proxyName+".o7s")
	if err != nil {
		return fmt.Errorf("dig: %w", err)
	}
	x.to, err = netip.ParseAddr(strings.TrimSpace(out))
	return err
}

func proxyTCP(ctx context.Context, b *bench) ([]figure, error) { return b.proxyTCP(ctx, "proxy_tcp") }

func proxyTCPReverse(ctx context.Context, b *bench) ([]figure, error) {
	return b.proxyTCP(ctx, "proxy_tcp_reverse", "-R")
}

// proxyTCP alternates one stream through the proxy, over veth, and from a
// namespace that reaches the second host through pasta and slirp4netns.
func (b *bench) proxyTCP(ctx context.Context, name string, args ...string) ([]figure, error) {
	x, err := b.proxy(ctx)
	if err != nil {
		return nil, err
	}
	defer x.Close()
	slirp, err := x.slirp(ctx)
	if err != nil {
		return nil, err
	}
	pasta, err := x.pasta(ctx)
	if err != nil {
		return nil, err
	}
	via := map[string][]string{our: nil, "veth": nil, "slirp4netns": slirp, "pasta": pasta}
	rates := map[string][]float64{}
	for range tcpRounds {
		for path, cmd := range via {
			to := x.outer[1]
			if path == our {
				to = x.to
			}
			r, err := lab.IperfVia(ctx, cmd, x.hosts[0], x.hosts[1], to, tcpSeconds, args...)
			if err != nil && cmd != nil {
				// Not ours to mend: the other peers are still worth the run.
				fmt.Fprintf(os.Stderr, "bench: left out of %s: %s: %v\n", name, path, err)
				delete(via, path)
				delete(rates, path)
				continue
			}
			if err != nil {
				return nil, fmt.Errorf("%s: %w", path, err)
			}
			rates[path] = append(rates[path], r.BPS/1e9)
		}
	}
	return []figure{ourFigure(name, "Gbit/s", rates)}, nil
}

// slirp makes a namespace that reaches the second host through slirp4netns, and
// returns what runs a command there.
func (x *proxy) slirp(ctx context.Context) ([]string, error) {
	inside, err := x.waiting(ctx, "unshare", "-n")
	if err != nil {
		return nil, err
	}
	if _, err := x.hosts[0].Start(exec.Command("slirp4netns", "--configure", "--mtu=65520", strconv.Itoa(inside), "tap0")); err != nil {
		return nil, err
	}
	return x.routed(ctx, inside)
}

// pasta does so with pasta, which makes the namespace itself: it may not enter one
// of somebody else.
func (x *proxy) pasta(ctx context.Context) ([]string, error) {
	links, err := x.hosts[0].Links()
	if err != nil {
		return nil, err
	}
	dev := slices.IndexFunc(links, func(l string) bool { return l != "lo" && l != "o7" })
	if dev < 0 {
		return nil, fmt.Errorf("pasta: the host has no device but %v", links)
	}
	pid, err := x.waiting(ctx, "pasta", "--runas", "0", "--foreground", "--quiet", "--config-net", "-i", links[dev], "-a", "10.9.9.2", "-g", "10.9.9.1", "-n", "24", "--")
	if err != nil {
		return nil, err
	}
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", pid))
	if err != nil {
		return nil, err
	}
	inside, err := strconv.Atoi(strings.TrimSpace(string(children)))
	if err != nil {
		return nil, fmt.Errorf("pasta: children %q", children)
	}
	return x.routed(ctx, inside)
}

// waiting starts a command that runs another one, which then waits in it.
func (x *proxy) waiting(ctx context.Context, name string, args ...string) (pid int, err error) {
	p, err := x.hosts[0].Start(exec.Command(name, append(args, "sh", "-c", "echo inside; exec sleep infinity")...))
	if err != nil {
		return 0, err
	}
	if err := p.WaitFor(ctx, "inside"); err != nil {
		return 0, fmt.Errorf("%s: %w\n%s", name, err, p.Output())
	}
	return p.PID(), nil
}

// routed waits for a default route in the namespace of a process, and returns what
// runs a command there.
func (x *proxy) routed(ctx context.Context, pid int) ([]string, error) {
	cmd := []string{"nsenter", "-t", strconv.Itoa(pid), "-n"}
	for {
		out, err := x.hosts[0].Run(ctx, cmd[0], append(cmd[1:], "ip", "route")...)
		if err == nil && strings.Contains(out, "default") {
			return cmd, nil
		}
		if ctx.Err() != nil {
			return nil, fmt.Errorf("no route in the namespace: %w\n%s", ctx.Err(), out)
		}
	}
}

// server starts a role that serves on the second host.
func (x *proxy) server(ctx context.Context, role string) (*lab.Proc, error) {
	p, err := startRole(x.hosts[1], x.dir, role, netip.AddrPortFrom(x.outer[1], proxyPort).String())
	if err != nil {
		return nil, err
	}
	return p, p.WaitFor(ctx, "listening")
}

// proxyPort is the port of the servers of these benchmarks.
const proxyPort = 7777

// client runs a role on the first host and returns the number that it prints.
func (x *proxy) client(ctx context.Context, role string, to netip.Addr) (float64, error) {
	p, err := startRole(x.hosts[0], x.dir, role, netip.AddrPortFrom(to, proxyPort).String())
	if err != nil {
		return 0, err
	}
	if err := p.Wait(ctx); err != nil {
		return 0, fmt.Errorf("%s: %w\n%s", role, err, p.Output())
	}
	return strconv.ParseFloat(strings.TrimSpace(p.Output()), 64)
}

// proxyRounds is how often the shorter benchmarks of the proxy run.
const proxyRounds = 5

func proxyRR(ctx context.Context, b *bench) ([]figure, error) {
	x, err := b.proxy(ctx)
	if err != nil {
		return nil, err
	}
	defer x.Close()
	if _, err := x.server(ctx, "tcp-echo"); err != nil {
		return nil, err
	}
	var added, veth []float64
	for range proxyRounds {
		plain, err := x.client(ctx, "tcp-pong", x.outer[1])
		if err != nil {
			return nil, err
		}
		through, err := x.client(ctx, "tcp-pong", x.to)
		if err != nil {
			return nil, err
		}
		added, veth = append(added, through-plain), append(veth, plain)
	}
	return []figure{newFigure("proxy_rr", "µs", added, map[string][]float64{"veth": veth})}, nil
}

func proxyConns(ctx context.Context, b *bench) ([]figure, error) {
	return b.proxyRuns(ctx, "proxy_conns", "1/s", "tcp-echo", "tcp-conns")
}

// proxyRuns is a benchmark that is one server and a client that prints the
// figure.
func (b *bench) proxyRuns(ctx context.Context, name, unit, server, client string) ([]figure, error) {
	x, err := b.proxy(ctx)
	if err != nil {
		return nil, err
	}
	defer x.Close()
	if _, err := x.server(ctx, server); err != nil {
		return nil, err
	}
	var runs []float64
	for range proxyRounds {
		v, err := x.client(ctx, client, x.to)
		if err != nil {
			return nil, err
		}
		runs = append(runs, v)
	}
	return []figure{newFigure(name, unit, runs, nil)}, nil
}

func proxyUDP(ctx context.Context, b *bench) ([]figure, error) {
	return b.proxyRuns(ctx, "proxy_udp", "% lost", "udp-count", "udp-load")
}

// idleSessions is how many sessions proxyIdle opens.
const idleSessions = 5000

// proxyIdle opens sessions that then are silent, and compares the memory of the
// gateways with that before.
func proxyIdle(ctx context.Context, b *bench) ([]figure, error) {
	x, err := b.proxy(ctx)
	if err != nil {
		return nil, err
	}
	defer x.Close()
	if _, err := x.server(ctx, "tcp-echo"); err != nil {
		return nil, err
	}
	// A first session, so that what there is once is there.
	if _, err := x.client(ctx, "tcp-pong", x.to); err != nil {
		return nil, err
	}
	var before [2]lab.Usage
	for i, g := range x.gateways {
		if before[i], err = g.Usage(); err != nil {
			return nil, err
		}
	}
	p, err := startRole(x.hosts[0], x.dir, "tcp-idle", netip.AddrPortFrom(x.to, proxyPort).String(), strconv.Itoa(idleSessions))
	if err != nil {
		return nil, err
	}
	if err := p.WaitFor(ctx, "open"); err != nil {
		return nil, fmt.Errorf("%w\n%s", err, p.Output())
	}
	names := [2]string{"proxy_idle_intercept", "proxy_idle_expose"}
	var out []figure
	for i, g := range x.gateways {
		after, err := g.Usage()
		if err != nil {
			return nil, err
		}
		out = append(out, newFigure(names[i], "KiB", []float64{float64(after.Resident-before[i].Resident) / 1024 / idleSessions}, nil))
	}
	return out, nil
}
