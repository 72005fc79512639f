// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"o7gw/o7s/qos"
)

func TestParseOptions(t *testing.T) {
	for _, c := range []struct {
		args string
		want options
	}{
		{"-n cb", options{name: "cb", interval: time.Second, timeout: time.Second, duration: time.Minute, size: 1000, rate: 1e6, qos: qos.Raw}},
		{"--server_apn cb -d 0.5 -s 524288 -r 8Mb -q voice -f --spin --json", options{
			name: "cb", interval: time.Second, timeout: time.Second, duration: time.Second / 2, size: maxSize, rate: 8e6, qos: qos.Voice,
			flood: true, spin: true, json: true,
		}},
		{"-l -i 2 --timeout 10", options{
			listen: true, interval: 2 * time.Second, timeout: 10 * time.Second, duration: time.Minute, size: 1000, rate: 1e6, qos: qos.Raw,
		}},
	} {
		got, err := parseOptions(strings.Fields(c.args))
		if err != nil || got != c.want {
			t.Errorf("%s: %v, got %+v\nwant %+v", c.args, err, got, c.want)
		}
	}
}

func TestParseRate(t *testing.T) {
	for s, want := range map[string]float64{"1000": 1e3, "1k": 1e3, "8M": 8e6, "10Gb/s": 1e10, "0.5M": 5e5} {
		if got, err := parseRate(s); err != nil || got != want {
			t.Errorf("%s: %v, %v", s, got, err)
		}
	}
	for _, s := range []string{"", "M", "0", "-1", "1K", "1.2.3", strings.Repeat("9", 400)} {
		if got, err := parseRate(s); err == nil || err.Error() != "Invalid rate." {
			t.Errorf("%q: %v, %v", s, got, err)
		}
	}
}

func TestSeconds(t *testing.T) {
	for s, want := range map[string]time.Duration{"1": time.Second, "0.25": 250 * time.Millisecond, "86400": 24 * time.Hour} {
		var got time.Duration
		if err := (seconds{&got}).Set(s); err != nil || got != want || text(got) != s {
			t.Errorf("%s: %v, %v", s, got, err)
		}
	}
	for _, s := range []string{"", "0", "-1", "1s", "NaN", "Inf", "1e-12", "1e300"} {
		var got time.Duration
		if err := (seconds{&got}).Set(s); err == nil {
			t.Errorf("%q: %v, want an error", s, got)
		}
	}
}

// The texts and the status of the prototype for command lines that need no
// daemon (console.md), and those of what was added.
func TestCommandLine(t *testing.T) {
	for _, c := range []struct {
		args   string
		status int
		out    string
		errs   string
	}{
		{"--help", 0, usage, ""},
		{"", 1, "No server specified.\n" + usage, ""},
		{"-n cb -s 524289", 1, "Maximum size: 524288.\n", ""},
		{"-n cb -s 99999999999999999999", 1, "Size overflow.\n", ""},
		{"-n cb -s 0", 1, "ocbr: invalid size \"0\"\n", ""},
		{"-n cb -r 0", 1, "Invalid rate.\n", ""},
		{"-n cb --nosuch", 0, usage, "ocbr: unknown flag: --nosuch\n"},
		{"-n cb rest", 0, usage, "ocbr: unexpected argument \"rest\"\n"},
		{"-n cb --spin --sleep", 0, usage, "ocbr: either --sleep or --spin\n"},
		{"-l -q data", 0, usage, "ocbr: --qos is for a client: a server takes what is asked for\n"},
	} {
		var out, errs bytes.Buffer
		if got := run(context.Background(), strings.Fields(c.args), &out, &errs); got != c.status || out.String() != c.out || errs.String() != c.errs {
			t.Errorf("ocbr %s: status %d, output\n%s\nerrors\n%s", c.args, got, out.String(), errs.String())
		}
	}
	for _, args := range []string{"-n cb -q nosuch", "-n cb -d 0"} {
		var out, errs bytes.Buffer
		if got := run(context.Background(), strings.Fields(args), &out, &errs); got > 1 || !strings.Contains(out.String()+errs.String(), "ocbr: ") {
			t.Errorf("ocbr %s: status %d, output\n%s\nerrors\n%s", args, got, out.String(), errs.String())
		}
	}
}

func TestNoDaemon(t *testing.T) {
	for _, mode := range []string{"-n", "-ln"} {
		var out, errs bytes.Buffer
		if got := run(context.Background(), []string{mode, "cb", "--run-dir", t.TempDir()}, &out, &errs); got != 1 || errs.Len() == 0 || out.Len() != 0 {
			t.Errorf("%s: status %d, output %q, errors %q", mode, got, out.String(), errs.String())
		}
	}
}
