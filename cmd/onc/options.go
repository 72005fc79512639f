// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"time"

	"github.com/spf13/pflag"

	"o7gw/o7s/qos"
)

const usage = `Usage: onc [OPTION]... NAME
       onc -l [OPTION]... [NAME]
Joins standard input and output to a flow, like netcat

  -l, --listen            Wait for a flow to NAME, or without NAME to the
                          names that the program or process is bound to
  -k, --keep-open         With -l, wait for the next when a flow has ended;
                          with -e or --tcp serve several at once
  -e, --exec CMD          Join the flow to standard input and output of
                          CMD, run by /bin/sh
      --tcp HOST:PORT     Join the flow to a TCP connection
  -m, --max N             With -k and -e or --tcp, flows at once (default 100)

  -q, --qos QOS           QoS (raw, best, video, voice, data; default data);
                          the end that listens takes what is asked for
  -w, --timeout TIME      Give up when the flow is not there after TIME, or
                          when nothing passes for TIME
  -z, --zero              Only see whether NAME is served: exit status 0

  -p, --packets           A line is a packet and a packet is a line
      --raw-packets       A read is a packet and a packet is a write
  -i, --interval TIME     Pause between lines, or packets, sent
  -d, --no-stdin          Do not read standard input
  -N, --shutdown          End at the end of standard input if the peer
                          cannot be told of it otherwise
      --quit TIME         End TIME after the end of standard input

  -v, --verbose           Say what happens on standard error
      --progress          Show amounts on standard error while it runs; with
                          -v on a terminal, unless that shows the output,
                          it does by itself
      --run-dir DIR       Directory of the daemon to use
  -h, --help              Display this help text and exit

TIME is a number of seconds, or has a unit: 500ms, 5s, 2m.
`

// defaultMax is how many flows are served at once.
const defaultMax = 100

// options are the command line, checked.
type options struct {
	name    string // empty: names bound to this program or process
	listen  bool
	keep    bool
	exec    string
	tcp     string
	max     int
	qos     qos.Spec
	timeout time.Duration // of getting a flow, and of silence; 0: none
	zero    bool

	packets    bool // a line is a packet
	rawPackets bool // a read is a packet
	interval   time.Duration
	noStdin    bool
	shutdown   bool
	quit       time.Duration // below 0: not
	verbose    bool
	progress   bool
	runDir     string
}

// atOnce reports whether flows are served while others are.
func (o *options) atOnce() bool { return o.keep && (o.exec != "" || o.tcp != "") }

// seconds is a time on the command line: a number is one of seconds.
type seconds struct{ d *time.Duration }

func (s seconds) String() string { return "" }
func (s seconds) Type() string   { return "time" }

func (s seconds) Set(text string) error {
	d, err := time.ParseDuration(text)
	if n, e := strconv.ParseFloat(text, 64); e == nil && n >= 0 && n < math.MaxInt64/float64(time.Second) {
		d, err = time.Duration(n*float64(time.Second)), nil
	}
	if err != nil || d < 0 {
		return errors.New("not a time such as 5, 500ms or 2m")
	}
	*s.d = d
	return nil
}

func parseOptions(args []string) (options, error) {
	o := options{quit: -1}
	var cube string
	f := pflag.NewFlagSet("onc", pflag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.Usage = func() {}
	f.BoolVarP(&o.listen, "listen", "l", false, "")
	f.BoolVarP(&o.keep, "keep-open", "k", false, "")
	f.StringVarP(&o.exec, "exec", "e", "", "")
	f.StringVar(&o.tcp, "tcp", "", "")
	f.IntVarP(&o.max, "max", "m", defaultMax, "")
	f.StringVarP(&cube, "qos", "q", "data", "")
	f.VarP(seconds{&o.timeout}, "timeout", "w", "")
	f.BoolVarP(&o.zero, "zero", "z", false, "")
	f.BoolVarP(&o.packets, "packets", "p", false, "")
	f.BoolVar(&o.rawPackets, "raw-packets", false, "")
	f.VarP(seconds{&o.interval}, "interval", "i", "")
	f.BoolVarP(&o.noStdin, "no-stdin", "d", false, "")
	f.BoolVarP(&o.shutdown, "shutdown", "N", false, "")
	f.Var(seconds{&o.quit}, "quit", "")
	f.BoolVarP(&o.verbose, "verbose", "v", false, "")
	f.BoolVar(&o.progress, "progress", false, "")
	f.StringVar(&o.runDir, "run-dir", "", "")
	err := f.Parse(args)
	switch {
	case err != nil:
		return o, err
	case f.NArg() > 1:
		return o, fmt.Errorf("unexpected argument %q", f.Arg(1))
	}
	o.name = f.Arg(0)
	if o.qos, err = qos.Parse(cube); err != nil {
		return o, err
	}
	return o, o.check(f.Changed)
}

// check refuses what does not fit together: an option without effect is a
// mistake.
func (o *options) check(given func(string) bool) error {
	switch served := o.exec != "" || o.tcp != ""; {
	case o.name == "" && !o.listen:
		return errors.New("which name?")
	case o.listen && given("qos"):
		return errors.New("--qos is for the end that dials; the end that listens takes what is asked for")
	case o.keep && !o.listen:
		return errors.New("--keep-open goes with -l only")
	case o.exec != "" && o.tcp != "":
		return errors.New("either --exec or --tcp")
	case given("max") && !o.atOnce():
		return errors.New("--max goes with -k and -e or --tcp only")
	case o.max < 1:
		return errors.New("--max must be above 0")
	case o.packets && o.rawPackets:
		return errors.New("either --packets or --raw-packets")
	case served && (o.noStdin || o.shutdown || o.quit >= 0):
		return errors.New("--no-stdin, --shutdown and --quit are about standard input, which --exec and --tcp do not use")
	case o.zero && (o.listen || served || o.packets || o.rawPackets || o.interval > 0 || o.noStdin || o.shutdown || o.quit >= 0 || o.progress):
		return errors.New("--zero goes with --qos, --timeout and --verbose only")
	}
	return nil
}
