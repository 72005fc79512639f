// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"

	"o7gw/o7s"
	"o7gw/o7s/log"
	"o7gw/o7s/security/layout"
)

const usage = `Usage: irmd [OPTION]...
IPC resource manager of Ouroboros.

      --config FILE         Set up the node as the TOML file says
      --check               Test the file given with --config, and exit
      --run-dir DIR         Directory of the control socket (default
                            $O7S_RUN_DIR; else /run/ouroboros for root,
                            $XDG_RUNTIME_DIR/ouroboros for others)
      --security-dir DIR    Directory of keys, certificates and enc.conf files
                            (default /etc/ouroboros/security for root,
                            $XDG_CONFIG_HOME/ouroboros/security for others).
                            It need not exist, and is looked at for every flow
      --stdout              Log to standard output (default: standard error)
      --syslog              Log to the system log
      --log-format FORMAT   o7s (default), json or text
      --log-level LEVEL     error, warning, info (default), debug or protocol
      --version             Print version information and exit
      --help                Print this text and exit

SIGTERM, SIGINT and SIGQUIT shut down. SIGUSR1 switches debug messages on and
off. SIGHUP only warns that nothing is reloaded; security files need no reload.
`

// options are those of the command line.
type options struct {
	config, runDir string
	securityDir    string
	check, version bool
	stdout, syslog bool
	format         log.Format
	level          slog.Level
}

// parseOptions reads a command line; the error is flag.ErrHelp if it asks for
// help.
func parseOptions(args []string) (options, error) {
	o := options{level: slog.LevelInfo}
	f := flag.NewFlagSet("irmd", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.StringVar(&o.config, "config", "", "")
	f.StringVar(&o.runDir, "run-dir", "", "")
	f.StringVar(&o.securityDir, "security-dir", layout.DefaultDir(), "")
	f.BoolVar(&o.check, "check", false, "")
	f.BoolVar(&o.version, "version", false, "")
	f.BoolVar(&o.stdout, "stdout", false, "")
	f.BoolVar(&o.syslog, "syslog", false, "")
	f.Func("log-format", "", func(s string) (err error) {
		o.format, err = log.ParseFormat(s)
		return err
	})
	f.Func("log-level", "", func(s string) (err error) {
		o.level, err = log.ParseLevel(s)
		return err
	})
	if err := f.Parse(args); err != nil {
		return o, err
	}
	switch {
	case f.NArg() > 0:
		return o, fmt.Errorf("unknown argument %q", f.Arg(0))
	case o.check && o.config == "":
		return o, errors.New("--check needs --config FILE")
	case o.stdout && o.syslog:
		return o, errors.New("--stdout and --syslog exclude each other")
	}
	if o.securityDir == "" {
		return o, errors.New("--security-dir is empty")
	}
	if o.runDir == "" {
		o.runDir = o7s.DefaultRunDir()
	}
	return o, nil
}
