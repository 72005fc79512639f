// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"o7gw/gateway"
	"o7gw/gateway/config"
)

func doctorCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Tell what is missing, and the command that mends it",
		Long:  "Look at the machine, the configuration and the network, and tell for each\nfault the command that mends it. The exit code is 1 if something is wrong.",
		Args:  noArgs,
	}
	path := configFlag(cmd)
	asJSON := cmd.Flags().Bool("json", false, "print JSON")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		file, err := config.Load(*path)
		found := gateway.Examine(cmd.Context(), file, *path, err)
		bad := 0
		for _, f := range found {
			if f.Result == gateway.Bad {
				bad++
			}
		}
		w := cmd.OutOrStdout()
		if *asJSON {
			e := json.NewEncoder(w)
			e.SetIndent("", "  ")
			if err := e.Encode(found); err != nil {
				return err
			}
		} else {
			for _, f := range found {
				fmt.Fprintf(w, "[%-4s] %s: %s\n", f.Result, f.Subject, f.Text)
				if f.Mend != "" {
					fmt.Fprintf(w, "       mend: %s\n", f.Mend)
				}
			}
		}
		if bad > 0 {
			return failure{}
		}
		return nil
	}
	return cmd
}
