// SPDX-License-Identifier: BSD-3-Clause

package irm

import (
	"cmp"
	"container/list"
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	"o7gw/o7s/layer"
)

// name is a service name. Everything but the constants is guarded by IRM.mu.
type name struct {
	name   string
	hashes []layer.Hash // by all algorithms

	policy         Policy
	owner          uint32
	server, client Protection
	// implicit: came into being for a process that bound itself, and goes
	// with the last one.
	implicit bool
	// taken: it came into being for a process of a user who is no
	// administrator, and no administrator has given it to him since.
	taken bool

	programs []ProgramBinding // newest first
	procs    map[*Process]*binding
	active   list.List // of *waiter, next one first
	pending  list.List // of *request, oldest first
	start    starter

	listeners int // Listen calls in force
	regMu     sync.Mutex
	// wanted are members through which an administrator registered the name,
	// registered those where it is registered now; see reconcile.
	wanted     map[*member]struct{}
	registered map[*member]layer.Hash
}

// algos are the algorithms by which a layer may ask for a name.
var algos = []layer.HashAlgo{layer.SHA3_224, layer.SHA3_256, layer.SHA3_384, layer.SHA3_512, layer.MD5}

// CreateName creates a name. If it exists that is no error and changes
// nothing, but that the name stays when its users go, that one which
// came into being for a process of another user is taken from that, and that
// a name without any protection gets the one that is given. A protection that
// differs from what the name has is ErrExists.
func (i *IRM) CreateName(info NameInfo) error {
	if err := checkName(info.Name); err != nil {
		return fmt.Errorf("create name %q: %w", info.Name, err)
	}
	if info.Policy > Spillover {
		return fmt.Errorf("create name %q: %v: %w", info.Name, info.Policy, layer.ErrInvalid)
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if n := i.names[info.Name]; n != nil {
		n.claimLocked(info.Owner)
		if err := n.protectLocked(info.Server, info.Client); err != nil {
			return fmt.Errorf("create name %q: %w", info.Name, err)
		}
		i.infof("Name %v already exists.", text(info.Name))
		return nil
	}
	n := i.addNameLocked(info.Name, info.Policy, info.Owner)
	n.server, n.client = info.Server, info.Client
	return nil
}

// protectLocked gives the protection to a name that exists. Whoever asks for
// one must not go away and believe that it is there.
func (n *name) protectLocked(server, client Protection) error {
	none := Protection{}
	switch {
	case server == none && client == none:
	case n.server == none && n.client == none:
		n.server, n.client = server, client
	case n.server != server || n.client != client:
		return errText("it has other security settings; destroy it first", ErrExists)
	}
	return nil
}

func (i *IRM) addNameLocked(s string, p Policy, owner uint32) *name {
	n := &name{
		name:       s,
		policy:     p,
		owner:      owner,
		procs:      make(map[*Process]*binding),
		wanted:     make(map[*member]struct{}),
		registered: make(map[*member]layer.Hash),
	}
	for _, a := range algos {
		h := a.Sum(s)
		n.hashes = append(n.hashes, h)
		i.hashes[h] = n
	}
	i.names[s] = n
	i.infoBy(n.cause(), "Created new name: %v.", text(s))
	return n
}

// claimLocked makes a name stay, for an administrator. If it came into being
// for a process, it now belongs to owner, and processes of other users lose
// it: whoever was quicker must not get what is meant for somebody else.
func (n *name) claimLocked(owner uint32) {
	if !n.implicit && !n.taken {
		return
	}
	n.implicit, n.taken, n.owner = false, false, owner
	for p, b := range n.procs {
		if c := p.info.Creds; !c.Admin && c.UID != owner {
			n.listeners -= b.listeners
			p.unbindLocked(n)
			p.irm.warnf("Took name %v from process %d of user %d.", text(n.name), p.info.PID, c.UID)
		}
	}
}

// needNameLocked returns the name for an administrator who binds or registers
// it, and creates it if it is missing (spec 40 §2.3).
func (i *IRM) needNameLocked(s string) (*name, error) {
	if err := checkName(s); err != nil {
		return nil, err
	}
	n := i.names[s]
	if n == nil {
		n = i.addNameLocked(s, Spillover, 0)
	}
	n.implicit = false
	return n, nil
}

// DestroyName unbinds the name from programs and processes, refuses what
// waits for it and unregisters it everywhere.
func (i *IRM) DestroyName(s string) error {
	i.mu.Lock()
	n := i.names[s]
	if n == nil {
		i.mu.Unlock()
		return fmt.Errorf("destroy name %q: %w", s, layer.ErrNoName)
	}
	n.programs = nil
	n.implicit = true
	clear(n.wanted)
	for p, b := range n.procs {
		n.listeners -= b.listeners
		p.unbindLocked(n)
	}
	refused := n.takePendingLocked()
	i.mu.Unlock()
	for _, r := range refused {
		r.refuse(layer.ErrNoName)
	}
	i.tidy(n)
	return nil
}

// tidy makes the layers agree with what is left of a name after something
// was taken from it, and removes the name if nobody needs it any more.
func (i *IRM) tidy(n *name) {
	ctx, cancel := context.WithTimeout(context.Background(), unregisterTimeout)
	defer cancel()
	i.reconcile(ctx, n)
	i.mu.Lock()
	if !n.implicit || len(n.programs) > 0 || len(n.procs) > 0 || len(n.wanted) > 0 || i.names[n.name] != n {
		i.mu.Unlock()
		return
	}
	delete(i.names, n.name)
	for _, h := range n.hashes {
		delete(i.hashes, h)
	}
	refused := n.takePendingLocked()
	i.mu.Unlock()
	for _, r := range refused {
		r.refuse(layer.ErrNoName)
	}
	i.infoBy(n.cause(), "Destroyed name: %v.", text(n.name))
}

// ListNames returns all names, sorted.
func (i *IRM) ListNames() []NameInfo {
	i.mu.Lock()
	defer i.mu.Unlock()
	list := make([]NameInfo, 0, len(i.names))
	for _, n := range i.names {
		list = append(list, n.infoLocked())
	}
	slices.SortFunc(list, func(a, b NameInfo) int { return cmp.Compare(a.Name, b.Name) })
	return list
}

func (n *name) infoLocked() NameInfo {
	info := NameInfo{
		Name: n.name, Policy: n.policy, Owner: n.owner, Server: n.server, Client: n.client,
		Programs: slices.Clone(n.programs),
	}
	for p := range n.procs {
		if m := p.member; m != nil {
			info.IPCPs = append(info.IPCPs, BoundIPCP{ID: m.id, Name: m.name})
		} else {
			info.Processes = append(info.Processes, p.info.PID)
		}
	}
	slices.SortFunc(info.IPCPs, func(a, b BoundIPCP) int { return cmp.Compare(a.ID, b.ID) })
	slices.Sort(info.Processes)
	info.Processes = slices.Compact(info.Processes)
	for _, m := range slices.SortedFunc(maps.Keys(n.registered), func(a, b *member) int { return cmp.Compare(a.id, b.id) }) {
		info.Registered = append(info.Registered, Registration{IPCP: m.id, Name: m.name, Hash: n.registered[m]})
	}
	return info
}
