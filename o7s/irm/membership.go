// SPDX-License-Identifier: BSD-3-Clause

package irm

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
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
	m.infof("Bootstrapping...")
	if err := m.ipcp.Bootstrap(ctx, cfg); err != nil {
		return waitError(err)
	}
	m.join(configAddr(cfg))
	m.infof("Finished bootstrapping in %v.", text(cfg.Layer))
	m.logLayer()
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

// infof logs what the prototype's IPC processes log (spec 40 §8).
func (m *member) infof(format string, args ...any) {
	m.irm.base.With("component", "ipcpd/ipcp").Info(fmt.Sprintf(format, args...))
}

// logLayer tells what layer the IPC process is in.
func (m *member) logLayer() {
	h := m.ipcp.Info().Hash
	m.infof("  type: %v", m.typ)
	m.infof("  hash: %s [%d bytes]", strings.ReplaceAll(h.String(), "_", "-"), h.Size())
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
	if m.failedDst != dst { // a retry says nothing new
		m.infof("Enrolling with %v...", text(dst))
	}
	if err := m.ipcp.Enroll(ctx, dst); err != nil {
		m.failedDst = dst
		return waitError(err)
	}
	m.join("")
	m.infof("Finished enrolling with %v in layer %v.", text(dst), text(m.ipcp.Info().Layer))
	m.logLayer()
	return nil
}

// The components of an IPC process that connect (spec 10 §6.1).
const (
	Management   = "Management"
	DataTransfer = "Data Transfer"
)

// Components returns the components of a type that connect to those of other
// members, in the order in which they do. A broadcast IPC process has no
// management.
func Components(t ipcp.Type) []string {
	if t == ipcp.Broadcast {
		return []string{DataTransfer}
	}
	return []string{Management, DataTransfer}
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
