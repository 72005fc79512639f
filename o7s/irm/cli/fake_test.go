// SPDX-License-Identifier: BSD-3-Clause

package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"o7gw/o7s/ipcp"
	"o7gw/o7s/irm"
	"o7gw/o7s/layer"
	"o7gw/o7s/qos"
	"o7gw/o7s/rib"
)

// fake is a daemon in memory. It records requests in log.
type fake struct {
	ids    []int // of IPCPs to come
	absent []ipcp.Type
	ipcps  []irm.IPCPInfo
	names  []irm.NameInfo
	procs  []irm.ProcessInfo
	flows  []irm.FlowInfo
	log    []string
	cfg    ipcp.Config // of the last bootstrap
	fail   string      // requests that begin so fail
	closed int
}

func (f *fake) record(format string, args ...any) error {
	line := fmt.Sprintf(format, args...)
	f.log = append(f.log, line)
	if f.fail != "" && strings.HasPrefix(line, f.fail) {
		return errors.New("refused by the test")
	}
	return nil
}

func (f *fake) ipcp(id int) *irm.IPCPInfo {
	for i := range f.ipcps {
		if f.ipcps[i].ID == id {
			return &f.ipcps[i]
		}
	}
	panic("a client asks for an IPCP that is not there")
}

func (f *fake) CreateIPCP(_ context.Context, t ipcp.Type, name string) (int, error) {
	if err := f.record("create %s %s", t, name); err != nil {
		return 0, err
	}
	if slices.Contains(f.absent, t) {
		return 0, fmt.Errorf("create IPCP %q: IPCP type %s is not available yet: %w", name, t, layer.ErrIPCPType)
	}
	id := f.ids[0]
	f.ids = f.ids[1:]
	f.ipcps = append(f.ipcps, irm.IPCPInfo{ID: id, Name: name, Type: t, State: ipcp.Boot})
	slices.SortFunc(f.ipcps, func(a, b irm.IPCPInfo) int {
		return cmp.Or(cmp.Compare(a.Type, b.Type), cmp.Compare(a.ID, b.ID))
	})
	return id, nil
}

func (f *fake) DestroyIPCP(_ context.Context, id int) error {
	f.ipcps = slices.DeleteFunc(f.ipcps, func(p irm.IPCPInfo) bool { return p.ID == id })
	return f.record("destroy %d", id)
}

func (f *fake) Bootstrap(_ context.Context, id int, cfg ipcp.Config) error {
	p := f.ipcp(id)
	f.cfg = cfg
	err := f.record("bootstrap %d %s %s", id, cfg.Type, cfg.Layer)
	switch {
	case err != nil:
		return err
	case p.State != ipcp.Boot:
		return fmt.Errorf("bootstrap IPCP %d: %w", id, layer.ErrIPCPState)
	case cfg.Eth.Device == "nosuch":
		return fmt.Errorf("bootstrap IPCP %d: no device nosuch", id)
	}
	p.State, p.Layer, p.Hash, p.MTU = ipcp.Operational, cfg.Layer, cfg.Hash, 1400
	return nil
}

func (f *fake) Enroll(_ context.Context, id int, dst string) (ipcp.Info, error) {
	if err := f.record("enroll %d %s", id, dst); err != nil {
		return ipcp.Info{}, err
	}
	p := f.ipcp(id)
	p.State, p.Layer = ipcp.Operational, "net"
	return ipcp.Info{Layer: "net"}, nil
}

func (f *fake) Connect(_ context.Context, id int, dst, component string, qs qos.Spec) error {
	return f.record("connect %d %s %s %s", id, dst, component, qs)
}

func (f *fake) Disconnect(_ context.Context, id int, dst, component string) error {
	return f.record("disconnect %d %s %s", id, dst, component)
}

func (f *fake) ListIPCPs(context.Context) ([]irm.IPCPInfo, error) {
	return slices.Clone(f.ipcps), f.record("list ipcps")
}

func (f *fake) name(s string) *irm.NameInfo {
	for i := range f.names {
		if f.names[i].Name == s {
			return &f.names[i]
		}
	}
	f.names = append([]irm.NameInfo{{Name: s, Policy: irm.Spillover}}, f.names...)
	return &f.names[0]
}

func (f *fake) CreateName(_ context.Context, n irm.NameInfo) error {
	if err := f.record("name %s %s", n.Name, n.Policy); err != nil {
		return err
	}
	if !slices.ContainsFunc(f.names, func(o irm.NameInfo) bool { return o.Name == n.Name }) {
		*f.name(n.Name) = n
	}
	return nil
}

