// SPDX-License-Identifier: BSD-3-Clause

//go:build linux

package tun

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// SetAddrs gives the interface the addresses and brings it up.
func (d *Device) SetAddrs(addrs []netip.Prefix) error {
	link, err := netlink.LinkByName(d.name)
	if err != nil {
		return fmt.Errorf("find interface %s: %w", d.name, err)
	}
	for _, a := range addrs {
		na := &netlink.Addr{IPNet: ipNet(a)}
		if a.Addr().Is6() {
			na.Flags = unix.IFA_F_NODAD // nobody to ask on a tunnel
		}
		if err := netlink.AddrReplace(link, na); err != nil {
			return fmt.Errorf("add address %s to %s: %w", a, d.name, err)
		}
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return fmt.Errorf("bring %s up: %w", d.name, err)
	}
	return nil
}

// SetMTU sets the MTU of the interface, in bytes, and limits the kernel's
// large segments so that one of them, split and with perPacket bytes of
// headers added to each packet, still fits one datagram of 64 KiB: then a
// segment leaves with one system call, not with one and a remainder.
func (d *Device) SetMTU(mtu, perPacket int) error {
	d.growRoom(mtu)
	link, err := netlink.LinkByName(d.name)
	if err != nil {
		return fmt.Errorf("find interface %s: %w", d.name, err)
	}
	if err := netlink.LinkSetMTU(link, mtu); err != nil {
		return fmt.Errorf("set MTU %d of %s: %w", mtu, d.name, err)
	}
	const largest = 65507 // payload of a UDP datagram over IPv4
	segs := max(1, min(64, largest/(mtu+perPacket)))
	if err := netlink.LinkSetGSOMaxSegs(link, segs); err != nil && !errors.Is(err, unix.EOPNOTSUPP) && !errors.Is(err, unix.EINVAL) {
		return fmt.Errorf("set segment limit of %s: %w", d.name, err)
	}
	return nil
}

// SetQueue sets how many packets, a large segment being one, wait in the kernel
// for Read; more are lost. The kernel's default is 500: at 100 000 datagrams per
// second 5 ms, less than a reader may be off the processor.
func (d *Device) SetQueue(packets int) error {
	link, err := netlink.LinkByName(d.name)
	if err != nil {
		return fmt.Errorf("find interface %s: %w", d.name, err)
	}
	if err := netlink.LinkSetTxQLen(link, packets); err != nil {
		return fmt.Errorf("set queue length of %s: %w", d.name, err)
	}
	return nil
}

// AddRoute routes the prefix to the interface.
func (d *Device) AddRoute(p netip.Prefix) error {
	link, err := netlink.LinkByName(d.name)
	if err != nil {
		return fmt.Errorf("find interface %s: %w", d.name, err)
	}
	if err := netlink.RouteReplace(route(link, p)); err != nil {
		return fmt.Errorf("route %s to %s: %w", p, d.name, err)
	}
	return nil
}

// DelRoute undoes AddRoute. A route that is gone is no error.
func (d *Device) DelRoute(p netip.Prefix) error {
	link, err := netlink.LinkByName(d.name)
	if err != nil {
		return fmt.Errorf("find interface %s: %w", d.name, err)
	}
	if err := netlink.RouteDel(route(link, p)); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("remove route %s from %s: %w", p, d.name, err)
	}
	return nil
}

func route(link netlink.Link, p netip.Prefix) *netlink.Route {
	r := &netlink.Route{LinkIndex: link.Attrs().Index, Dst: ipNet(p)}
	if p.Addr().Is4() {
		r.Scope = netlink.SCOPE_LINK
	}
	return r
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}
