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

const maxSize = 524288 // bytes

// usage is the prototype's text and the options added to it.
const usage = `Usage: ocbr [OPTION]...
Sends packets from client to server at a constant bit rate.

  -l, --listen              Run in server mode
      --json                Print reports and statistics as JSON, an object
                            a line
      --run-dir             Directory of the daemon to use

Server options:
  -i, --interval            Server report interval (s, default 1)
  -t, --timeout             Server timeout interval (s, default 1): silence
                            after which a client has left

Client options:
  -n, --server_apn          Specify the name of the server; a server listens
                            on it, or else on the names it is bound to
  -d, --duration            Duration for sending (s, default 60)
  -f, --flood               Send packets as fast as possible
  -s, --size                packet size (B, default 1000, max 524288 B)
  -r, --rate                Rate (b/s, or with the unit k, M or G; default 1M)
  -q, --qos                 QoS (raw, best, video, voice, data; default raw)
      --sleep               Sleep in between sending packets (default)
      --spin                Spin CPU between sending packets


      --help                Display this help text and exit
`

// options are the command line, checked.
type options struct {
	listen   bool
	interval time.Duration // of reports
	timeout  time.Duration // silence after which a client has left
	name     string
	duration time.Duration
	size     int     // bytes
	rate     float64 // bit/s
	flood    bool
	spin     bool
	qos      qos.Spec
	json     bool
	runDir   string
}

// lineError is a mistake that is told in one line, in the prototype's words
// where it has some; the others end in the usage text.
type lineError string

func (e lineError) Error() string { return string(e) }

var errNoServer = errors.New("No server specified.") //lint:ignore ST1005 the prototype's line

func parseOptions(args []string) (options, error) {
	var o options
	var size, rate, cube string
	var sleep bool
	f := pflag.NewFlagSet("ocbr", pflag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.Usage = func() {}
	f.SetNormalizeFunc(normalize)
	f.BoolVarP(&o.listen, "listen", "l", false, "")
	o.interval, o.timeout, o.duration = time.Second, time.Second, time.Minute
	f.VarP(seconds{&o.interval}, "interval", "i", "")
	f.VarP(seconds{&o.timeout}, "timeout", "t", "")
	f.StringVarP(&o.name, "server-apn", "n", "", "")
	f.VarP(seconds{&o.duration}, "duration", "d", "")
	f.StringVarP(&size, "size", "s", "1000", "")
	f.StringVarP(&rate, "rate", "r", "1000000", "")
	f.StringVarP(&cube, "qos", "q", "raw", "")
	f.BoolVarP(&o.flood, "flood", "f", false, "")
	f.BoolVar(&sleep, "sleep", false, "")
	f.BoolVar(&o.spin, "spin", false, "")
	f.BoolVar(&o.json, "json", false, "")
	f.StringVar(&o.runDir, "run-dir", "", "")
	err := f.Parse(args)
	switch {
	case err != nil:
		return o, err
	case f.NArg() > 0:
		return o, fmt.Errorf("unexpected argument %q", f.Arg(0))
	case sleep && o.spin:
		return o, errors.New("either --sleep or --spin")
	case o.listen && f.Changed("qos"):
		return o, errors.New("--qos is for a client: a server takes what is asked for")
	}
	if o.size, err = parseSize(size); err != nil {
		return o, err
	}
	if o.rate, err = parseRate(rate); err != nil {
		return o, err
	}
	if o.qos, err = qos.Parse(cube); err != nil {
		return o, lineError("ocbr: " + err.Error())
	}
	if o.name == "" && !o.listen {
		return o, errNoServer
	}
	return o, nil
}

// normalize makes the prototype's --server_apn and --server-apn one.
func normalize(_ *pflag.FlagSet, name string) pflag.NormalizedName {
	return pflag.NormalizedName(strings.ReplaceAll(name, "_", "-"))
}

// parseSize reads the size of packets. None can be empty: that would be a
// keepalive, which the server does not see.
func parseSize(s string) (int, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	switch {
	case errors.Is(err, strconv.ErrRange):
		return 0, lineError("Size overflow.")
	case err != nil || n < 1:
		return 0, lineError(fmt.Sprintf("ocbr: invalid size %q", s))
	case n > maxSize:
		return 0, lineError(fmt.Sprintf("Maximum size: %d.", maxSize))
	}
	return int(n), nil
}

// parseRate reads a rate, of which the first letter behind the number is the
// unit, and returns it in bit/s.
func parseRate(s string) (float64, error) {
	n := len(s) - len(strings.TrimLeft(s, "0123456789."))
	rate, err := strconv.ParseFloat(s[:n], 64)
	if n < len(s) {
		switch s[n] {
		case 'k':
			rate *= 1e3
		case 'M':
			rate *= 1e6
		case 'G':
			rate *= 1e9
		default:
			rate = 0
		}
	}
	if err != nil || rate <= 0 {
		return 0, lineError("Invalid rate.")
	}
	return rate, nil
}

// seconds is a time on the command line: a number of seconds, above 0.
type seconds struct{ d *time.Duration }

func (s seconds) String() string { return text(*s.d) }
func (s seconds) Type() string   { return "seconds" }

func (s seconds) Set(text string) error {
	n, err := strconv.ParseFloat(text, 64)
	// Sums of times must fit, too.
	if err != nil || !(n > 0) || n > math.MaxInt64/4/float64(time.Second) || time.Duration(n*float64(time.Second)) == 0 {
		return errors.New("not a number of seconds above 0")
	}
	*s.d = time.Duration(n * float64(time.Second))
	return nil
}

// text returns a time as a number of seconds.
func text(d time.Duration) string { return strconv.FormatFloat(d.Seconds(), 'f', -1, 64) }
