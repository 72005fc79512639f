// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"o7gw/gateway"
)

func statusCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show what a running gateway does",
		Args:  noArgs,
	}
	asJSON := cmd.Flags().Bool("json", false, "print JSON")
	runDir := cmd.Flags().String("run-dir", "", "run directory of the gateway (default: as for run_dir)")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		s, err := gateway.FetchStatus(cmd.Context(), *runDir)
		if err != nil {
			return err
		}
		if *asJSON {
			e := json.NewEncoder(cmd.OutOrStdout())
			e.SetIndent("", "  ")
			return e.Encode(s)
		}
		printStatus(cmd.OutOrStdout(), &s)
		return nil
	}
	return cmd
}

func printStatus(w io.Writer, s *gateway.Status) {
	kind := "embedded node"
	if s.IRMd {
		kind = "irmd"
	}
	fmt.Fprintf(w, "Gateway %d, %s, %s, since %s.\n", s.PID, s.Config, kind, s.Started.Format(time.DateTime))
	for i := range s.Tunnels {
		t := &s.Tunnels[i]
		fmt.Fprintf(w, "\nTunnel %s: %s of %s on %s (%s), MTU %d, mode %s\n", t.Name, t.Role, t.Service, t.Device, list(t.Addresses), t.MTU, t.Mode)
		if len(t.Routes) > 0 {
			fmt.Fprintf(w, "  routes: %s\n", list(t.Routes))
		}
		if t.LastError != "" {
			fmt.Fprintf(w, "  not connected, %d attempts: %s\n", t.Failures, t.LastError)
		}
		if n := t.NoRoute + t.TooBig + t.Malformed; n > 0 {
			fmt.Fprintf(w, "  packets not sent: %d without a peer, %d malformed; too big for a flow: %d\n", t.NoRoute, t.Malformed, t.TooBig)
		}
		if len(t.Peers) == 0 {
			fmt.Fprintln(w, "  no peer")
			continue
		}
		tw := tabwriter.NewWriter(w, 2, 0, 2, ' ', 0)
		fmt.Fprintln(tw, "  FLOW\tSTATE\tSINCE\tMTU\tRECEIVED\tSENT\tDROPPED\tPREFIXES")
		for _, p := range t.Peers {
			state := "up"
			switch {
			case p.Down:
				state = "down"
			case !p.Exchanged:
				state = "waiting"
			}
			fmt.Fprintf(tw, "  %d\t%s\t%s\t%d\t%s\t%s\t%d\t%s\n", p.Flow, state, p.Since.Round(time.Second), p.MTU,
				size(p.RxBytes), size(p.TxBytes), p.RxDropped+p.TxDropped+p.BadSource+p.Malformed, list(p.Prefixes))
		}
		tw.Flush()
	}
}

func list(prefixes []netip.Prefix) string {
	var s []string
	for _, p := range prefixes {
		s = append(s, p.String())
	}
	return strings.Join(s, " ")
}

// size writes a number of bytes for people.
func size(n uint64) string {
	f, units := float64(n), []string{"B", "kB", "MB", "GB", "TB", "PB", "EB"}
	i := 0
	for f >= 1000 && i < len(units)-1 {
		f /= 1000
		i++
	}
	if i == 0 {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.1f %s", f, units[i])
}
