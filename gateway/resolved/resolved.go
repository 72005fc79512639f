// SPDX-License-Identifier: BSD-3-Clause

// Package resolved tells systemd-resolved which DNS servers to ask for which
// domains on a network interface (split DNS), through its D-Bus interface
// org.freedesktop.resolve1(5).
//
// Start with Set; Hint is for machines where it does not run.
package resolved

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/godbus/dbus/v5"
)

// Names of the service on the system bus.
const (
	busName = "org.freedesktop.resolve1"
	path    = dbus.ObjectPath("/org/freedesktop/resolve1")
	manager = "org.freedesktop.resolve1.Manager."
)

// Names of errors on the bus.
const (
	errUnknownService = "org.freedesktop.DBus.Error.ServiceUnknown"
	errNoOwner        = "org.freedesktop.DBus.Error.NameHasNoOwner"
	errUnknownMethod  = "org.freedesktop.DBus.Error.UnknownMethod"
	errDenied         = "org.freedesktop.DBus.Error.AccessDenied"
	errInteractive    = "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired"
	errBusy           = "org.freedesktop.resolve1.LinkBusy"
)

// limit bounds what Set and undo do, each.
const limit = 5 * time.Second

// ErrNotRunning is returned where there is no system bus, or no
// systemd-resolved on it.
var ErrNotRunning = errors.New("systemd-resolved does not run")

// server is a DNS server as SetLinkDNSEx takes it: (iayqs).
type server struct {
	Family  int32
	Address []byte
	Port    uint16
	Name    string // for TLS
}

// oldServer is one as SetLinkDNS takes it, before systemd 246: (iay).
type oldServer struct {
	Family  int32
	Address []byte
}

// domain is a domain as SetLinkDomains takes it: (sb). RoutingOnly: names are
// asked for there, but short names are not completed with it.
type domain struct {
	Name        string
	RoutingOnly bool
}

// Address families of Linux.
const (
	afINET  = 2
	afINET6 = 10
)

// Set makes systemd-resolved ask the servers for names in the domains, and for no
// others, as long as the interface exists, or until undo, which may be called
// more than once. The interface needs an address that is not link-local. After
// an error nothing has changed.
func Set(ctx context.Context, link int, servers []netip.AddrPort, domains []string) (undo func(), err error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	m, err := connect(ctx)
	if err != nil {
		return nil, err
	}
	defer m.Close()
	if err := m.set(ctx, int32(link), servers, domains); err != nil {
		revert(int32(link)) // ctx may be over
		return nil, err
	}
	return sync.OnceFunc(func() { revert(int32(link)) }), nil
}

// revert forgets what was set on an interface. If that fails, the interface or
// systemd-resolved has gone, and with it the settings.
func revert(link int32) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	m, err := connect(ctx)
	if err != nil {
		return
	}
	defer m.Close()
	m.call(ctx, "RevertLink", link)
}

// resolver is systemd-resolved on the bus.
type resolver struct{ *dbus.Conn }

// connect connects to the system bus, if systemd-resolved is there; it is not
// started.
func connect(ctx context.Context) (*resolver, error) {
	conn, err := dbus.ConnectSystemBus(dbus.WithContext(ctx))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotRunning, err)
	}
	var has bool
	if err := conn.BusObject().CallWithContext(ctx, "org.freedesktop.DBus.NameHasOwner", 0, busName).Store(&has); err != nil {
		conn.Close()
		return nil, fmt.Errorf("ask the system bus for systemd-resolved: %w", err)
	}
	if !has {
		conn.Close()
		return nil, ErrNotRunning
	}
	return &resolver{conn}, nil
}

func (r *resolver) set(ctx context.Context, link int32, servers []netip.AddrPort, domains []string) error {
	list := make([]domain, len(domains))
	for i, name := range domains {
		list[i] = domain{strings.TrimSuffix(name, "."), true}
	}
	// The servers come last: before, the interface is not asked at all, and
	// never for what it has no domain for.
	if err := r.call(ctx, "SetLinkDomains", link, list); err != nil {
		return err
	}
	// What the machine may have switched on for all interfaces, and the
	// gateway cannot: its zone is not signed. Older versions lack some.
	for _, c := range []struct {
		method string
		value  any
	}{
		{"SetLinkDefaultRoute", false},
		{"SetLinkDNSSEC", "no"},
		{"SetLinkDNSOverTLS", "no"},
		{"SetLinkLLMNR", "no"},
		{"SetLinkMulticastDNS", "no"},
	} {
		if err := r.call(ctx, c.method, link, c.value); err != nil && !is(err, errUnknownMethod) {
			return err
		}
	}
	return r.setServers(ctx, link, servers)
}

func (r *resolver) setServers(ctx context.Context, link int32, servers []netip.AddrPort) error {
	list, old := make([]server, len(servers)), make([]oldServer, len(servers))
	ports := false
	for i, a := range servers {
		family := int32(afINET)
		if !a.Addr().Unmap().Is4() {
			family = afINET6
		}
		old[i] = oldServer{family, a.Addr().Unmap().AsSlice()}
		list[i] = server{family, old[i].Address, a.Port(), ""}
		ports = ports || a.Port() != 53
	}
	err := r.call(ctx, "SetLinkDNSEx", link, list)
	if !is(err, errUnknownMethod) {
		return err
	}
	if ports {
		return fmt.Errorf("this systemd-resolved is too old for servers that are not on port 53: %w", err)
	}
	return r.call(ctx, "SetLinkDNS", link, old)
}

// call calls a method; the error says what to do.
func (r *resolver) call(ctx context.Context, method string, args ...any) error {
	err := r.Object(busName, path).CallWithContext(ctx, manager+method, dbus.FlagNoAutoStart, args...).Err
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil: // which closes the connection, too
		err = ctx.Err()
	case is(err, errUnknownService), is(err, errNoOwner):
		return ErrNotRunning
	case is(err, errDenied), is(err, errInteractive):
		err = fmt.Errorf("%w (start as root, or allow it to this user with a polkit rule: docs/names.md)", err)
	case is(err, errBusy):
		err = fmt.Errorf("%w (systemd-networkd has the interface: put DNS= and Domains= into its .network file)", err)
	}
	return fmt.Errorf("systemd-resolved: %s: %w", method, err)
}

// is reports whether an error came from the bus under that name.
func is(err error, name string) bool {
	var e dbus.Error
	return errors.As(err, &e) && e.Name == name
}
