// SPDX-License-Identifier: BSD-3-Clause

package screen

import (
	"fmt"
	"time"

	"o7gw/gateway/report"
	"o7gw/gateway/tunnel"
)

// tunnelLines shows a tunnel and its peers.
func tunnelLines(t *tunnel.Status) []line {
	out := []line{{}, {text: fmt.Sprintf("Tunnel %s: %s of %s on %s (%s), MTU %d, mode %s",
		clean(t.Name), t.Role, clean(t.Service), clean(t.Device), list(t.Addresses), t.MTU, t.Mode)}}
	if len(t.Routes) > 0 {
		out = append(out, line{text: "  routes: " + list(t.Routes)})
	}
	if t.LastError != "" {
		out = append(out, line{bad, fmt.Sprintf("  not connected, %d attempts: %s", t.Failures, clean(t.LastError))})
	}
	if n := t.NoRoute + t.TooBig + t.Malformed; n > 0 {
		out = append(out, line{text: fmt.Sprintf("  packets not sent: %d without a peer, %d malformed; too big for a flow: %d", t.NoRoute, t.Malformed, t.TooBig)})
	}
	if len(t.Peers) == 0 {
		return append(out, line{text: "  no peer"})
	}
	peers := table{columns: []string{"FLOW", "STATE", "SINCE", "MTU", "RECEIVED", "SENT", "DROPPED", "PREFIXES"}}
	for i := range t.Peers {
		p := &t.Peers[i]
		peers.row(fmt.Sprint(p.Flow), report.PeerState(p), p.Since.Round(time.Second).String(), fmt.Sprint(p.MTU),
			Size(p.RxBytes), Size(p.TxBytes), fmt.Sprint(p.RxDropped+p.TxDropped+p.BadSource+p.Malformed), list(p.Prefixes))
	}
	return append(out, peers.lines("  ")[1:]...)
}
