// SPDX-License-Identifier: BSD-3-Clause

package config

import (
	"context"
	"errors"
	"strings"
	"testing"

	"o7gw/o7s/ipcp"
	"o7gw/o7s/ipcp/local"
	"o7gw/o7s/ipcp/udp"
	"o7gw/o7s/irm"
	"o7gw/o7s/layer"
)

// realIRM returns an IRM with the types that need no device.
func realIRM(t *testing.T) *irm.IRM {
	i := irm.New(irm.Options{Factory: func(kind ipcp.Type, env ipcp.Env) (ipcp.IPCP, error) {
		switch kind {
		case ipcp.Local:
			return local.New(env), nil
		case ipcp.UDP4:
			return udp.New(kind, env)
		}
		return nil, layer.ErrIPCPType
	}})
	t.Cleanup(func() {
		if err := i.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return i
}

const onLoopback = `
[name."shop.web"]
prog = ["/bin/true"]
args = ["a b"]
lb = "round-robin"
[local.loc]
bootstrap = "lcl"
reg = ["shop.web", "other"]
[udp4.wan]
bootstrap = "wan"
ip = "127.0.0.1"
port = 33435
reg = ["shop.web"]
`

// TestApplyToIRM applies a file to the real thing.
func TestApplyToIRM(t *testing.T) {
	f, err := Parse([]byte(onLoopback), "real.toml")
	if err != nil {
		t.Fatal(err)
	}
	i := realIRM(t)
	if err := f.Apply(context.Background(), i, discard); err != nil {
		t.Fatal(err)
	}
	names := i.ListNames()
	if len(names) != 2 || names[1].Name != "shop.web" || names[1].Policy != irm.RoundRobin || len(names[1].Programs) != 1 ||
		len(names[1].Registered) != 2 || names[0].Policy != irm.Spillover {
		t.Errorf("names %+v", names)
	}
	ipcps := i.ListIPCPs()
	if len(ipcps) != 2 || ipcps[0].Layer != "lcl" || ipcps[1].Layer != "wan" || ipcps[1].State != ipcp.Operational {
		t.Errorf("IPCPs %+v", ipcps)
	}
}

// TestApplyToIRMUndoes: what the IRM had before is all that is left.
func TestApplyToIRMUndoes(t *testing.T) {
	f, err := Parse([]byte(onLoopback+"[eth-dix.u]\nbootstrap = \"net\"\ndev = \"none\"\n"), "real.toml")
	if err != nil {
		t.Fatal(err)
	}
	i := realIRM(t)
	if err := i.CreateName(irm.NameInfo{Name: "other"}); err != nil {
		t.Fatal(err)
	}
	err = f.Apply(context.Background(), i, discard)
	if !errors.Is(err, layer.ErrIPCPType) || !strings.HasPrefix(err.Error(), "real.toml:14: eth-dix.u: create IPCP \"u\": unknown IPCP type") {
		t.Errorf("%v", err)
	}
	if n := i.ListNames(); len(n) != 1 || n[0].Name != "other" || len(n[0].Registered) != 0 {
		t.Errorf("left names %+v", n)
	}
	if p := i.ListIPCPs(); len(p) != 0 {
		t.Errorf("left IPCPs %+v", p)
	}
}
