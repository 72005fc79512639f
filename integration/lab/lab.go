// SPDX-License-Identifier: BSD-3-Clause

// Package lab builds hosts on one machine for whole-system tests and
// benchmarks (DESIGN §9): network namespaces joined by veth pairs, and real
// programs that run in them. Namespaces have no names and end with the
// process that made them, so nothing stays behind whatever happens.
//
// Start with New, Net.Host and Net.Link, then Host.Start; Build makes the
// programs of this repository. All of it needs root, see Check.
package lab

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// Check tells why the lab cannot work here, nil if it can.
func Check() error {
	if os.Geteuid() != 0 {
		return errors.New("needs root for network namespaces")
	}
	err := inThread(func() error {
		h, err := netns.New()
		if err == nil {
			h.Close()
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("network namespaces do not work here: %w", err)
	}
	return nil
}

// Net is a set of hosts.
type Net struct {
	hosts []*Host
}

// New returns a Net without hosts.
func New() *Net { return new(Net) }

// Host is a machine: a network namespace with a loopback device.
type Host struct {
	Name  string
	ns    netns.NsHandle
	link  *netlink.Handle
	procs []*Proc
}

// Host makes a host.
func (n *Net) Host(name string) (*Host, error) {
	h := &Host{Name: name, ns: netns.None()}
	err := inThread(func() (err error) {
		h.ns, err = netns.New()
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("make namespace of host %s: %w", name, err)
	}
	n.hosts = append(n.hosts, h)
	if h.link, err = netlink.NewHandleAt(h.ns); err != nil {
		return nil, fmt.Errorf("netlink in host %s: %w", name, err)
	}
	lo, err := h.link.LinkByName("lo")
	if err == nil {
		err = h.link.LinkSetUp(lo)
	}
	if err != nil {
		return nil, fmt.Errorf("loopback of host %s: %w", name, err)
	}
	return h, nil
}

// Link joins two hosts by a veth pair, and gives each end its addresses. The
// devices are called after the host at the other end.
func (n *Net) Link(a *Host, aAddrs []netip.Prefix, b *Host, bAddrs []netip.Prefix) error {
	attrs := netlink.NewLinkAttrs()
	attrs.Name = "to-" + b.Name
	attrs.Namespace = netlink.NsFd(int(a.ns))
	veth := netlink.NewVeth(attrs)
	veth.PeerName = "to-" + a.Name
	veth.PeerNamespace = netlink.NsFd(int(b.ns))
	if err := a.link.LinkAdd(veth); err != nil {
		return fmt.Errorf("join %s and %s: %w", a.Name, b.Name, err)
	}
	for _, end := range []struct {
		h     *Host
		dev   string
		addrs []netip.Prefix
	}{{a, attrs.Name, aAddrs}, {b, veth.PeerName, bAddrs}} {
		if err := end.h.setUp(end.dev, end.addrs); err != nil {
			return fmt.Errorf("set up %s of host %s: %w", end.dev, end.h.Name, err)
		}
	}
	return nil
}

// setUp gives a device its addresses, without waiting for the detection of
// duplicates, and brings it up.
func (h *Host) setUp(dev string, addrs []netip.Prefix) error {
	l, err := h.link.LinkByName(dev)
	if err != nil {
		return err
	}
	for _, a := range addrs {
		addr := &netlink.Addr{IPNet: &net.IPNet{
			IP:   a.Addr().AsSlice(),
			Mask: net.CIDRMask(a.Bits(), a.Addr().BitLen()),
		}}
		if a.Addr().Is6() {
			addr.Flags = unix.IFA_F_NODAD
		}
		if err := h.link.AddrAdd(l, addr); err != nil {
			return fmt.Errorf("address %v: %w", a, err)
		}
	}
	return h.link.LinkSetUp(l)
}

// Links returns the names of the host's devices, sorted.
func (h *Host) Links() ([]string, error) {
	all, err := h.link.LinkList()
	if err != nil {
		return nil, fmt.Errorf("list devices of host %s: %w", h.Name, err)
	}
	var names []string
	for _, l := range all {
		names = append(names, l.Attrs().Name)
	}
	slices.Sort(names)
	return names, nil
}

// MTU returns the MTU of a device in bytes.
func (h *Host) MTU(dev string) (int, error) {
	l, err := h.link.LinkByName(dev)
	if err != nil {
		return 0, fmt.Errorf("device %s of host %s: %w", dev, h.Name, err)
	}
	return l.Attrs().MTU, nil
}

// Route sends packets for a prefix to a device.
func (h *Host) Route(to netip.Prefix, dev string) error {
	l, err := h.link.LinkByName(dev)
	if err != nil {
		return fmt.Errorf("device %s of host %s: %w", dev, h.Name, err)
	}
	dst := &net.IPNet{IP: to.Addr().AsSlice(), Mask: net.CIDRMask(to.Bits(), to.Addr().BitLen())}
	return h.link.RouteReplace(&netlink.Route{LinkIndex: l.Attrs().Index, Dst: dst})
}

// SetUp gives a device, made by a program, its addresses and brings it up.
func (h *Host) SetUp(dev string, addrs ...netip.Prefix) error { return h.setUp(dev, addrs) }

// Close kills what still runs on the hosts and removes them.
func (n *Net) Close() error {
	var errs []error
	for _, h := range n.hosts {
		for _, p := range h.procs {
			p.Kill()
		}
	}
	for _, h := range n.hosts {
		if h.link != nil {
			h.link.Close()
		}
		errs = append(errs, h.ns.Close())
	}
	n.hosts = nil
	return errors.Join(errs...)
}
