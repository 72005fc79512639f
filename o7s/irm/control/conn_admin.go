// SPDX-License-Identifier: BSD-3-Clause

package control

import (
	"context"
	"fmt"
	"os"
	"strings"

	"o7gw/o7s/irm/irmpb"
	"o7gw/o7s/layer"
)

// change executes a request that is neither for a flow nor a list, and fills
// in the reply. Everything that changes the node for others needs an
// administrator.
func (c *conn) change(ctx context.Context, r *irmpb.Request, reply *irmpb.Reply) error {
	switch op := r.GetOp().(type) {
	case *irmpb.Request_Listen:
		return c.listen(ctx, r.GetId(), string(op.Listen.GetName()))
	case *irmpb.Request_Unlisten:
		return c.unlisten(op.Unlisten.GetRequest())
	case *irmpb.Request_Query:
		return c.proc.Query(ctx, string(op.Query.GetName()))
	case *irmpb.Request_BindProcess:
		return c.bindProcess(op.BindProcess)
	case *irmpb.Request_UnbindProcess:
		return c.unbindProcess(op.UnbindProcess)
	case *irmpb.Request_Status:
		reply.Result = &irmpb.Reply_Status{Status: c.status()}
		return nil
	}
	if r.GetOp() == nil {
		return errUnknown()
	}
	if err := c.creds.RequireAdmin(operation(r)); err != nil {
		return err
	}
	i := c.s.irm
	switch op := r.GetOp().(type) {
	case *irmpb.Request_CreateName:
		n := nameFromPB(op.CreateName)
		if n.Owner == 0 {
			n.Owner = c.creds.UID
		}
		return i.CreateName(n)
	case *irmpb.Request_DestroyName:
		return i.DestroyName(string(op.DestroyName.GetName()))
	case *irmpb.Request_BindProgram:
		b := bindingFromPB(op.BindProgram)
		b.Creds = c.creds // whatever the message says
		return i.BindProgram(b)
	case *irmpb.Request_UnbindProgram:
		return i.UnbindProgram(string(op.UnbindProgram.GetPath()), string(op.UnbindProgram.GetName()))
	case *irmpb.Request_Register:
		return i.Register(ctx, string(op.Register.GetName()), int(op.Register.GetIpcp()))
	case *irmpb.Request_Unregister:
		return i.Unregister(ctx, string(op.Unregister.GetName()), int(op.Unregister.GetIpcp()))
	case *irmpb.Request_BindIpcp:
		return i.BindIPCP(int(op.BindIpcp.GetIpcp()), string(op.BindIpcp.GetName()))
	case *irmpb.Request_UnbindIpcp:
		return i.UnbindIPCP(int(op.UnbindIpcp.GetIpcp()), string(op.UnbindIpcp.GetName()))
	}
	return c.changeIPCP(ctx, r, reply)
}

// operation returns what a request is for, as its field in irm.proto is
// called.
func operation(r *irmpb.Request) string {
	m := r.ProtoReflect()
	field := m.WhichOneof(m.Descriptor().Oneofs().ByName("op"))
	return strings.ReplaceAll(string(field.Name()), "_", " ")
}

// changeIPCP is change for IPC processes, of an administrator.
func (c *conn) changeIPCP(ctx context.Context, r *irmpb.Request, reply *irmpb.Reply) error {
	i := c.s.irm
	switch op := r.GetOp().(type) {
	case *irmpb.Request_CreateIpcp:
		info := ipcpFromPB(op.CreateIpcp)
		id, err := i.CreateIPCP(info.Type, info.Name)
		if err == nil {
			reply.Result = &irmpb.Reply_Ipcp{Ipcp: &irmpb.IPCP{Id: int64(id)}}
		}
		return err
	case *irmpb.Request_DestroyIpcp:
		return i.DestroyIPCP(int(op.DestroyIpcp.GetIpcp()))
	case *irmpb.Request_Bootstrap:
		cfg, err := configFromPB(op.Bootstrap)
		if err != nil {
			return fmt.Errorf("bootstrap IPCP %d: %w", op.Bootstrap.GetIpcp(), err)
		}
		return i.Bootstrap(ctx, int(op.Bootstrap.GetIpcp()), cfg)
	case *irmpb.Request_Enroll:
		info, err := i.Enroll(ctx, int(op.Enroll.GetIpcp()), string(op.Enroll.GetDst()))
		if err == nil {
			reply.Result = &irmpb.Reply_Layer{Layer: layerToPB(info)}
		}
		return err
	case *irmpb.Request_Connect:
		o := op.Connect
		return i.Connect(ctx, int(o.GetIpcp()), string(o.GetDst()), string(o.GetComponent()), qosFromPB(o.GetQos()))
	case *irmpb.Request_Disconnect:
		o := op.Disconnect
		return i.Disconnect(ctx, int(o.GetIpcp()), string(o.GetDst()), string(o.GetComponent()))
	}
	return errUnknown()
}

