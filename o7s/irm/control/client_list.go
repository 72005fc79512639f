// SPDX-License-Identifier: BSD-3-Clause

package control

import (
	"context"

	"o7gw/o7s/irm"
	"o7gw/o7s/irm/irmpb"
)

// Lists, open to every user: as the methods of irm.IRM with the same names.

// ListIPCPs returns all IPC processes.
func (c *Client) ListIPCPs(ctx context.Context) ([]irm.IPCPInfo, error) {
	replies, err := c.do(ctx, &irmpb.Request{Op: &irmpb.Request_ListIpcps{ListIpcps: &irmpb.Empty{}}})
	return ipcpsOf(replies), err
}

func ipcpsOf(replies []*irmpb.Reply) []irm.IPCPInfo {
	var list []irm.IPCPInfo
	for _, r := range replies {
		for _, p := range r.GetIpcps() {
			list = append(list, ipcpFromPB(p))
		}
	}
	return list
}

// ListNames returns all service names.
func (c *Client) ListNames(ctx context.Context) ([]irm.NameInfo, error) {
	replies, err := c.do(ctx, &irmpb.Request{Op: &irmpb.Request_ListNames{ListNames: &irmpb.Empty{}}})
	return namesOf(replies), err
}

func namesOf(replies []*irmpb.Reply) []irm.NameInfo {
	var list []irm.NameInfo
	for _, r := range replies {
		for _, p := range r.GetNames() {
			if last := len(list) - 1; last >= 0 && list[last].Name == string(p.GetName()) {
				addToName(&list[last], p)
			} else {
				list = append(list, nameFromPB(p))
			}
		}
	}
	return list
}

// ListProcesses returns the processes that use the daemon.
func (c *Client) ListProcesses(ctx context.Context) ([]irm.ProcessInfo, error) {
	replies, err := c.do(ctx, &irmpb.Request{Op: &irmpb.Request_ListProcesses{ListProcesses: &irmpb.Empty{}}})
	return processesOf(replies), err
}

func processesOf(replies []*irmpb.Reply) []irm.ProcessInfo {
	var list []irm.ProcessInfo
	for _, r := range replies {
		for _, p := range r.GetProcesses() {
			// The first element of a process has its program, the rest of its
			// names follow without.
			if last := len(list) - 1; last < 0 || len(p.GetNames()) == 0 {
				list = append(list, irm.ProcessInfo{
					PID: int(p.GetPid()), Program: string(p.GetProgram()), UID: p.GetUid(),
					Accepts: int(p.GetAccepts()), Flows: int(p.GetFlows()),
				})
			} else {
				for _, n := range p.GetNames() {
					list[last].Names = append(list[last].Names, string(n))
				}
			}
		}
	}
	return list
}

// ListPrograms returns the programs that are bound to names.
func (c *Client) ListPrograms(ctx context.Context) ([]irm.ProgramInfo, error) {
	replies, err := c.do(ctx, &irmpb.Request{Op: &irmpb.Request_ListPrograms{ListPrograms: &irmpb.Empty{}}})
	return programsOf(replies), err
}

func programsOf(replies []*irmpb.Reply) []irm.ProgramInfo {
	var list []irm.ProgramInfo
	for _, r := range replies {
		for _, p := range r.GetPrograms() {
			last := len(list) - 1
			if last < 0 || list[last].Program != string(p.GetProgram()) {
				list = append(list, irm.ProgramInfo{Program: string(p.GetProgram())})
				last++
			}
			list[last].Bindings = append(list[last].Bindings, bindingFromPB(p))
		}
	}
	return list
}

// ListFlows returns the flows of all processes.
func (c *Client) ListFlows(ctx context.Context) ([]irm.FlowInfo, error) {
	replies, err := c.do(ctx, &irmpb.Request{Op: &irmpb.Request_ListFlows{ListFlows: &irmpb.Empty{}}})
	return flowsOf(replies), err
}

func flowsOf(replies []*irmpb.Reply) []irm.FlowInfo {
	var list []irm.FlowInfo
	for _, r := range replies {
		for _, p := range r.GetFlows() {
			list = append(list, flowInfoFromPB(p))
		}
	}
	return list
}
