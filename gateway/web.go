// SPDX-License-Identifier: BSD-3-Clause

package gateway

import (
	"o7gw/gateway/metrics"
	"o7gw/gateway/web"
	"o7gw/o7s/rib"
)

// newWeb makes the live page, with the metrics.
func (g *Gateway) newWeb(cfg web.Config) *web.Server {
	var tree *rib.Tree
	if g.node != nil {
		tree = g.node.IRM().RIB()
	}
	return web.New(cfg, g.Status, metrics.Handler(g.Status, tree), g.log)
}
