// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"o7gw/gateway/config"
)

func checkCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "check [FILE]",
		Short: "Check a configuration file and change nothing",
		Long:  "Check a configuration file and change nothing. Mistakes are printed as\nFILE:LINE:COLUMN: KEY: TEXT, one per line; the exit code is 1 if there are any.",
		Args:  maxOneArg,
		RunE: func(cmd *cobra.Command, args []string) error {
			path := defaultConfig
			if len(args) > 0 {
				path = args[0]
			}
			f, err := config.Load(path)
			if err != nil {
				fmt.Fprintln(cmd.ErrOrStderr(), err)
				return failure{}
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s is right: %d objects, %d IPCPs.\n", path, f.Objects(), len(f.Node.IPCPs))
			return nil
		},
	}
}

func maxOneArg(cmd *cobra.Command, args []string) error {
	if len(args) > 1 {
		return usageError{fmt.Errorf("unexpected argument %q", args[1])}
	}
	return nil
}

func genconfCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "genconf",
		Short: "Print a commented configuration file with every key",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return config.Sample(cmd.OutOrStdout())
		},
	}
}
