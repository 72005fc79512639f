// SPDX-License-Identifier: BSD-3-Clause

package irm

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"

	"o7gw/o7s/ipcp"
	"o7gw/o7s/layer"
)

// member is an IPC process: what makes this node a member of a layer.
type member struct {
	irm  *IRM
	id   int
	name string
	typ  ipcp.Type
	ctx  context.Context // ends with the member
	stop context.CancelFunc

	op   sync.Mutex // one of bootstrap, enroll and close at a time
	ipcp ipcp.IPCP  // set before the member is visible
	// failedDst is what the last enrolment failed with; guarded by op.
	failedDst string
	proc      *Process // as which it uses flows of layers below; nil: it uses none
	// unpublish takes what the IRM tells of it out of the RIB; nil: nothing is there.
	unpublish func()

	addr string // guarded by irm.mu, as are the rest
	info ipcp.Info

	joined  bool // in a layer
	gone    bool
	flows   int
	on      map[*member]int // members that carry flows for it, and how many each
	pending int             // requests from the network that wait for an acceptor
}

// componentOf returns the log component of an IPC process (spec 40 §8).
func componentOf(t ipcp.Type) string {
	switch t {
	case ipcp.Local:
		return "ipcpd-local"
	case ipcp.Unicast, ipcp.Broadcast:
		return t.String() + "-ipcp"
	}
	return "ipcpd/" + t.String()
}

// CreateIPCP makes an IPC process in state Boot and returns its id. Names are
// unique: ErrExists. A type that the node does not have: layer.ErrIPCPType.
func (i *IRM) CreateIPCP(t ipcp.Type, name string) (int, error) {
	fail := func(err error) (int, error) { return 0, fmt.Errorf("create IPCP %q: %w", name, err) }
	if err := checkName(name); err != nil {
		return fail(err)
	}
	m, err := i.newMember(t, name)
	if err != nil {
		return fail(err)
	}
	if err := i.addMember(m); err != nil {
		m.close()
		return fail(err)
	}
	i.infof("Created IPCP %d.", m.id)
	return m.id, nil
}

// newMember makes an IPC process that nobody sees yet.
func (i *IRM) newMember(t ipcp.Type, name string) (*member, error) {
	m := &member{irm: i, name: name, typ: t, on: make(map[*member]int)}
	i.mu.Lock()
	err := i.freeLocked(name)
	if err == nil {
		i.lastIPCP++
		m.id = i.lastIPCP
	}
	i.mu.Unlock()
	if err != nil {
		return nil, err
	}
	m.ctx, m.stop = context.WithCancel(context.Background())
	env := ipcp.Env{Name: name, Upper: m, RIB: i.ribOf(name), Log: i.base.With("component", componentOf(t))}
	if standsOnLayers(t) {
		b, err := i.newBelow(m)
		if err != nil {
			m.stop()
			return nil, err
		}
		m.proc, env.Below = b.p, b
	}
	if m.ipcp, err = i.factory(t, env); err != nil {
		m.stop()
		m.detach()
		i.mu.Lock()
		if i.lastIPCP == m.id { // nobody has seen the id
			i.lastIPCP--
		}
		i.mu.Unlock()
		return nil, err
	}
	return m, nil
}

// freeLocked returns nil if an IPC process of that name can be made.
func (i *IRM) freeLocked(name string) error {
	switch {
	case i.closed:
		return layer.ErrIRMd
	case slices.ContainsFunc(i.ipcps, func(o *member) bool { return o.name == name }):
		return errText("there is one of that name", ErrExists)
	}
	return nil
}

func (i *IRM) addMember(m *member) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if err := i.freeLocked(m.name); err != nil {
		return err
	}
	m.unpublish = m.publish()
	i.ipcps = append(slices.Clone(i.ipcps), m)
	slices.SortFunc(i.ipcps, func(a, b *member) int {
		return cmp.Or(cmp.Compare(a.typ, b.typ), cmp.Compare(a.id, b.id))
	})
	return nil
}

// member returns the IPC process of that id.
func (i *IRM) member(id int) (*member, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.memberLocked(id)
}

func (i *IRM) memberLocked(id int) (*member, error) {
	for _, m := range i.ipcps {
		if m.id == id {
			return m, nil
		}
	}
	return nil, errText("there is no such IPCP", ErrNotFound)
}

// DestroyIPCP ends the IPC process and its flows, and forgets what was
// registered through it.
func (i *IRM) DestroyIPCP(id int) error {
	i.mu.Lock()
	m, err := i.memberLocked(id)
	if err != nil {
		i.mu.Unlock()
		return fmt.Errorf("destroy IPCP %d: %w", id, err)
	}
	i.ipcps = slices.DeleteFunc(slices.Clone(i.ipcps), func(o *member) bool { return o == m })
	i.mu.Unlock()
	if err := m.leave(); err != nil {
		return fmt.Errorf("destroy IPCP %d: %w", id, err)
	}
	i.infof("Destroyed IPCP %d.", id)
	return nil
}

// leave takes the names out of the layer, as far as that works at once, and
// ends the IPC process.
func (m *member) leave() error {
	i := m.irm
	ctx, cancel := m.within(context.Background(), unregisterTimeout)
	defer cancel()
	i.mu.Lock()
	m.gone, m.joined = true, false
	var hashes []layer.Hash
	for _, n := range i.names {
		if h, ok := n.registered[m]; ok {
			hashes = append(hashes, h)
		}
		delete(n.wanted, m)
		delete(n.registered, m)
	}
	i.mu.Unlock()
	for _, h := range hashes {
		if ctx.Err() != nil {
			break
		}
		if err := m.ipcp.Unregister(ctx, h); err != nil {
			i.warnf("Failed to unregister %s from IPCP %d: %v.", h.Short(), m.id, err)
		}
	}
	return m.close()
}

func (m *member) close() error {
	m.stop()
	m.op.Lock()
	defer m.op.Unlock()
	err := m.ipcp.Close()
	m.detach()
	if m.unpublish != nil {
		m.unpublish()
	}
	return err
}

// detach ends the flows below and the bindings of the IPC process.
func (m *member) detach() {
	if m.proc != nil {
		m.proc.Close()
	}
}

// ListIPCPs returns the IPC processes by type and id, the order in which one
// is chosen for a new flow.
func (i *IRM) ListIPCPs() []IPCPInfo {
	i.mu.Lock()
	members := i.ipcps
	list := make([]IPCPInfo, len(members))
	for k, m := range members {
		list[k] = IPCPInfo{ID: m.id, Name: m.name, Type: m.typ, Flows: m.flows}
		if m.joined {
			list[k].Layer, list[k].Hash, list[k].MTU, list[k].Addr = m.info.Layer, m.info.Hash, m.info.MTU, m.addr
		}
	}
	i.mu.Unlock()
	for k, m := range members {
		list[k].State = m.ipcp.State()
		// That of a layer which stands on others changes with them.
		if now := m.ipcp.Info(); list[k].Layer != "" && list[k].State == ipcp.Operational {
			list[k].MTU = now.MTU
		}
	}
	return list
}

// layersLocked returns the members through which names may be reached, in
// order of choice.
func (i *IRM) layersLocked() []*member {
	list := make([]*member, 0, len(i.ipcps))
	for _, m := range i.ipcps {
		if m.joined && m.typ != ipcp.Broadcast {
			list = append(list, m)
		}
	}
	return list
}
