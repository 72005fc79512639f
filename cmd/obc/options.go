// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/pflag"
)

// usage is the prototype's text and the options added to it.
const usage = `Usage: obc [OPTION]...
Sends a message to a broadcast network

  -n --name                 Name of the broadcast layer
  -m --message              A message to send
  [-l, --listen             Listen mode]
  -c, --count               Messages to send (default 1), or to read before
                            ending (default: no limit)
  -i, --interval            Time between messages sent (default 1s)
  -t, --timeout             Time after which to end, e.g. 5s (default: no
                            limit to listen, 10s to join)
      --json                Print one JSON object for each message
      --run-dir             Directory of the daemon to use
      --help                Display this help text and exit
`

const (
	defaultMessage = "Ouroboros multicast rocks!"
	// joinTimeout is how long joining may take if the user does not say.
	joinTimeout = 10 * time.Second
)

type options struct {
	name     string
	message  string
	listen   bool
	count    uint          // 0: no limit
	interval time.Duration // between messages sent
	timeout  time.Duration // of everything; 0: no limit
	json     bool
	runDir   string
}

// errNoName is answered with status 1, unlike other errors of the command line.
var errNoName = errors.New("no name of a layer")

func parseOptions(args []string) (options, error) {
	var o options
	f := pflag.NewFlagSet("obc", pflag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.Usage = func() {}
	f.StringVarP(&o.name, "name", "n", "", "")
	f.StringVarP(&o.message, "message", "m", defaultMessage, "")
	f.BoolVarP(&o.listen, "listen", "l", false, "")
	f.UintVarP(&o.count, "count", "c", 0, "")
	f.DurationVarP(&o.interval, "interval", "i", time.Second, "")
	f.DurationVarP(&o.timeout, "timeout", "t", 0, "")
	f.BoolVar(&o.json, "json", false, "")
	f.StringVar(&o.runDir, "run-dir", "", "")
	err := f.Parse(args)
	switch {
	case err != nil:
		return o, err
	case f.NArg() > 0:
		return o, fmt.Errorf("unexpected argument %q", f.Arg(0))
	case o.timeout < 0 || o.interval < 0:
		return o, errors.New("times must not be negative")
	case f.Changed("count") && o.count == 0:
		return o, errors.New("count must not be 0")
	case o.name == "":
		return o, errNoName
	}
	if !o.listen && o.count == 0 {
		o.count = 1
	}
	return o, nil
}
