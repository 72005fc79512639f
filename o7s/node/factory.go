// SPDX-License-Identifier: BSD-3-Clause

package node

import (
	"fmt"

	"o7gw/o7s/ipcp"
	"o7gw/o7s/ipcp/broadcast"
	"o7gw/o7s/ipcp/eth"
	"o7gw/o7s/ipcp/local"
	"o7gw/o7s/ipcp/udp"
	"o7gw/o7s/ipcp/unicast"
	"o7gw/o7s/layer"
)

// Factory makes IPC processes of all types that there are.
func Factory(t ipcp.Type, env ipcp.Env) (ipcp.IPCP, error) {
	switch t {
	case ipcp.Local:
		return local.New(env), nil
	case ipcp.UDP4, ipcp.UDP6:
		return udp.New(t, env)
	case ipcp.EthDIX, ipcp.EthLLC:
		return eth.New(t, env)
	case ipcp.Broadcast:
		return broadcast.New(env)
	case ipcp.Unicast:
		return unicast.New(env)
	}
	return nil, fmt.Errorf("IPCP type %s: %w", t, layer.ErrIPCPType)
}
