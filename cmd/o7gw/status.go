// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"o7gw/gateway"
	"o7gw/gateway/report"
	"o7gw/gateway/report/screen"
)

// Times between two reports, unless --interval says another.
const (
	measureInterval = 500 * time.Millisecond // of the rates of a single status
	watchInterval   = time.Second
)

func statusCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show what a running gateway does",
		Long: "Show what a running gateway does: objects, sessions, rates, the last errors.\n" +
			"With --watch again and again: in a terminal as a screen that q or Ctrl-C ends.",
		Args: noArgs,
	}
	asJSON := cmd.Flags().Bool("json", false, "print JSON")
	watch := cmd.Flags().BoolP("watch", "w", false, "show it live")
	interval := cmd.Flags().Duration("interval", 0, "time between two looks, over which rates are measured\n(default: 1s with --watch, none with --json, otherwise 500ms)")
	sessions := cmd.Flags().Int("sessions", 20, "how many sessions to show, the newest")
	runDir := cmd.Flags().String("run-dir", "", "run directory of the gateway (default: as for run_dir)")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		fetch := func(ctx context.Context) (report.Report, error) { return gateway.FetchStatus(ctx, *runDir) }
		switch {
		case *interval < 0 || *interval > 0 && *interval < 10*time.Millisecond:
			return usageError{fmt.Errorf("--interval %v: 10ms or more", *interval)}
		case *watch && *asJSON:
			return usageError{errors.New("--watch and --json: one of both")}
		case *watch:
			if *interval == 0 {
				*interval = watchInterval
			}
			return screen.Watch(cmd.Context(), cmd.OutOrStdout(), screen.Options{Interval: *interval, Sessions: *sessions, Fetch: fetch})
		}
		if *interval == 0 && !*asJSON {
			*interval = measureInterval
		}
		s, err := measure(cmd.Context(), fetch, *interval)
		if err != nil {
			return err
		}
		if *asJSON {
			e := json.NewEncoder(cmd.OutOrStdout())
			e.SetIndent("", "  ")
			return e.Encode(s)
		}
		return screen.Text(cmd.OutOrStdout(), &s, *sessions)
	}
	return cmd
}

// measure fetches a report, or two of them for rates if there is an interval.
func measure(ctx context.Context, fetch func(context.Context) (report.Report, error), interval time.Duration) (report.Report, error) {
	var m report.Meter
	s, err := fetch(ctx)
	if err != nil || interval == 0 {
		return s, err
	}
	m.Measure(time.Now(), &s)
	select {
	case <-time.After(interval):
	case <-ctx.Done():
		return s, nil
	}
	if s, err = fetch(ctx); err == nil {
		m.Measure(time.Now(), &s)
	}
	return s, err
}
