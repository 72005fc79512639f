// SPDX-License-Identifier: BSD-3-Clause

// Command o7gw carries unmodified IP traffic over Ouroboros flows: see
// "o7gw --help", and "o7gw demo" for a first look.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"o7gw/gateway/demo"
	o7slog "o7gw/o7s/log"
)

// Exit codes.
const (
	exitFailure = 1 // the job failed
	exitUsage   = 2 // the command line is wrong
)

// failure is an error that was already reported.
type failure struct{}

func (failure) Error() string { return "failed" }

func main() {
	// Hosts of the demo are this program again, in namespaces of their own.
	if demo.IsHost() {
		os.Exit(demo.RunHost())
	}
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

func run(args []string, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	cmd := root()
	cmd.SetArgs(args)
	cmd.SetOut(stdout)
	cmd.SetErr(stderr)
	err := cmd.ExecuteContext(ctx)
	var usage usageError
	switch {
	case err == nil:
		return 0
	case errors.Is(err, failure{}):
		return exitFailure
	case errors.As(err, &usage):
		fmt.Fprintf(stderr, "o7gw: %v\n\nTry \"o7gw --help\".\n", err)
		return exitUsage
	}
	fmt.Fprintf(stderr, "o7gw: %v\n", err)
	return exitFailure
}

// usageError marks mistakes in the command line.
type usageError struct{ error }

func root() *cobra.Command {
	cmd := &cobra.Command{
		Use:           "o7gw",
		Short:         "Gateway between IP and Ouroboros",
		Long:          "o7gw carries the packets of unmodified IP programs over Ouroboros flows.\n\nFirst look:  o7gw demo\nSet-up:      o7gw genconf > o7gw.toml; edit; o7gw check o7gw.toml; o7gw up --config o7gw.toml",
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usageError{fmt.Errorf("unknown command %q", args[0])}
			}
			return usageError{errors.New("which command?")}
		},
		Args: cobra.ArbitraryArgs,
	}
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	cmd.AddCommand(upCommand(), checkCommand(), genconfCommand(), statusCommand(), doctorCommand(), downCommand(), demoCommand())
	return cmd
}

// noArgs is cobra.NoArgs with our error.
func noArgs(_ *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usageError{fmt.Errorf("unexpected argument %q", args[0])}
	}
	return nil
}

// logFlags adds the flags of logging and returns what makes the logger.
func logFlags(cmd *cobra.Command, level string) func() (*slog.Logger, error) {
	var format string
	cmd.Flags().StringVar(&format, "log-format", "o7s", "o7s, json or text")
	cmd.Flags().StringVar(&level, "log-level", level, "error, warning, info or debug")
	return func() (*slog.Logger, error) {
		f, err := o7slog.ParseFormat(format)
		if err != nil {
			return nil, usageError{err}
		}
		l, err := o7slog.ParseLevel(level)
		if err != nil {
			return nil, usageError{err}
		}
		v := new(slog.LevelVar)
		v.Set(l)
		return slog.New(o7slog.New(cmd.ErrOrStderr(), f, v)), nil
	}
}
