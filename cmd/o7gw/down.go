// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"o7gw/gateway/routes"
	"o7gw/o7s"
)

func downCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "down",
		Short: "Remove routing rules that a killed gateway has left",
		Long: `Remove the routing rules and tables that a gateway has left that was killed
(SIGKILL, power). A gateway that ends otherwise removes them itself, and one that
starts with the same run directory removes what the one before has left.`,
		Args: noArgs,
	}
	runDir := cmd.Flags().String("run-dir", "", "run directory of the gateway (default: as for run_dir)")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		dir := *runDir
		if dir == "" {
			dir = o7s.DefaultRunDir()
		}
		removed, err := routes.Sweep(dir)
		for _, what := range removed {
			fmt.Fprintln(cmd.OutOrStdout(), "removed", what)
		}
		if err == nil && len(removed) == 0 {
			fmt.Fprintln(cmd.OutOrStdout(), "nothing to remove")
		}
		return err
	}
	return cmd
}
