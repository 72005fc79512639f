// SPDX-License-Identifier: BSD-3-Clause

// Package resolved tells systemd-resolved which DNS servers to ask for which
// domains on an interface (split DNS), through its D-Bus interface
// org.freedesktop.resolve1.
//
// Start with Set; Hint is for machines where it does not run.
package resolved

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/godbus/dbus/v5"
)

// Names of the service on the system bus.
const (
	busName = "org.freedesktop.resolve1"
	path    = dbus.ObjectPath("/org/freedesktop/resolve1")
	manager = "org.freedesktop.resolve1.Manager."
)

// callLimit bounds the calls to the bus.
const callLimit = 3 * time.Second

// ErrNotRunning is returned where there is no system bus, or no
// systemd-resolved on it.
var ErrNotRunning = errors.New("systemd-resolved does not run")

// server is a DNS server as SetLinkDNSEx takes it.
type server struct {
	Family  int32
	Address []byte
	Port    uint16
	Name    string
}

// domain is a domain as SetLinkDomains takes it; RoutingOnly: names are asked
// for there, but short names are not completed with it.
type domain struct {
	Name        string
	RoutingOnly bool
}

// Address families of Linux.
const (
	afINET  = 2
	afINET6 = 10
)

// Set makes systemd-resolved ask the servers for names in the domains, as long
// as the interface exists, or until undo.
func Set(ctx context.Context, link int, servers []netip.AddrPort, domains []string) (undo func(), err error) {
	conn, err := dbus.ConnectSystemBus(dbus.WithContext(ctx))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotRunning, err)
	}
	defer conn.Close()
	if err := set(ctx, conn, link, servers, domains); err != nil {
		return nil, err
	}
	return func() {
		ctx, cancel := context.WithTimeout(context.Background(), callLimit)
		defer cancel()
		conn, err := dbus.ConnectSystemBus(dbus.WithContext(ctx))
		if err != nil {
			return // it went with its memory of the link
		}
		defer conn.Close()
		call(ctx, conn, "RevertLink", int32(link))
	}, nil
}

func set(ctx context.Context, conn *dbus.Conn, link int, servers []netip.AddrPort, domains []string) error {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	var s []server
	for _, a := range servers {
		family := int32(afINET)
		if a.Addr().Is6() {
			family = afINET6
		}
		s = append(s, server{family, a.Addr().AsSlice(), a.Port(), ""})
	}
	var d []domain
	for _, name := range domains {
		d = append(d, domain{strings.TrimSuffix(name, "."), true})
	}
	if err := call(ctx, conn, "SetLinkDNSEx", int32(link), s); err != nil {
		return err
	}
	return call(ctx, conn, "SetLinkDomains", int32(link), d)
}

func call(ctx context.Context, conn *dbus.Conn, method string, args ...any) error {
	err := conn.Object(busName, path).CallWithContext(ctx, manager+method, 0, args...).Err
	var e dbus.Error
	if errors.As(err, &e) && (e.Name == "org.freedesktop.DBus.Error.ServiceUnknown" || e.Name == "org.freedesktop.DBus.Error.NameHasNoOwner") {
		return ErrNotRunning
	}
	if err != nil {
		return fmt.Errorf("systemd-resolved: %s: %w", method, err)
	}
	return nil
}

// Hint says what to do by hand, where systemd-resolved does not do it.
func Hint(servers []netip.AddrPort, domains []string) string {
	var at, addrs []string
	for _, s := range servers {
		at = append(at, s.String())
		addrs = append(addrs, s.Addr().String())
	}
	return fmt.Sprintf("ask %s for names in %s: with dnsmasq by server=/%s/%s, or with \"nameserver %s\" first in /etc/resolv.conf and upstream set in [names]",
		strings.Join(at, " or "), strings.Join(domains, ", "), strings.Join(domains, "/"), strings.Join(addrs[:min(1, len(addrs))], ""), strings.Join(addrs[:min(1, len(addrs))], ""))
}
