// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"o7gw/o7s/ipcp"
	"o7gw/o7s/ipcp/local"
	"o7gw/o7s/ipcp/udp"
	"o7gw/o7s/layer"
)

// factory makes the IPC processes of all types that there are.
func factory(t ipcp.Type, env ipcp.Env) (ipcp.IPCP, error) {
	switch t {
	case ipcp.Local:
		return local.New(env), nil
	case ipcp.UDP4, ipcp.UDP6:
		return udp.New(t, env)
	}
	return nil, layer.ErrIPCPType
}
