// SPDX-License-Identifier: BSD-3-Clause

package gateway

import (
	"context"
	"net/netip"
	"reflect"

	"o7gw/gateway/config"
	"o7gw/gateway/intercept"
	"o7gw/gateway/report"
	"o7gw/gateway/segment"
	"o7gw/gateway/tunnel"
	"o7gw/gateway/web"
	"o7gw/o7s/ipcp"
	"o7gw/proxy"
	"o7gw/proxy/exit"
	"o7gw/proxy/expose"
	"o7gw/proxy/forward"
	"o7gw/proxy/httpproxy"
	"o7gw/proxy/ledger"
	"o7gw/proxy/socks"
)

// object is one object of the configuration, running.
type object interface {
	// Start returns when the object works; after an error nothing is left.
	Start(ctx context.Context) error
	// Drain ends the taking of new sessions; those that run go on.
	Drain()
	// Close ends everything of it, and returns when nothing is left.
	Close() error
}

// configured is an object with a configuration of type C.
type configured[C any] interface {
	object
	Config() C
	// Update applies what can be applied to a running object, and returns the
	// keys that it cannot.
	Update(C) []string
}

// counted is an object that keeps account of its sessions.
type counted interface{ Book() *ledger.Book }

// wish is an object that the configuration wants.
type wish struct {
	kind, name string
	cfg        any
	make       func() *running
}

// id is what the object is called in the output of a reload.
func (w *wish) id() string { return id(w.kind, w.name) }

func id(kind, name string) string {
	if name == "" {
		return kind
	}
	return kind + " " + name
}

// running is an object with what the gateway does to objects of any kind.
type running struct {
	object
	kind, name string
	current    func() any
	update     func(cfg any) []string
	describe   func(*report.Object)
}

// report returns the state of an object that is no tunnel.
func (r *running) report() report.Object {
	o := report.Object{Kind: r.kind, Name: r.name, State: report.StateUp}
	r.describe(&o)
	return o
}

// sessions returns how many sessions are open.
func (r *running) sessions() int {
	if b, ok := r.object.(counted); ok {
		return b.Book().Sessions()
	}
	return 0
}

// want makes the wish for an object of any kind.
func want[C any](kind, name string, cfg C, make func() configured[C], describe func(*report.Object, configured[C])) wish {
	return wish{kind, name, cfg, func() *running {
		o := make()
		return &running{
			object: o, kind: kind, name: name,
			current: func() any { return o.Config() },
			update:  func(cfg any) []string { return o.Update(cfg.(C)) },
			describe: func(r *report.Object) {
				if b, ok := o.(counted); ok {
					r.Book = b.Book().Snapshot(sessionsShown)
					r.State = r.Book.State
				}
				if describe != nil {
					describe(r, o)
				}
			},
		}
	}}
}

// sessionsShown is how many sessions of an object the status has.
const sessionsShown = 100

// unchanged reports whether the object runs with that configuration.
func (r *running) unchanged(cfg any) bool { return reflect.DeepEqual(r.current(), cfg) }

// wishes are the objects of a configuration in the order in which they start:
// who serves names before who asks for them.
func (g *Gateway) wishes(f *config.File) (list []wish) {
	for _, c := range f.Tunnels {
		list = append(list, want(tunnelKind, c.Name, c, func() configured[tunnel.Config] { return tunnel.New(c, g.net, g.log) }, nil))
	}
	for _, c := range f.Segments {
		list = append(list, want("segment", c.Name, c, func() configured[segment.Config] { return segment.New(c, g.net, g.log) }, describeSegment))
	}
	for _, c := range f.Exposes {
		list = append(list, want("expose", c.Name, c, func() configured[expose.Config] { return expose.New(c, g.stack, g.log) },
			func(r *report.Object, o configured[expose.Config]) { r.Service, r.Serves = o.Config().Service, true }))
	}
	for _, c := range f.Exits {
		list = append(list, want("exit", c.Name, c, func() configured[exit.Config] { return exit.New(c, g.stack, g.log) },
			func(r *report.Object, o configured[exit.Config]) { r.Service, r.Serves = o.Config().Service, true }))
	}
	if f.Names != nil {
		list = append(list, want("names", "", *f.Names, func() configured[config.Names] { return g.newNames(f) }, nil))
	}
	for _, c := range f.Intercepts {
		list = append(list, want("intercept", c.Name, c, func() configured[intercept.Config] { return intercept.New(c, g.interceptEnv()) }, describeIntercept))
	}
	for _, c := range f.Forwards {
		list = append(list, want("forward", c.Name, c, func() configured[forward.Config] { return forward.New(c, g.dialer(), g.log) },
			func(r *report.Object, o configured[forward.Config]) {
				c := o.Config()
				r.Service, r.Listen = c.Service, listening(c.TCP, c.UDP)
			}))
	}
	if c := f.Socks; c != nil {
		list = append(list, want("socks", "", *c, func() configured[socks.Config] { return socks.New(*c, g.dialer(), g.routing.table, g.log) },
			func(r *report.Object, o configured[socks.Config]) { r.Listen = listening(o.Config().Listen, nil) }))
	}
	if c := f.HTTP; c != nil {
		list = append(list, want("http", "", *c, func() configured[httpproxy.Config] { return httpproxy.New(*c, g.dialer(), g.routing.table, g.log) },
			func(r *report.Object, o configured[httpproxy.Config]) { r.Listen = listening(o.Config().Listen, nil) }))
	}
	if c := f.Web; c != nil {
		list = append(list, want("web", "", *c, func() configured[web.Config] { return g.newWeb(*c) },
			func(r *report.Object, o configured[web.Config]) {
				r.Listen = listening([]netip.AddrPort{o.Config().Listen}, nil)
			}))
	}
	return list
}

// tunnelKind is the kind of objects that have a place of their own in the
// status.
const tunnelKind = "tunnel"

func describeSegment(r *report.Object, o configured[segment.Config]) {
	r.SetSegment(o.(*segment.Segment).Status())
}

func describeIntercept(r *report.Object, o configured[intercept.Config]) {
	i := o.(*intercept.Intercept)
	r.Device, r.Detail = i.Device(), i.Stack()
}

// listening writes local addresses as the configuration of a forward does.
func listening(tcp, udp []netip.AddrPort) (out []string) {
	for _, a := range tcp {
		out = append(out, "tcp:"+a.String())
	}
	for _, a := range udp {
		out = append(out, "udp:"+a.String())
	}
	return out
}

// dialer returns what clients of services dial with.
func (g *Gateway) dialer() *proxy.Dialer { return &proxy.Dialer{Stack: g.stack} }

// daemonSockets are those of a daemon's udp layers at their default port.
var daemonSockets = []netip.AddrPort{
	netip.AddrPortFrom(netip.IPv4Unspecified(), ipcp.DefaultUDPPort), netip.AddrPortFrom(netip.IPv6Unspecified(), ipcp.DefaultUDPPort),
}

func (g *Gateway) interceptEnv() intercept.Env {
	env := intercept.Env{Dialer: g.dialer(), Table: g.routing.with, RunDir: g.runDir(), Log: g.log}
	if g.daemon != nil {
		env.Own = daemonSockets
	}
	if g.names != nil {
		env.Names = g.names
		for _, a := range g.names.Config().Upstream {
			env.Except = append(env.Except, netip.PrefixFrom(a.Addr(), a.Addr().BitLen()))
		}
	}
	return env
}
