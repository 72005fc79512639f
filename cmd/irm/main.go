// SPDX-License-Identifier: BSD-3-Clause

// Irm tells the IRM daemon what to do: it makes IPC processes and layers,
// names and their bindings, and lists what there is (spec 40 §3).
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"o7gw/o7s"
	"o7gw/o7s/irm/cli"
	"o7gw/o7s/irm/control"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	code := cli.Run(ctx, os.Args[1:], cli.Env{Stdout: os.Stdout, Stderr: os.Stderr, Dial: dial})
	stop()
	os.Exit(code)
}

// client gives control.Client the form that the commands want.
type client struct{ *control.Client }

func (c client) Status(ctx context.Context) (cli.Status, error) {
	s, err := c.Client.Status(ctx)
	return cli.Status(s), err
}

func dial(ctx context.Context, runDir string) (cli.Client, error) {
	if runDir == "" {
		runDir = o7s.DefaultRunDir()
	}
	c, err := control.Dial(ctx, runDir)
	if err != nil {
		return nil, err
	}
	return client{c}, nil
}
