// SPDX-License-Identifier: BSD-3-Clause

package integration

import (
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	"o7gw/integration/lab"
)

// A gateway on a daemon goes on with the next one when that was restarted.
func TestGatewayOutlivesDaemon(t *testing.T) {
	w := newWorld(t, 90*time.Second, 2)
	daemons := [2]*lab.Daemon{}
	restart := func(end int) {
		layer := lab.UDPLayer{Name: "udp", IP: addr4(0, end+1)}
		if end == 0 {
			layer.Hosts = map[string]netip.Addr{"vpn": addr4(0, 2)}
		}
		if daemons[end] != nil {
			daemons[end].Kill()
		}
		daemons[end] = w.daemon(end, layer)
	}
	for end := 1; end >= 0; end-- {
		restart(end)
		v4, _ := inner(end)
		tunnel := lab.Tunnel{Device: "o7", Addresses: []netip.Prefix{netip.PrefixFrom(v4, 24)}}
		if end == 1 {
			tunnel.Listen = "vpn"
		} else {
			tunnel.Connect = "vpn"
		}
		_, err := w.hosts[end].StartGateway(w.ctx, filepath.Join(bin, "o7gw"), w.dirs[end], "irmd = true\n"+tunnel.String())
		if err != nil {
			t.Fatal(err)
		}
	}
	e := gatewayEnds()
	w.reach(0, e.addr[1])
	for end := range 2 {
		restart(end)
		w.reach(0, e.addr[1])
	}
}
