// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"o7gw/gateway"
	"o7gw/gateway/config"
	"o7gw/gateway/privilege"
)

// defaultConfig is where up, check and doctor look without --config.
const defaultConfig = "/etc/ouroboros/o7gw.toml"

func upCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Run the gateway until SIGTERM or SIGINT",
		Long: `Run the gateway until SIGTERM or SIGINT. SIGHUP reads the configuration again and
applies it object by object, without cutting sessions of what stays; what needs a
restart is logged. At the end it takes no new sessions and waits for the open ones,
as long as grace says; a second signal ends it at once.`,
		Args: noArgs,
	}
	path := configFlag(cmd)
	logger := logFlags(cmd, "info")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		log, err := logger()
		if err != nil {
			return err
		}
		// Before the start, so that an early SIGHUP does not kill.
		hup := make(chan os.Signal, 1)
		signal.Notify(hup, syscall.SIGHUP)
		defer signal.Stop(hup)
		ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		return up(ctx, stop, *path, log, hup)
	}
	return cmd
}

func configFlag(cmd *cobra.Command) *string {
	return cmd.Flags().StringP("config", "c", defaultConfig, "configuration file")
}

func up(ctx context.Context, stop func(), path string, log *slog.Logger, hup <-chan os.Signal) error {
	file, err := config.Load(path)
	if err != nil {
		return err
	}
	g := gateway.New(file, log)
	status, err := g.ServeStatus()
	if err != nil {
		return err
	}
	defer status.Close()
	if err := g.Start(ctx); err != nil {
		return fmt.Errorf("%w\n\"o7gw doctor --config %s\" tells what is missing", err, path)
	}
	defer g.Close()
	if err := privilege.Drop(privilege.NetAdmin); err != nil {
		log.Info("keeping all privileges", "component", "o7gw", "reason", err)
	}
	notify("READY=1")
	for {
		select {
		case <-ctx.Done():
			notify("STOPPING=1")
			log.Info("shutting down", "component", "o7gw")
			stop()
			drain(g)
			return g.Close()
		case <-hup:
			notify(reloading())
			reload(ctx, g, path, log.With("component", "o7gw"))
			notify("READY=1")
		}
	}
}

// drain waits for open sessions as long as the configuration says. A second
// SIGTERM or SIGINT ends the program at once, and the kernel what it has made.
func drain(g *gateway.Gateway) {
	ctx, cancel := context.WithTimeout(context.Background(), g.Grace())
	defer cancel()
	g.Drain(ctx)
}

// reload applies the file again; a mistake in it leaves everything as it is.
func reload(ctx context.Context, g *gateway.Gateway, path string, log *slog.Logger) {
	file, err := config.Load(path)
	if err != nil {
		log.Error("configuration not reloaded: the old one stays", "err", err)
		return
	}
	for _, c := range g.Reload(ctx, file) {
		level := slog.LevelInfo
		switch c.Action {
		case "needs a restart":
			level = slog.LevelWarn
		case "failed":
			level = slog.LevelError
		}
		var details []any
		if c.Details != "" {
			details = []any{"details", c.Details}
		}
		log.Log(ctx, level, "reload: "+c.Object+": "+c.Action, details...)
	}
}
