// SPDX-License-Identifier: BSD-3-Clause

package cli

import (
	"context"
	"time"

	"o7gw/o7s/ipcp"
	"o7gw/o7s/irm"
	"o7gw/o7s/qos"
	"o7gw/o7s/rib"
)

// Client is what the commands ask of the daemon.
type Client interface {
	CreateIPCP(ctx context.Context, t ipcp.Type, name string) (int, error)
	DestroyIPCP(ctx context.Context, id int) error
	Bootstrap(ctx context.Context, id int, cfg ipcp.Config) error
	Enroll(ctx context.Context, id int, dst string) (ipcp.Info, error)
	Connect(ctx context.Context, id int, dst, component string, qs qos.Spec) error
	Disconnect(ctx context.Context, id int, dst, component string) error
	ListIPCPs(ctx context.Context) ([]irm.IPCPInfo, error)

	CreateName(ctx context.Context, n irm.NameInfo) error
	DestroyName(ctx context.Context, name string) error
	ListNames(ctx context.Context) ([]irm.NameInfo, error)
	BindProgram(ctx context.Context, b irm.ProgramBinding) error
	UnbindProgram(ctx context.Context, program, name string) error
	BindProcess(ctx context.Context, pid int, name string) error
	UnbindProcess(ctx context.Context, pid int, name string) error
	BindIPCP(ctx context.Context, id int, name string) error
	UnbindIPCP(ctx context.Context, id int, name string) error
	Register(ctx context.Context, name string, ipcpID int) error
	Unregister(ctx context.Context, name string, ipcpID int) error

	ListProcesses(ctx context.Context) ([]irm.ProcessInfo, error)
	ListPrograms(ctx context.Context) ([]irm.ProgramInfo, error)
	ListFlows(ctx context.Context) ([]irm.FlowInfo, error)
	ReadRIB(ctx context.Context, path string, everything bool) ([]rib.Node, error)
	Status(ctx context.Context) (Status, error)
	Close() error
}

// Status is what the daemon says about itself.
type Status struct {
	Version   string
	PID       int
	Started   time.Time
	IPCPs     int
	Names     int
	Processes int
	Programs  int
	Flows     int
}
