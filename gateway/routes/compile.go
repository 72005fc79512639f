// SPDX-License-Identifier: BSD-3-Clause

//go:build linux

package routes

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Where rules and tables are put. A slot is room for one Plan: as many
// priorities and tables as 129 lengths of IPv6 prefixes need. There are rules of
// others in front of them (a VPN's, say), the main table (32766) is behind.
const (
	slots         = 64
	slotSize      = 300
	firstPriority = 10000
	firstTable    = 1070000
)

// slot numbers a free range of priorities and tables.
type slot int

func (s slot) priority() int { return firstPriority + int(s)*slotSize }
func (s slot) table() int    { return firstTable + int(s)*slotSize }

var families = [...]int{unix.AF_INET, unix.AF_INET6}

func familyOf(a netip.Addr) int {
	if a.Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}

// compile turns the plan into rules and routes.
func (p *Plan) compile(s slot) *record {
	r := &record{Version: recordVersion, PID: os.Getpid(), Device: p.Device}
	for _, family := range families {
		p.compileFamily(r, s, family)
	}
	return r
}

func (p *Plan) compileFamily(r *record, s slot, family int) {
	byLength := map[int][]netip.Prefix{}
	for _, q := range p.Prefixes {
		q = q.Masked()
		if l := byLength[q.Bits()]; familyOf(q.Addr()) == family && !slices.Contains(l, q) {
			byLength[q.Bits()] = append(l, q)
		}
	}
	selectors := p.selectors(family)
	if len(byLength) == 0 || len(selectors) == 0 {
		return
	}
	var lengths []int
	for l := range byLength {
		lengths = append(lengths, l)
	}
	slices.SortFunc(lengths, func(a, b int) int { return cmp.Compare(b, a) })

	end := s.priority() + 2*len(lengths) + 1
	// The kernel wants the target of a goto first, or complains. Looking up
	// what is then ignored in any case does nothing.
	everything := map[int]int{unix.AF_INET: 32, unix.AF_INET6: 128}[family]
	r.Rules = append(r.Rules, ruleEntry{Family: family, Priority: end, Table: unix.RT_TABLE_MAIN, Suppress: &everything})
	for _, e := range p.exceptions(family) {
		e.Family, e.Priority, e.Goto = family, s.priority(), end
		r.Rules = append(r.Rules, e)
	}
	for i, l := range lengths {
		table := s.table() + i
		for _, q := range byLength[l] {
			r.Routes = append(r.Routes, routeEntry{Prefix: q, Table: table})
		}
		for _, sel := range selectors {
			longer := sel
			longer.Family, longer.Priority = family, s.priority()+1+2*i
			longer.Table, longer.Suppress = unix.RT_TABLE_MAIN, &l
			own := sel
			own.Family, own.Priority, own.Table = family, longer.Priority+1, table
			r.Rules = append(r.Rules, longer, own)
		}
	}
}

// selectors returns what distinguishes the packets that are taken: one entry
// that matches all, or one for each pair of source and interface.
func (p *Plan) selectors(family int) (out []ruleEntry) {
	from := []netip.Prefix{{}}
	if len(p.From) > 0 {
		from = nil
		for _, f := range p.From {
			if f = f.Masked(); familyOf(f.Addr()) == family && !slices.Contains(from, f) {
				from = append(from, f)
			}
		}
	}
	iif := []string{""}
	if len(p.Iif) > 0 {
		iif = slices.Compact(slices.Sorted(slices.Values(p.Iif)))
	}
	for _, f := range from {
		for _, i := range iif {
			out = append(out, ruleEntry{From: f, Iif: i})
		}
	}
	return out
}

// exceptions returns what distinguishes the packets that are not taken.
func (p *Plan) exceptions(family int) (out []ruleEntry) {
	for _, q := range p.Except {
		if q = q.Masked(); familyOf(q.Addr()) == family {
			out = append(out, ruleEntry{To: q})
		}
	}
	if p.forwarded() {
		// The loopback device is where packets of this machine come from.
		return append(out, ruleEntry{Iif: "lo"})
	}
	for _, a := range p.Own {
		e := ruleEntry{UDPPort: a.Port()}
		switch addr := a.Addr().Unmap().WithZone(""); {
		case addr.IsUnspecified() || !addr.IsValid():
			// A socket of IPv6 may send IPv4, so both families.
		case familyOf(addr) != family:
			continue
		default:
			e.From = netip.PrefixFrom(addr, addr.BitLen())
		}
		out = append(out, e)
	}
	if p.Mark != 0 {
		out = append(out, ruleEntry{Mark: p.Mark})
	}
	if p.UID != nil {
		out = append(out, ruleEntry{UID: p.UID})
	}
	return dedup(out)
}

// dedup removes repeated exceptions, which the kernel refuses.
func dedup(list []ruleEntry) (out []ruleEntry) {
	for _, e := range list {
		if !slices.Contains(out, e) {
			out = append(out, e)
		}
	}
	return out
}

// freeSlot finds a slot that no rule uses, for both families. A table without
// a rule is nobody's, and routes are not listed: there may be a million. The
// namespace is locked.
func freeSlot() (slot, error) {
	var used [slots]bool
	mark := func(n, first int) {
		if i := (n - first) / slotSize; n >= first && i < slots {
			used[i] = true
		}
	}
	for _, family := range families {
		rules, err := listRules(family)
		if errors.Is(err, unix.EAFNOSUPPORT) || errors.Is(err, unix.EOPNOTSUPP) {
			continue // a kernel without IPv6
		}
		if err != nil {
			return 0, fmt.Errorf("list rules: %w", err)
		}
		for _, r := range rules {
			mark(r.Priority, firstPriority)
			mark(r.Table, firstTable)
		}
	}
	for i, u := range used {
		if !u {
			return slot(i), nil
		}
	}
	return 0, fmt.Errorf("all %d ranges of rule priorities from %d are in use: o7gw down removes what killed gateways left", slots, firstPriority)
}

// listRules repeats a listing that a change by others has interrupted.
func listRules(family int) (list []netlink.Rule, err error) {
	for range 10 {
		if list, err = netlink.RuleList(family); !errors.Is(err, netlink.ErrDumpInterrupted) {
			break
		}
	}
	return list, err
}
