// SPDX-License-Identifier: BSD-3-Clause

package control

import (
	"context"
	"time"

	"o7gw/o7s/ipcp"
	"o7gw/o7s/irm"
	"o7gw/o7s/irm/irmpb"
	"o7gw/o7s/qos"
)

// Administrative requests: as the methods of irm.IRM with the same names.

// CreateIPCP makes an IPC process and returns its id.
func (c *Client) CreateIPCP(ctx context.Context, t ipcp.Type, name string) (int, error) {
	op := &irmpb.Request_CreateIpcp{CreateIpcp: &irmpb.IPCP{Type: uint32(t), Name: []byte(name)}}
	replies, err := c.do(ctx, &irmpb.Request{Op: op})
	if err != nil {
		return 0, err
	}
	return int(replies[0].GetIpcp().GetId()), nil
}

// DestroyIPCP ends an IPC process and its flows.
func (c *Client) DestroyIPCP(ctx context.Context, id int) error {
	return c.run(ctx, &irmpb.Request{Op: &irmpb.Request_DestroyIpcp{DestroyIpcp: &irmpb.Target{Ipcp: int64(id)}}})
}

// Bootstrap makes the IPC process the first member of a layer.
func (c *Client) Bootstrap(ctx context.Context, id int, cfg ipcp.Config) error {
	return c.run(ctx, &irmpb.Request{Op: &irmpb.Request_Bootstrap{Bootstrap: configToPB(id, cfg)}})
}

// Enroll joins the IPC process to the layer of dst.
func (c *Client) Enroll(ctx context.Context, id int, dst string) (ipcp.Info, error) {
	op := &irmpb.Request_Enroll{Enroll: &irmpb.Enroll{Ipcp: int64(id), Dst: []byte(dst)}}
	replies, err := c.do(ctx, &irmpb.Request{Op: op})
	if err != nil {
		return ipcp.Info{}, err
	}
	return layerFromPB(replies[0].GetLayer()), nil
}

// Connect connects a component, "Management" or "Data Transfer", of the IPC
// process to that of another member of its layer.
func (c *Client) Connect(ctx context.Context, id int, dst, component string, qs qos.Spec) error {
	op := &irmpb.Request_Connect{Connect: &irmpb.Connection{
		Ipcp: int64(id), Dst: []byte(dst), Component: []byte(component), Qos: qosToPB(qs),
	}}
	return c.run(ctx, &irmpb.Request{Op: op})
}

// Disconnect ends such a connection.
func (c *Client) Disconnect(ctx context.Context, id int, dst, component string) error {
	op := &irmpb.Request_Disconnect{Disconnect: &irmpb.Connection{
		Ipcp: int64(id), Dst: []byte(dst), Component: []byte(component),
	}}
	return c.run(ctx, &irmpb.Request{Op: op})
}

// CreateName makes a service name.
func (c *Client) CreateName(ctx context.Context, n irm.NameInfo) error {
	op := &irmpb.Request_CreateName{CreateName: nameToPB(n)}
	return c.run(ctx, &irmpb.Request{Op: op})
}

// DestroyName removes a service name.
func (c *Client) DestroyName(ctx context.Context, name string) error {
	op := &irmpb.Request_DestroyName{DestroyName: &irmpb.Named{Name: []byte(name)}}
	return c.run(ctx, &irmpb.Request{Op: op})
}

// BindProgram binds a program to a name. The daemon takes the binder's
// credentials from the socket, not from b.
func (c *Client) BindProgram(ctx context.Context, b irm.ProgramBinding) error {
	return c.run(ctx, &irmpb.Request{Op: &irmpb.Request_BindProgram{BindProgram: bindingToPB(b)}})
}

// UnbindProgram undoes that.
func (c *Client) UnbindProgram(ctx context.Context, program, name string) error {
	op := &irmpb.Request_UnbindProgram{UnbindProgram: &irmpb.Program{Path: []byte(program), Name: []byte(name)}}
	return c.run(ctx, &irmpb.Request{Op: op})
}

// BindProcess binds a process to a name.
func (c *Client) BindProcess(ctx context.Context, pid int, name string) error {
	return c.run(ctx, &irmpb.Request{Op: &irmpb.Request_BindProcess{BindProcess: processOf(pid, name)}})
}

// UnbindProcess undoes that.
func (c *Client) UnbindProcess(ctx context.Context, pid int, name string) error {
	return c.run(ctx, &irmpb.Request{Op: &irmpb.Request_UnbindProcess{UnbindProcess: processOf(pid, name)}})
}

func processOf(pid int, name string) *irmpb.Process {
	return &irmpb.Process{Pid: int64(pid), Names: [][]byte{[]byte(name)}}
}

// BindIPCP binds an IPC process that uses layers to a name.
func (c *Client) BindIPCP(ctx context.Context, id int, name string) error {
	op := &irmpb.Request_BindIpcp{BindIpcp: &irmpb.Registration{Ipcp: int64(id), Name: []byte(name)}}
	return c.run(ctx, &irmpb.Request{Op: op})
}

// UnbindIPCP undoes that.
func (c *Client) UnbindIPCP(ctx context.Context, id int, name string) error {
	op := &irmpb.Request_UnbindIpcp{UnbindIpcp: &irmpb.Registration{Ipcp: int64(id), Name: []byte(name)}}
	return c.run(ctx, &irmpb.Request{Op: op})
}

// Register makes a name reachable through the layer of an IPC process.
func (c *Client) Register(ctx context.Context, name string, ipcpID int) error {
	op := &irmpb.Request_Register{Register: &irmpb.Registration{Ipcp: int64(ipcpID), Name: []byte(name)}}
	return c.run(ctx, &irmpb.Request{Op: op})
}

// Unregister undoes that.
func (c *Client) Unregister(ctx context.Context, name string, ipcpID int) error {
	op := &irmpb.Request_Unregister{Unregister: &irmpb.Registration{Ipcp: int64(ipcpID), Name: []byte(name)}}
	return c.run(ctx, &irmpb.Request{Op: op})
}

// Status describes the daemon.
func (c *Client) Status(ctx context.Context) (Status, error) {
	replies, err := c.do(ctx, &irmpb.Request{Op: &irmpb.Request_Status{Status: &irmpb.Empty{}}})
	if err != nil {
		return Status{}, err
	}
	s := replies[0].GetStatus()
	return Status{
		Version:   string(s.GetVersion()),
		PID:       int(s.GetPid()),
		Started:   time.Unix(0, s.GetStartedUnixNs()),
		IPCPs:     int(s.GetIpcps()),
		Names:     int(s.GetNames()),
		Processes: int(s.GetProcesses()),
		Programs:  int(s.GetPrograms()),
		Flows:     int(s.GetFlows()),
	}, nil
}