func (f *fake) DestroyName(_ context.Context, name string) error {
	f.names = slices.DeleteFunc(f.names, func(n irm.NameInfo) bool { return n.Name == name })
	return f.record("destroy name %s", name)
}

func (f *fake) ListNames(context.Context) ([]irm.NameInfo, error) {
	return slices.Clone(f.names), f.record("list names")
}

func (f *fake) BindProgram(_ context.Context, b irm.ProgramBinding) error {
	b.Creds.UID = 7
	n := f.name(b.Name)
	n.Programs = append(n.Programs, b)
	return f.record("bind %s %s %v %q", b.Path, b.Name, b.Auto, b.Args)
}

func (f *fake) UnbindProgram(_ context.Context, program, name string) error {
	return f.record("unbind %s %q", program, name)
}

func (f *fake) BindProcess(_ context.Context, pid int, name string) error {
	return f.record("bind process %d %s", pid, name)
}

func (f *fake) UnbindProcess(_ context.Context, pid int, name string) error {
	return f.record("unbind process %d %s", pid, name)
}

func (f *fake) BindIPCP(_ context.Context, id int, name string) error {
	n := f.name(name)
	n.IPCPs = append(n.IPCPs, irm.BoundIPCP{ID: id, Name: f.ipcp(id).Name})
	return f.record("bind ipcp %d %s", id, name)
}

func (f *fake) UnbindIPCP(_ context.Context, id int, name string) error {
	return f.record("unbind ipcp %d %s", id, name)
}

func (f *fake) Register(_ context.Context, name string, id int) error {
	n := f.name(name)
	n.Registered = append(n.Registered, irm.Registration{IPCP: id, Name: f.ipcp(id).Name, Hash: layer.MD5.Sum(name)})
	return f.record("register %s %d", name, id)
}

func (f *fake) Unregister(_ context.Context, name string, id int) error {
	return f.record("unregister %s %d", name, id)
}

func (f *fake) ListProcesses(context.Context) ([]irm.ProcessInfo, error) {
	return f.procs, f.record("list processes")
}

func (f *fake) ListPrograms(context.Context) ([]irm.ProgramInfo, error) {
	var list []irm.ProgramInfo
	for _, n := range f.names {
		for _, b := range n.Programs {
			list = append(list, irm.ProgramInfo{Program: b.Path[strings.LastIndex(b.Path, "/")+1:], Bindings: []irm.ProgramBinding{b}})
		}
	}
	return list, f.record("list programs")
}

func (f *fake) ListFlows(context.Context) ([]irm.FlowInfo, error) {
	return f.flows, f.record("list flows")
}

func (f *fake) ReadRIB(_ context.Context, path string, everything bool) ([]rib.Node, error) {
	err := f.record("rib %q %v", path, everything)
	if err != nil {
		return nil, err
	}
	state := rib.Word("operational")
	link := rib.Entry{LabelWidth: 5, ValueWidth: 20, Fields: []rib.Field{{Label: "src:", Value: "78.56.34.12"}, {Label: "seqno:", Value: uint64(3)}}}
	switch strings.Trim(path, "/") {
	case "uni.a/lsdb/1--2":
		return []rib.Node{{Path: path, Entry: link}}, nil
	case "":
		if everything {
			return []rib.Node{{Dir: true}, {Path: "uni.a", Dir: true}, {Path: "uni.a/info", Dir: true}, {Path: "uni.a/info/_state", Entry: state}}, nil
		}
		return []rib.Node{{Dir: true}, {Path: "irm", Dir: true}, {Path: "uni.a", Dir: true}}, nil
	case "uni.a":
		if everything {
			return []rib.Node{{Path: "uni.a", Dir: true}, {Path: "uni.a/empty", Dir: true}, {Path: "uni.a/info", Dir: true},
				{Path: "uni.a/info/_state", Entry: state}, {Path: "uni.a/lsdb", Dir: true}, {Path: "uni.a/lsdb/1--2", Entry: link}}, nil
		}
		return []rib.Node{{Path: "uni.a", Dir: true}, {Path: "uni.a/info", Dir: true}, {Path: "uni.a/x\n"}}, nil
	}
	return nil, fmt.Errorf("no %q in the RIB: %w", path, irm.ErrNotFound)
}

func (f *fake) Status(context.Context) (Status, error) {
	return Status{PID: 42, Version: "0.1", Started: time.Date(2026, 11, 25, 0, 0, 0, 0, time.UTC), IPCPs: len(f.ipcps), Names: len(f.names)}, f.record("status")
}

func (f *fake) Close() error { f.closed++; return nil }
