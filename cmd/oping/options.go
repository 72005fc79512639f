// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"o7gw/o7s/qos"
)

const (
	maxInterval = 10 * time.Second
	minSize     = 64
	maxSize     = 1500
	// grace is what the wait for a reply lasts beyond the whole seconds of
	// the interval, as in the prototype.
	grace = 2 * time.Second
)

// usage is the prototype's text and the options added to it.
const usage = `Usage: oping [OPTION]...

Checks liveness between a client and a server
and reports the Round Trip Time (RTT)

  -l, --listen            Run in server mode
      --poll              Server uses polling (lower latency)
      --busy              Server uses busy-poll (single flow)

  -c, --count             Number of packets
  -d, --duration          Duration of the test (default unlimited)
  -f, --flood             Send back-to-back without waiting
  -F, --flood-busy        Flood with busy-polling (lower latency)
  -i, --interval          Interval (default 1000ms, 0 floods)
  -n, --server-name       Name of the oping server; a server listens on
                          it, or else on the names it is bound to
  -q, --qos               QoS (raw, best, video, voice, data)
  -s, --size              Payload size (B, default 64)
  -Q, --quiet             Only print final statistics
  -D, --timeofday         Print time of day before each line
  -W, --timeout           In flood modes, a reply that takes longer is
                          lost (default 1s)
      --json              Print the statistics as one JSON object
      --fail-on-loss      Exit with status 1 if a reply is missing
      --run-dir           Directory of the daemon to use

      --help              Display this help text and exit
`

// options are the command line, checked.
type options struct {
	listen, poll, busy bool

	name       string
	count      int           // packets; math.MaxInt32 if not limited
	duration   time.Duration // of the sending; 0: not limited
	interval   time.Duration
	size       int // bytes, with the header
	qos        qos.Spec
	flood      bool
	spin       bool // flood with busy polling
	quiet      bool
	timeOfDay  bool
	timeout    time.Duration // of one reply in flood modes
	json       bool
	failOnLoss bool
	runDir     string
}

// giveUp is how long to wait in silence before the server counts as dead.
func (o *options) giveUp() time.Duration { return o.interval.Truncate(time.Second) + grace }

// errUsage marks errors after which the usage text helps.
var errUsage = errors.New("usage")

type usageError string

// textError is a line for the user in the prototype's words.
type textError string

func (e textError) Error() string { return string(e) }

func (e usageError) Error() string      { return string(e) }
func (usageError) Is(target error) bool { return target == errUsage }

// parseOptions reads the command line. Values that are out of range but can
// be mended are, with a notice to w, as in the prototype.
func parseOptions(args []string, w io.Writer) (options, error) {
	var o options
	var interval, duration, timeout, cube string
	f := pflag.NewFlagSet("oping", pflag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.Usage = func() {}
	f.BoolVarP(&o.listen, "listen", "l", false, "")
	f.BoolVar(&o.poll, "poll", false, "")
	f.BoolVar(&o.busy, "busy", false, "")
	f.IntVarP(&o.count, "count", "c", math.MaxInt32, "")
	f.StringVarP(&duration, "duration", "d", "0", "")
	f.BoolVarP(&o.flood, "flood", "f", false, "")
	f.BoolVarP(&o.spin, "flood-busy", "F", false, "")
	f.StringVarP(&interval, "interval", "i", "1s", "")
	f.StringVarP(&o.name, "server-name", "n", "", "")
	f.StringVarP(&cube, "qos", "q", "raw", "")
	f.IntVarP(&o.size, "size", "s", minSize, "")
	f.BoolVarP(&o.quiet, "quiet", "Q", false, "")
	f.BoolVarP(&o.timeOfDay, "timeofday", "D", false, "")
	f.StringVarP(&timeout, "timeout", "W", "1s", "")
	f.BoolVar(&o.json, "json", false, "")
	f.BoolVar(&o.failOnLoss, "fail-on-loss", false, "")
	f.StringVar(&o.runDir, "run-dir", "", "")
	if err := f.Parse(args); err != nil {
		if errors.Is(err, pflag.ErrHelp) {
			return o, err
		}
		return o, usageError("oping: " + err.Error())
	}
	if f.NArg() > 0 {
		return o, usageError(fmt.Sprintf("oping: unexpected argument %q", f.Arg(0)))
	}
	if o.json { // standard output is for the result
		w = io.Discard
	}
	for _, t := range []struct {
		text string
		to   *time.Duration
	}{{interval, &o.interval}, {duration, &o.duration}, {timeout, &o.timeout}} {
		var err error
		if *t.to, err = parseTime(t.text); err != nil {
			return o, err
		}
	}
	o.flood = o.flood || o.spin || o.interval == 0
	return o, o.check(cube, f.Changed("duration"), w)
}

// check mends or refuses what does not fit together.
func (o *options) check(cube string, limited bool, w io.Writer) error {
	var err error
	switch {
	case o.listen && o.json:
		return usageError("oping: --json goes with a client only")
	case o.listen:
		return nil
	case o.poll || o.busy:
		return usageError("oping: --poll and --busy go with -l only")
	case o.name == "":
		return usageError("No server specified.")
	case o.count < 1:
		return usageError(fmt.Sprintf("oping: cannot send %d packets", o.count))
	case limited && o.duration <= 0:
		return usageError("oping: the duration must be above 0")
	case o.timeout <= 0:
		return usageError("oping: the timeout must be above 0")
	}
	if o.count > math.MaxInt32 { // ids have 32 bits
		o.count = math.MaxInt32
	}
	if o.interval > maxInterval {
		fmt.Fprintln(w, "Ping interval truncated to 10s.")
		o.interval = maxInterval
	}
	if o.size > maxSize {
		fmt.Fprintf(w, "Packet size truncated to %d bytes.\n", maxSize)
		o.size = maxSize
	}
	if o.size < minSize {
		fmt.Fprintf(w, "Packet size set to %d bytes.\n", minSize)
		o.size = minSize
	}
	if o.qos, err = qos.Parse(cube); err != nil {
		fmt.Fprintln(w, "Unknown QoS cube, defaulting to raw.")
		o.qos = qos.Raw
	}
	if o.duration > 0 && !o.flood {
		n := o.duration / o.interval
		if n == 0 {
			return textError("Duration is shorter than the interval.")
		}
		o.count = int(min(time.Duration(o.count), n))
	}
	return nil
}

// units of a time, the empty one for a bare number.
var units = map[string]time.Duration{
	"": time.Millisecond, "ms": time.Millisecond, "s": time.Second,
	"m": time.Minute, "h": time.Hour, "d": 24 * time.Hour,
}

// parseTime reads a whole number and a unit: ms (or nothing), s, m, h or d.
func parseTime(s string) (time.Duration, error) {
	digits := len(s) - len(strings.TrimLeft(s, "0123456789"))
	n, err := strconv.ParseInt(s[:digits], 10, 64)
	if err != nil {
		return 0, usageError(fmt.Sprintf("oping: invalid time %q", s))
	}
	unit, ok := units[s[digits:]]
	if !ok {
		return 0, textError(fmt.Sprintf("Unknown time unit: %s.", s[digits:]))
	}
	if n > int64(math.MaxInt64/unit) {
		return 0, usageError(fmt.Sprintf("oping: time %q is too long", s))
	}
	return time.Duration(n) * unit, nil
}
