// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"github.com/spf13/cobra"

	"o7gw/gateway/demo"
)

func demoCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Show the main job on this machine: two hosts, a tunnel, real traffic",
		Long: `Show the main job on this machine.

As root: two hosts in network namespaces joined by a virtual cable, each with a
gateway; a web server on one, its page fetched from the other through the tunnel,
ping, and a short measurement. Without root: two nodes over the loopback
interface and a local forward. Then it stays up and tells what to try. Whatever
happens, nothing is left behind.`,
		Args: noArgs,
	}
	once := cmd.Flags().Bool("once", false, "exit after the first round")
	logger := logFlags(cmd, "warning")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		log, err := logger()
		if err != nil {
			return err
		}
		return demo.Run(cmd.Context(), demo.Options{Once: *once, Out: cmd.OutOrStdout(), Log: log})
	}
	return cmd
}
