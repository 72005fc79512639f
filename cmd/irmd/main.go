// SPDX-License-Identifier: BSD-3-Clause

// Irmd is the IPC resource manager daemon (spec 40 §1): it hosts the IRM and
// all IPC processes of a node and serves applications and the irm tool over
// the control socket in its run directory.
//
// It needs no privileges of its own: every user may run one with a run
// directory of his. With nothing but its defaults it makes that directory and
// the socket in it.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"

	"o7gw/o7s/irm/config"
	"o7gw/o7s/irm/control"
	"o7gw/o7s/log"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// run executes a command line and returns the exit status.
func run(args []string, stdout, stderr io.Writer) int {
	o, err := parseOptions(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprint(stdout, usage)
		return 0
	case err != nil:
		fmt.Fprintf(stderr, "irmd: %v.\n%s", err, usage)
		return 1
	case o.version:
		fmt.Fprintf(stdout, "Ouroboros version %s compatible\n", control.Compatible)
		return 0
	case o.check:
		return check(o.config, stdout, stderr)
	}
	level := new(slog.LevelVar)
	level.Set(o.level)
	handler, done, err := logHandler(o, level, stdout, stderr)
	if err != nil {
		fmt.Fprintf(stderr, "irmd: %v.\n", err)
		return 1
	}
	defer done()
	// Who reads the log must not be able to stop the node.
	handler, flush := log.Queue(handler)
	defer flush()
	d := daemon{options: o, log: slog.New(handler), level: level}
	if err := d.run(); err != nil {
		for _, line := range errorLines(err) {
			d.log.Error(line, log.ComponentKey, component)
		}
		return 1
	}
	return 0
}

// errorLines returns the lines that tell an error: one for each mistake of a
// configuration file.
func errorLines(err error) []string {
	mistakes := config.Errors(err)
	if mistakes == nil {
		return []string{err.Error()}
	}
	var lines []string
	for _, m := range mistakes {
		lines = append(lines, m.Error())
	}
	return lines
}

// component is the one of the daemon's own log lines.
const component = "irmd"

// logHandler returns the handler that the options ask for, and what closes
// it.
func logHandler(o options, level *slog.LevelVar, stdout, stderr io.Writer) (slog.Handler, func() error, error) {
	switch {
	case o.syslog:
		return log.Syslog("irmd", level)
	case o.stdout:
		return log.New(stdout, o.format, level), func() error { return nil }, nil
	}
	return log.New(stderr, o.format, level), func() error { return nil }, nil
}

// check tests a configuration file without changing anything.
func check(path string, stdout, stderr io.Writer) int {
	f, err := config.Load(path)
	if err == nil {
		err = f.Check()
	}
	if err != nil {
		fmt.Fprintln(stderr, strings.Join(errorLines(err), "\n"))
		return 1
	}
	fmt.Fprintf(stdout, "%s: no errors.\n", path)
	return 0
}
