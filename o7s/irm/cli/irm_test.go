// SPDX-License-Identifier: BSD-3-Clause

package cli

import (
	"context"
	"strings"
	"testing"

	"o7gw/o7s/ipcp"
	"o7gw/o7s/ipcp/local"
	"o7gw/o7s/irm"
	"o7gw/o7s/layer"
	"o7gw/o7s/qos"
	"o7gw/o7s/rib"
)

// inProcess is a daemon without a socket: a real IRM.
type inProcess struct{ i *irm.IRM }

func (p inProcess) CreateIPCP(_ context.Context, t ipcp.Type, name string) (int, error) {
	return p.i.CreateIPCP(t, name)
}
func (p inProcess) DestroyIPCP(_ context.Context, id int) error { return p.i.DestroyIPCP(id) }
func (p inProcess) Bootstrap(ctx context.Context, id int, cfg ipcp.Config) error {
	return p.i.Bootstrap(ctx, id, cfg)
}
func (p inProcess) Enroll(ctx context.Context, id int, dst string) (ipcp.Info, error) {
	return p.i.Enroll(ctx, id, dst)
}
func (p inProcess) Connect(ctx context.Context, id int, dst, component string, qs qos.Spec) error {
	return p.i.Connect(ctx, id, dst, component, qs)
}
func (p inProcess) Disconnect(ctx context.Context, id int, dst, component string) error {
	return p.i.Disconnect(ctx, id, dst, component)
}
func (p inProcess) ListIPCPs(context.Context) ([]irm.IPCPInfo, error) { return p.i.ListIPCPs(), nil }
func (p inProcess) CreateName(_ context.Context, n irm.NameInfo) error {
	return p.i.CreateName(n)
}
func (p inProcess) DestroyName(_ context.Context, name string) error  { return p.i.DestroyName(name) }
func (p inProcess) ListNames(context.Context) ([]irm.NameInfo, error) { return p.i.ListNames(), nil }
func (p inProcess) BindProgram(_ context.Context, b irm.ProgramBinding) error {
	b.Creds.Admin = true
	return p.i.BindProgram(b)
}
func (p inProcess) UnbindProgram(_ context.Context, program, name string) error {
	return p.i.UnbindProgram(program, name)
}
func (p inProcess) BindProcess(_ context.Context, pid int, name string) error {
	return p.i.BindProcess(pid, name)
}
func (p inProcess) UnbindProcess(_ context.Context, pid int, name string) error {
	return p.i.UnbindProcess(pid, name)
}
func (p inProcess) BindIPCP(_ context.Context, id int, name string) error {
	return p.i.BindIPCP(id, name)
}
func (p inProcess) UnbindIPCP(_ context.Context, id int, name string) error {
	return p.i.UnbindIPCP(id, name)
}
func (p inProcess) Register(ctx context.Context, name string, id int) error {
	return p.i.Register(ctx, name, id)
}
func (p inProcess) Unregister(ctx context.Context, name string, id int) error {
	return p.i.Unregister(ctx, name, id)
}
func (p inProcess) ListProcesses(context.Context) ([]irm.ProcessInfo, error) {
	return p.i.ListProcesses(), nil
}
func (p inProcess) ListPrograms(context.Context) ([]irm.ProgramInfo, error) {
	return p.i.ListPrograms(), nil
}
func (p inProcess) ListFlows(context.Context) ([]irm.FlowInfo, error)         { return p.i.ListFlows(), nil }
func (p inProcess) ReadRIB(context.Context, string, bool) ([]rib.Node, error) { return nil, nil }
func (p inProcess) Status(context.Context) (Status, error)                    { return Status{}, nil }
func (p inProcess) Close() error                                              { return nil }

// onlyLocal makes IPC processes of type local.
func onlyLocal(t ipcp.Type, env ipcp.Env) (ipcp.IPCP, error) {
	if t != ipcp.Local {
		return nil, layer.ErrIPCPType
	}
	return local.New(env), nil
}

// TestRealIRM runs a session on a real IRM with local layers.
func TestRealIRM(t *testing.T) {
	i := irm.New(irm.Options{Factory: onlyLocal})
	defer i.Close(context.Background())
	for _, c := range []struct{ args, out, err string }{
		{args: "ipcp bootstrap type local name loc layer lcl"},
		{args: "ipcp bootstrap type local name loc layer lcl", err: "IPCP is in the wrong state (-1004)"},
		{args: "ipcp create type local name loc", err: `irm: create IPCP "loc": there is one of that name`},
		{args: "ipcp bootstrap type unicast name u layer net", err: "irm: create IPCP \"u\": unknown IPCP type (-1001)"},
		{args: "ipcp create type local name l3"},
		{args: "ipcp list name l3 type local", out: "|       2 |                   l3 |      local |        Not enrolled. |"},
		{args: "name create op"},
		{args: "name create op"},
		{args: "name register op layer lcl"},
		{args: "name register op ipcp l*", err: "Failed to register with l3"},
		{args: "name show op", out: "registered:  with IPCP loc (1) as " + layer.SHA3_256.Sum("op").Hex()},
		{args: "bind program /proc/self/exe name op auto -- -l"},
		{args: "bind program /proc/self/exe name op", err: "it is bound already"},
		{args: "program list", out: " -l (started on demand as uid 0)"},
		{args: "unbind program /proc/self/exe"},
		{args: "unbind program /proc/self/exe", err: "it is bound to no name"},
		{args: "name unregister op layer lcl"},
		{args: "name unregister nope layer lcl", err: `There is no name "nope"`},
		{args: "name destroy op"},
		{args: "name destroy op", err: `irm: destroy name "op": no such name (-1007)`},
		{args: "name list", out: "No names in system.\n\n"},
		{args: "ipcp destroy name l3"},
		{args: "ipcp destroy name loc"},
		{args: "ipcp list", out: "No IPCPs in system.\n\n"},
	} {
		var out, errs strings.Builder
		code := Run(context.Background(), strings.Fields(c.args), Env{Stdout: &out, Stderr: &errs,
			Dial: func(context.Context, string) (Client, error) { return inProcess{i}, nil }})
		if want := min(len(c.err), 1); code != want || !strings.Contains(errs.String(), c.err) || c.err == "" && errs.Len() > 0 ||
			!strings.Contains(out.String(), c.out) {
			t.Errorf("irm %s: exit %d\n%s[stderr]\n%s", c.args, code, out.String(), errs.String())
		}
	}
}