// listen binds the process to a name until unlisten, or its end.
func (c *conn) listen(ctx context.Context, request uint64, name string) error {
	stop, err := c.proc.Listen(ctx, name)
	if err != nil {
		return err
	}
	c.mu.Lock()
	n := len(c.listens)
	if n < c.s.limits.requests {
		c.listens[request] = stop
	}
	c.mu.Unlock()
	if n >= c.s.limits.requests {
		stop()
		return busy("process %d has %d listeners", c.creds.PID, n)
	}
	return nil
}

func (c *conn) unlisten(request uint64) error {
	c.mu.Lock()
	stop := c.listens[request]
	delete(c.listens, request)
	c.mu.Unlock()
	if stop == nil {
		return fmt.Errorf("stop listening: request %d is no listener: %w", request, layer.ErrInvalid)
	}
	stop()
	return nil
}

// processArgs returns the pid and the name of a request about a process.
func processArgs(p *irmpb.Process) (pid int, name string, err error) {
	if len(p.GetNames()) != 1 {
		return 0, "", fmt.Errorf("bind or unbind process %d: needs one name, got %d: %w", p.GetPid(), len(p.GetNames()), layer.ErrInvalid)
	}
	return int(p.GetPid()), string(p.GetNames()[0]), nil
}

// bindProcess binds a process to a name: an administrator any, others
// themselves.
func (c *conn) bindProcess(p *irmpb.Process) error {
	pid, name, err := processArgs(p)
	switch {
	case err != nil:
		return err
	case c.creds.Admin:
		return c.s.irm.BindProcess(pid, name)
	case pid == c.creds.PID:
		return c.proc.Bind(name)
	}
	return c.creds.RequireAdmin("bind another process")
}

// unbindProcess is the reverse.
func (c *conn) unbindProcess(p *irmpb.Process) error {
	pid, name, err := processArgs(p)
	switch {
	case err != nil:
		return err
	case c.creds.Admin:
		return c.s.irm.UnbindProcess(pid, name)
	case pid == c.creds.PID:
		return c.proc.Unbind(name)
	}
	return c.creds.RequireAdmin("unbind another process")
}

// list executes a request for a list; ok is false for any other. Lists are
// for everybody.
func (c *conn) list(ctx context.Context, r *irmpb.Request) (replies []*irmpb.Reply, ok bool) {
	i, id := c.s.irm, r.GetId()
	switch op := r.GetOp().(type) {
	case *irmpb.Request_ReadRib:
		return c.readRIB(ctx, id, op.ReadRib), true
	case *irmpb.Request_ListIpcps:
		var elems []*irmpb.IPCP
		for _, info := range i.ListIPCPs() {
			elems = append(elems, ipcpToPB(info))
		}
		return pages(id, elems, func(r *irmpb.Reply, e *irmpb.IPCP) { r.Ipcps = append(r.Ipcps, e) }), true
	case *irmpb.Request_ListNames:
		var elems []*irmpb.Name
		for _, info := range i.ListNames() {
			elems = append(elems, nameElements(info)...)
		}
		return pages(id, elems, func(r *irmpb.Reply, e *irmpb.Name) { r.Names = append(r.Names, e) }), true
	case *irmpb.Request_ListProcesses:
		var elems []*irmpb.Process
		for _, info := range i.ListProcesses() {
			elems = append(elems, processElements(info)...)
		}
		return pages(id, elems, func(r *irmpb.Reply, e *irmpb.Process) { r.Processes = append(r.Processes, e) }), true
	case *irmpb.Request_ListPrograms:
		var elems []*irmpb.Program
		for _, info := range i.ListPrograms() {
			for _, b := range info.Bindings {
				p := bindingToPB(b)
				p.Program = []byte(info.Program)
				elems = append(elems, p)
			}
		}
		return pages(id, elems, func(r *irmpb.Reply, e *irmpb.Program) { r.Programs = append(r.Programs, e) }), true
	case *irmpb.Request_ListFlows:
		var elems []*irmpb.FlowInfo
		for _, info := range i.ListFlows() {
			elems = append(elems, flowInfoToPB(info))
		}
		return pages(id, elems, func(r *irmpb.Reply, e *irmpb.FlowInfo) { r.Flows = append(r.Flows, e) }), true
	}
	return nil, false
}

func (c *conn) status() *irmpb.Status {
	i := c.s.irm
	return &irmpb.Status{
		Version: []byte(c.s.version), Pid: int64(os.Getpid()), StartedUnixNs: c.s.started.UnixNano(),
		Ipcps: int64(len(i.ListIPCPs())), Names: int64(len(i.ListNames())), Processes: int64(len(i.ListProcesses())),
		Programs: int64(len(i.ListPrograms())), Flows: int64(len(i.ListFlows())),
	}
}
