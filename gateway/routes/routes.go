// SPDX-License-Identifier: BSD-3-Clause

//go:build linux

// Package routes sends the kernel's packets for some destinations to a device
// by rules and routing tables of its own (ip-rule(8)), where a plain route
// would not do: because only forwarded packets are meant, or because the
// destinations include the peers of the gateway itself. It removes all of that
// again, also what a gateway that was killed has left (DESIGN §6).
//
// What is set up, for each address family:
//
//	priority  rule
//	base      what is excepted         goto base+end
//	base+1    lookup main, but only routes longer than the longest prefix
//	base+2    lookup own table with the prefixes of that length
//	 …        … the same for each shorter length …
//	base+end  nothing: the rules of the machine follow
//
// So the longest prefix decides, as if the routes were in the main table, and
// of two equal ones that of the gateway. The rules stand in front of the main
// table and behind the local one: the addresses of the machine itself are
// never taken.
//
// # What does not loop
//
// The gateway's flows must not enter the device that they carry. Which cases work:
//
//   - Plan.From or Plan.Iif: only forwarded packets are taken. Nothing that
//     this machine sends by itself is, whatever its destination or source.
//   - Prefixes without them: what is sent from UDP sockets of this process that
//     are bound to a port when Apply is called (the sockets of the udp layers),
//     or from those of Plan.Own, goes by the machine's own rules. That holds in
//     both directions, so strict reverse path filters let the answers pass.
//   - Beside that, what goes to Plan.Except, what has the mark Plan.Mark, and
//     what the user Plan.UID sends; the user of this process always unless it
//     is root, whose packets are not the gateway's alone. Strict reverse
//     path filters of other devices drop answers to the last two (to the mark,
//     unless src_valid_mark is set).
//   - Layers on Ethernet use no routes: Plan.Own may be empty then, but not nil.
//
// What is not excepted: TCP connections and DNS queries of a gateway that runs
// as root and sets no mark (they are taken like those of any program), and
// answers of this machine's servers to clients beyond its own networks, if the
// prefixes cover the clients. On a server take forwarded packets only.
//
// Start with Sweep, then Apply and Applied.Remove.
package routes

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"

	"golang.org/x/sys/unix"
)

// Plan says which packets go to a device.
type Plan struct {
	Device   string         // that exists and is up
	Prefixes []netip.Prefix // of destinations; overlaps and repeats are allowed

	// With one of these only forwarded packets are taken: from these sources,
	// and from these interfaces.
	From []netip.Prefix
	Iif  []string

	// What is never taken. Own holds addresses of UDP sockets, unspecified
	// addresses stand for all; nil: those of this process.
	Own    []netip.AddrPort
	Mark   uint32 // 0: none
	UID    *uint32
	Except []netip.Prefix // destinations
}

// ErrOwnTraffic is returned by Apply if it cannot tell what must not be taken.
var ErrOwnTraffic = errors.New("the flows of the gateway might go to the device that they carry: " +
	"take forwarded packets only (from, iif), or name the sockets of the node that carries them")

// Applied is a Plan in effect.
type Applied struct {
	mu     sync.Mutex
	record *record // nil once removed
	file   *stateFile
}

// Apply puts the plan into effect. runDir is where it notes that first. After
// an error nothing is left. It needs CAP_NET_ADMIN.
func Apply(runDir string, p Plan) (*Applied, error) {
	a, err := apply(runDir, &p)
	if err != nil {
		return nil, fmt.Errorf("route to %s: %w", p.Device, err)
	}
	return a, nil
}

func apply(runDir string, p *Plan) (*Applied, error) {
	if err := p.complete(); err != nil {
		return nil, err
	}
	ns, err := lockNamespace()
	if err != nil {
		return nil, err
	}
	defer ns.unlock()
	slot, err := freeSlot()
	if err != nil {
		return nil, err
	}
	r := p.compile(slot)
	file, err := createState(runDir, ns.id, r)
	if err != nil {
		return nil, err
	}
	if err := r.install(); err != nil {
		_, undo := r.remove()
		return nil, errors.Join(err, undo, file.remove())
	}
	return &Applied{record: r, file: file}, nil
}

// complete finds out what the plan leaves open.
func (p *Plan) complete() error {
	for _, list := range [][]netip.Prefix{p.Prefixes, p.From, p.Except} {
		if i := slices.IndexFunc(list, func(q netip.Prefix) bool { return !q.IsValid() }); i >= 0 {
			return fmt.Errorf("prefix %d is invalid", i)
		}
	}
	for _, name := range p.Iif {
		if name == "" || len(name) >= unix.IFNAMSIZ {
			return fmt.Errorf("%q is no name of a network interface", name)
		}
	}
	if p.forwarded() {
		return nil
	}
	if p.Own == nil {
		own, err := ownSockets()
		if err != nil {
			return err
		}
		if len(own) == 0 && p.Mark == 0 && p.UID == nil && len(p.Except) == 0 {
			return ErrOwnTraffic
		}
		p.Own = own
	}
	if p.UID == nil {
		p.UID = ownUser()
	}
	return nil
}

// forwarded reports whether only forwarded packets are taken.
func (p *Plan) forwarded() bool { return len(p.From)+len(p.Iif) > 0 }

// Remove ends the effect of the plan. It needs CAP_NET_ADMIN. Idempotent; after
// an error it may be called again.
func (a *Applied) Remove() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.record == nil {
		return nil
	}
	if _, err := a.record.remove(); err != nil {
		return fmt.Errorf("remove routes to %s: %w", a.record.Device, err)
	}
	a.record = nil
	if err := a.file.remove(); err != nil {
		return fmt.Errorf("remove routes: %w", err)
	}
	return nil
}
