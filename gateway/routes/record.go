// SPDX-License-Identifier: BSD-3-Clause

//go:build linux

package routes

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// protocol marks our rules and routes (rtnetlink(7), rtm_protocol), so that
// people see whose they are: ip rule list shows "proto 107". It is in the range
// left to routing programs.
const protocol = 107

// record is what one Apply puts into the kernel: the contents of a state file.
// It is written before the kernel is changed, and removed piece by piece, so
// what of it exists does not matter.
type record struct {
	Version int          `json:"version"`
	PID     int          `json:"pid"` // for people
	Device  string       `json:"device"`
	Rules   []ruleEntry  `json:"rules"`
	Routes  []routeEntry `json:"routes"`
}

// recordVersion is the version of the state file's format.
const recordVersion = 1

// ruleEntry is one rule. Table 0: goto Goto.
type ruleEntry struct {
	Family   int          `json:"family"`
	Priority int          `json:"priority"`
	Table    int          `json:"table,omitempty"`
	Suppress *int         `json:"suppress,omitempty"` // ignore results with prefixes not longer than this
	Goto     int          `json:"goto,omitempty"`
	From     netip.Prefix `json:"from,omitzero"`
	To       netip.Prefix `json:"to,omitzero"`
	Iif      string       `json:"iif,omitempty"`
	UDPPort  uint16       `json:"udp_source_port,omitempty"`
	Mark     uint32       `json:"mark,omitempty"`
	UID      *uint32      `json:"uid,omitempty"`
}

// routeEntry is one route to the device.
type routeEntry struct {
	Prefix netip.Prefix `json:"prefix"`
	Table  int          `json:"table"`
}

func (e *ruleEntry) rule() *netlink.Rule {
	r := netlink.NewRule()
	r.Family, r.Priority, r.Protocol = e.Family, e.Priority, protocol
	r.Table, r.IifName, r.Mark = e.Table, e.Iif, e.Mark
	if e.Table == 0 {
		r.Goto = e.Goto
	}
	if e.Suppress != nil {
		r.SuppressPrefixlen = *e.Suppress
	}
	if e.From.IsValid() {
		r.Src = ipNet(e.From)
	}
	if e.To.IsValid() {
		r.Dst = ipNet(e.To)
	}
	if e.UDPPort != 0 {
		r.IPProto, r.Sport = unix.IPPROTO_UDP, netlink.NewRulePortRange(e.UDPPort, e.UDPPort)
	}
	if e.UID != nil {
		r.UIDRange = netlink.NewRuleUIDRange(*e.UID, *e.UID)
	}
	return r
}

// String names the rule for people.
func (e *ruleEntry) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "rule %d", e.Priority)
	if e.Family == unix.AF_INET6 {
		b.WriteString(" (IPv6)")
	}
	switch {
	case e.Table == 0:
		fmt.Fprintf(&b, " goto %d", e.Goto)
	case e.Table == unix.RT_TABLE_MAIN:
		b.WriteString(" lookup main")
	default:
		fmt.Fprintf(&b, " lookup %d", e.Table)
	}
	return b.String()
}

func (e *routeEntry) route(link int) *netlink.Route {
	r := &netlink.Route{LinkIndex: link, Dst: ipNet(e.Prefix), Table: e.Table, Protocol: protocol}
	if e.Prefix.Addr().Is4() {
		r.Scope = netlink.SCOPE_LINK
	}
	return r
}

// String names the route for people.
func (e *routeEntry) String() string { return fmt.Sprintf("route %s table %d", e.Prefix, e.Table) }

func ipNet(p netip.Prefix) *net.IPNet {
	p = p.Masked()
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

// install makes the kernel follow the record: first the routes, then the rules
// in their order, exceptions before what they except from.
func (r *record) install() error {
	link, err := netlink.LinkByName(r.Device)
	if err != nil {
		return fmt.Errorf("find interface: %w", err)
	}
	if err := allowDetours(r.Device); err != nil {
		return err
	}
	for i := range r.Routes {
		e := &r.Routes[i]
		if err := netlink.RouteReplace(e.route(link.Attrs().Index)); err != nil {
			return fmt.Errorf("add %v: %w", e, err)
		}
	}
	for i := range r.Rules {
		e := &r.Rules[i]
		if err := netlink.RuleAdd(e.rule()); err != nil {
			return fmt.Errorf("add %v: %w", e, err)
		}
	}
	return nil
}

// remove takes back install in the reverse order, and returns what it found.
// What is gone already is no error: routes go with their device.
func (r *record) remove() (found []string, err error) {
	// What an entry leaves open matches anything, so one may remove what is
	// another's: once more, until nothing is found.
	var errs []error
	for range len(r.Rules) + 1 {
		some, err := r.removeRules()
		found = append(found, some...)
		if err != nil {
			errs = append(errs, err)
		}
		if err != nil || len(some) == 0 {
			break
		}
	}
	for i := range r.Routes {
		e := &r.Routes[i]
		switch err := netlink.RouteDel(e.route(0)); {
		case err == nil:
			found = append(found, e.String())
		case !gone(err):
			errs = append(errs, fmt.Errorf("remove %v: %w", e, err))
		}
	}
	return found, errors.Join(errs...)
}

// removeRules removes what matches each entry: rules of our protocol only.
func (r *record) removeRules() (found []string, err error) {
	var errs []error
	for i := len(r.Rules) - 1; i >= 0; i-- {
		e := &r.Rules[i]
		switch err := netlink.RuleDel(e.rule()); {
		case err == nil:
			found = append(found, e.String())
		case !gone(err):
			errs = append(errs, fmt.Errorf("remove %v: %w", e, err))
		}
	}
	return found, errors.Join(errs...)
}

// gone reports whether an error says that there is nothing to remove.
func gone(err error) bool {
	return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ESRCH) || errors.Is(err, unix.ENODEV) ||
		errors.Is(err, unix.EAFNOSUPPORT)
}

// allowDetours makes the reverse path filter of the device a loose one, if it
// is strict: what comes out of the device may have addresses that the main
// table, which the filter asks, has elsewhere. The setting ends with the
// device.
func allowDetours(device string) error {
	const strict, loose = "1", "2"
	dir := "/proc/sys/net/ipv4/conf"
	for _, of := range []string{"all", device} {
		v, err := os.ReadFile(filepath.Join(dir, of, "rp_filter"))
		if errors.Is(err, fs.ErrNotExist) {
			return nil // no IPv4 on it, or no /proc/sys: nothing to do, or to know
		}
		if err != nil {
			return fmt.Errorf("read reverse path filter: %w", err)
		}
		switch strings.TrimSpace(string(v)) {
		case loose:
			return nil // the larger of the two counts
		case strict:
			if err := os.WriteFile(filepath.Join(dir, device, "rp_filter"), []byte(loose), 0); err != nil {
				return fmt.Errorf("loosen reverse path filter: %w", err)
			}
			return nil
		}
	}
	return nil
}
