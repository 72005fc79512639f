// SPDX-License-Identifier: BSD-3-Clause

package irm

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"o7gw/o7s/ipcp"
	"o7gw/o7s/layer"
	"o7gw/o7s/qos"
)

// Limits of requests to an IPC process (spec 40 §0.1).
const (
	bootstrapTimeout = 5 * time.Second
	enrollTimeout    = 20 * time.Second
	connectTimeout   = 20 * time.Second
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
	addr string     // guarded by irm.mu, as are the rest
	info ipcp.Info

	joined  bool // in a layer
	gone    bool
	flows   int
	pending int // requests from the network that wait for an acceptor
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
	m := &member{irm: i, name: name, typ: t}
	m.ctx, m.stop = context.WithCancel(context.Background())
	p, err := i.factory(t, ipcp.Env{Name: name, Upper: m, Log: i.base.With("component", componentOf(t))})
	if err != nil {
		m.stop()
		return fail(err)
	}
	m.ipcp = p
	if err := i.addMember(m); err != nil {
		m.close()
		return fail(err)
	}
	i.infof("Created IPCP %d.", m.id)
	return m.id, nil
}

func (i *IRM) addMember(m *member) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.closed {
		return layer.ErrIRMd
	}
	if slices.ContainsFunc(i.ipcps, func(o *member) bool { return o.name == m.name }) {
		return errText("there is one of that name", ErrExists)
	}
	i.lastIPCP++
	m.id = i.lastIPCP
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
	return m.ipcp.Close()
}

// Bootstrap makes the IPC process the first member of a layer.
func (i *IRM) Bootstrap(ctx context.Context, id int, cfg ipcp.Config) error {
	m, err := i.member(id)
	if err == nil {
		err = m.bootstrap(ctx, cfg)
	}
	if err != nil {
		return fmt.Errorf("bootstrap IPCP %d: %w", id, err)
	}
	i.infof("Bootstrapped IPCP %d.", id)
	i.layerJoined(ctx)
	return nil
}

func (m *member) bootstrap(ctx context.Context, cfg ipcp.Config) error {
	if cfg.Type != m.typ {
		return errText(fmt.Sprintf("it is of type %v, the configuration of type %v", m.typ, cfg.Type), layer.ErrIPCPType)
	}
	if err := checkName(cfg.Layer); err != nil {
		return fmt.Errorf("layer: %w", err)
	}
	ctx, cancel := m.within(ctx, bootstrapTimeout)
	defer cancel()
	m.op.Lock()
	defer m.op.Unlock()
	if err := m.ipcp.Bootstrap(ctx, cfg); err != nil {
		return waitError(err)
	}
	m.join(configAddr(cfg))
	return nil
}

// within limits a request to the IPC process in time, and to its life.
func (m *member) within(ctx context.Context, d time.Duration) (context.Context, func()) {
	ctx, cancel := context.WithTimeout(ctx, d)
	unhook := context.AfterFunc(m.ctx, cancel)
	return ctx, func() { unhook(); cancel() }
}

// configAddr returns the own address that a configuration gives, as lists
// show it.
func configAddr(cfg ipcp.Config) string {
	switch cfg.Type {
	case ipcp.UDP4, ipcp.UDP6:
		port := cfg.UDP.Port
		if port == 0 {
			port = ipcp.DefaultUDPPort
		}
		return netip.AddrPortFrom(cfg.UDP.Addr, port).String()
	case ipcp.EthDIX, ipcp.EthLLC:
		return cfg.Eth.Device
	}
	return ""
}

// join records that the IPC process is in a layer now.
func (m *member) join(addr string) {
	info := m.ipcp.Info()
	m.irm.mu.Lock()
	defer m.irm.mu.Unlock()
	m.info, m.addr, m.joined = info, addr, !m.gone
}

// Enroll makes the IPC process a member of the layer of dst.
func (i *IRM) Enroll(ctx context.Context, id int, dst string) (ipcp.Info, error) {
	m, err := i.member(id)
	if err == nil {
		err = m.enroll(ctx, dst)
	}
	if err != nil {
		return ipcp.Info{}, fmt.Errorf("enroll IPCP %d with %q: %w", id, dst, err)
	}
	info := m.ipcp.Info()
	i.infof("Enrolled IPCP %d in layer %v.", id, text(info.Layer))
	i.layerJoined(ctx)
	return info, nil
}

func (m *member) enroll(ctx context.Context, dst string) error {
	if err := checkName(dst); err != nil {
		return err
	}
	ctx, cancel := m.within(ctx, enrollTimeout)
	defer cancel()
	m.op.Lock()
	defer m.op.Unlock()
	if err := m.ipcp.Enroll(ctx, dst); err != nil {
		return waitError(err)
	}
	m.join("")
	return nil
}

// Connect makes a connection of a component ("Management" or "Data
// Transfer") to another member of the layer.
func (i *IRM) Connect(ctx context.Context, id int, dst, component string, qs qos.Spec) error {
	m, err := i.member(id)
	if err == nil {
		ctx, cancel := m.within(ctx, connectTimeout)
		defer cancel()
		err = waitError(m.ipcp.Connect(ctx, dst, component, qs))
	}
	if err != nil {
		return fmt.Errorf("connect %s of IPCP %d to %q: %w", component, id, dst, err)
	}
	i.infof("Established %v connection between IPCP %d and %v.", text(component), id, text(dst))
	return nil
}

// Disconnect ends such a connection.
func (i *IRM) Disconnect(ctx context.Context, id int, dst, component string) error {
	m, err := i.member(id)
	if err == nil {
		ctx, cancel := m.within(ctx, connectTimeout)
		defer cancel()
		err = waitError(m.ipcp.Disconnect(ctx, dst, component))
	}
	if err != nil {
		return fmt.Errorf("disconnect %s of IPCP %d from %q: %w", component, id, dst, err)
	}
	return nil
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
	}
	return list
}

// layers returns the members through which names may be reached, in order of
// choice.
func (i *IRM) layersLocked() []*member {
	list := make([]*member, 0, len(i.ipcps))
	for _, m := range i.ipcps {
		if m.joined && m.typ != ipcp.Broadcast {
			list = append(list, m)
		}
	}
	return list
}
