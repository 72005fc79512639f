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
	minSize = 64      // bytes
	maxSize = 1 << 20 // bytes
	// settleFor is the pause after the first message: a prototype's server
	// must have read it before more comes, and on a raw flow it might be
	// overtaken.
	settleFor = time.Second
)

// usage is the prototype's text and the options added to it.
const usage = `Usage: operf [OPTION]...
Measures bandwidth between a client and a server
  -l, --listen              Run in server mode
  -t, --test                The type of test [uni, bi] (default uni)
  -n, --server-name         Name of the operf server; a server listens on
                            it, or else on the names it is bound to
  -d, --duration            Test duration (default 60s)
  -r, --rate                Rate (b/s): a number with the unit k, M or G,
                            or of kb/s (default 1M)
  -s, --size                Payload size (B, default 1500)
  -f, --flood               Send packets as fast as possible
      --sleep               Sleep in between sending packets
  -q, --qos                 QoS (raw, best, video, voice, data; default raw);
                            a server takes what is asked for
  -W, --timeout             A server's wait for a silent client (default 5s)
  -Q, --quiet               Only print final statistics; of a server, no lines
                            on single packets
      --json                Print the statistics as JSON: one object, of a
                            server one for each flow
      --run-dir             Directory of the daemon to use

      --help                Display this help text and exit

Times are numbers with the unit ms (or none), s, m, h or d.
`

// options are the command line, checked.
type options struct {
	listen   bool
	test     kind
	name     string
	duration time.Duration
	rate     float64 // bit/s
	size     int     // bytes
	flood    bool
	sleep    bool
	qos      qos.Spec
	timeout  time.Duration // server: silence after which a client has left
	quiet    bool
	json     bool
	runDir   string
	settle   time.Duration // pause after the first message
}

// lineError is a mistake that is told in one line, in the prototype's words
// where it has some; the others end in the usage text.
type lineError string

func (e lineError) Error() string { return string(e) }

// parseOptions reads the command line. A size that is out of range is mended,
// with a notice to w, as in the prototype.
func parseOptions(args []string, w io.Writer) (options, error) {
	o := options{settle: settleFor}
	var test, duration, rate, timeout, cube string
	f := pflag.NewFlagSet("operf", pflag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.Usage = func() {}
	f.BoolVarP(&o.listen, "listen", "l", false, "")
	f.StringVarP(&test, "test", "t", "uni", "")
	f.StringVarP(&o.name, "server-name", "n", "", "")
	f.StringVarP(&duration, "duration", "d", "60s", "")
	f.StringVarP(&rate, "rate", "r", "1M", "")
	f.IntVarP(&o.size, "size", "s", 1500, "")
	f.BoolVarP(&o.flood, "flood", "f", false, "")
	f.BoolVar(&o.sleep, "sleep", false, "")
	f.StringVarP(&cube, "qos", "q", "raw", "")
	f.StringVarP(&timeout, "timeout", "W", "5s", "")
	f.BoolVarP(&o.quiet, "quiet", "Q", false, "")
	f.BoolVar(&o.json, "json", false, "")
	f.StringVar(&o.runDir, "run-dir", "", "")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if f.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q", f.Arg(0))
	}
	if o.listen && f.Changed("qos") {
		return o, errors.New("--qos is for a client: a server takes what is asked for")
	}
	var err error
	switch {
	case test == "bi":
		o.test = bi
	case test != "uni":
		return o, lineError("Invalid test type.")
	}
	if o.duration, err = parseTime(duration); err != nil {
		return o, err
	}
	if o.timeout, err = parseTime(timeout); err != nil {
		return o, err
	}
	if o.rate, err = parseRate(rate); err != nil {
		return o, err
	}
	if o.qos, err = qos.Parse(cube); err != nil {
		return o, lineError("operf: " + err.Error())
	}
	return o, o.check(w)
}

// check mends or refuses what does not fit together.
func (o *options) check(w io.Writer) error {
	switch {
	case o.timeout <= 0:
		return lineError("operf: the timeout must be above 0")
	case o.listen:
		return nil
	case o.name == "":
		return lineError("No server specified.")
	case o.duration <= 0:
		return lineError("operf: the duration must be above 0")
	}
	mended := o.size
	if o.size > maxSize {
		mended = maxSize
		fmt.Fprintf(noticesTo(o, w), "Packet size truncated to %d bytes.\n", mended)
	}
	if o.size < minSize {
		mended = minSize
		fmt.Fprintf(noticesTo(o, w), "Packet size set to %d bytes.\n", mended)
	}
	o.size = mended
	return nil
}

// noticesTo returns where notices on the command line go: with --json standard
// output is for results.
func noticesTo(o *options, w io.Writer) io.Writer {
	if o.json {
		return io.Discard
	}
	return w
}

// units of a time, the empty one for a bare number.
var units = map[string]time.Duration{
	"": time.Millisecond, "ms": time.Millisecond, "s": time.Second,
	"m": time.Minute, "h": time.Hour, "d": 24 * time.Hour,
}

// parseTime reads a whole number and a unit: ms (or nothing), s, m, h or d.
func parseTime(s string) (time.Duration, error) {
	number, suffix := split(s, "0123456789")
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil {
		return 0, lineError(fmt.Sprintf("operf: invalid time %q", s))
	}
	unit, ok := units[suffix]
	if !ok {
		return 0, lineError(fmt.Sprintf("Unknown time unit: %s.", suffix))
	}
	if n > int64(math.MaxInt64/4/unit) { // sums of times must fit, too
		return 0, lineError(fmt.Sprintf("operf: time %q is too long", s))
	}
	return time.Duration(n) * unit, nil
}

// rateUnits are those of a rate; a bare number is one of kb/s, as in the
// prototype.
var rateUnits = map[string]float64{"": 1e3, "k": 1e3, "M": 1e6, "G": 1e9}

// parseRate reads a rate and returns it in bit/s.
func parseRate(s string) (float64, error) {
	number, suffix := split(s, "0123456789.")
	n, err := strconv.ParseFloat(number, 64)
	if err != nil || n <= 0 {
		return 0, lineError(fmt.Sprintf("operf: invalid rate %q", s))
	}
	unit, ok := rateUnits[suffix]
	if !ok {
		return 0, lineError(fmt.Sprintf("Unknown rate unit: %s.", suffix))
	}
	return n * unit, nil
}

// split cuts s behind the digits at its front.
func split(s, digits string) (number, suffix string) {
	n := len(s) - len(strings.TrimLeft(s, digits))
	return s[:n], s[n:]
}
