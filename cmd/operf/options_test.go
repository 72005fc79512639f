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
	var notices bytes.Buffer
	o, err := parseOptions(strings.Fields("-n of -t bi -d 1500 -r 2.5G -s 9999999 -f --sleep -q data -Q"), &notices)
	if err != nil {
		t.Fatal(err)
	}
	want := options{
		test: bi, name: "of", duration: 1500 * time.Millisecond, rate: 2.5e9, size: maxSize, flood: true, sleep: true,
		qos: qos.Data, timeout: 5 * time.Second, quiet: true, settle: settleFor,
	}
	if o != want {
		t.Errorf("got %+v\nwant %+v", o, want)
	}
	if got := notices.String(); got != "Packet size truncated to 1048576 bytes.\n" {
		t.Errorf("notices: %q", got)
	}
	notices.Reset()
	o, err = parseOptions([]string{"-n", "of", "-s", "1"}, &notices)
	if err != nil || o.size != minSize || notices.String() != "Packet size set to 64 bytes.\n" {
		t.Errorf("size %d, %v, notices: %q", o.size, err, notices.String())
	}
}

func TestDefaults(t *testing.T) {
	o, err := parseOptions([]string{"-n", "of"}, &bytes.Buffer{})
	want := options{name: "of", duration: time.Minute, rate: 1e6, size: 1500, qos: qos.Raw, timeout: 5 * time.Second, settle: settleFor}
	if err != nil || o != want {
		t.Errorf("%v, got %+v\nwant %+v", err, o, want)
	}
}

func TestParseRate(t *testing.T) {
	for s, want := range map[string]float64{"1000": 1e6, "1k": 1e3, "8M": 8e6, "10G": 1e10, "0.5M": 5e5} {
		if got, err := parseRate(s); err != nil || got != want {
			t.Errorf("%s: %v, %v", s, got, err)
		}
	}
	for _, s := range []string{"", "M", "0", "-1", "1K", "1.2.3", "1Mb", strings.Repeat("9", 400)} {
		if got, err := parseRate(s); err == nil {
			t.Errorf("%q: %v, want an error", s, got)
		}
	}
}

func TestParseTime(t *testing.T) {
	for s, want := range map[string]time.Duration{
		"5": 5 * time.Millisecond, "5ms": 5 * time.Millisecond, "2s": 2 * time.Second, "3m": 3 * time.Minute,
		"1h": time.Hour, "1d": 24 * time.Hour, "0": 0,
	} {
		if got, err := parseTime(s); err != nil || got != want {
			t.Errorf("%s: %v, %v", s, got, err)
		}
	}
	for _, s := range []string{"", "s", "5x", "-1s", "1.5s", "9223372036854775807", "99999999999d"} {
		if got, err := parseTime(s); err == nil {
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
		{"", 1, "No server specified.\n", ""},
		{"-n of -t tri", 1, "Invalid test type.\n", ""},
		{"-n of -r 1x", 1, "Unknown rate unit: x.\n", ""},
		{"-n of -r 0", 1, "operf: invalid rate \"0\"\n", ""},
		{"-n of -d 5x", 1, "Unknown time unit: x.\n", ""},
		{"-n of -d 0", 1, "operf: the duration must be above 0\n", ""},
		{"-l -W 0", 1, "operf: the timeout must be above 0\n", ""},
		{"-n of --nosuch", 0, usage, "operf: unknown flag: --nosuch\n"},
		{"-n of rest", 0, usage, "operf: unexpected argument \"rest\"\n"},
		{"-l -q data", 0, usage, "operf: --qos is for a client: a server takes what is asked for\n"},
	} {
		var out, errs bytes.Buffer
		if got := run(context.Background(), strings.Fields(c.args), &out, &errs); got != c.status || out.String() != c.out || errs.String() != c.errs {
			t.Errorf("operf %s: status %d, output\n%s\nerrors\n%s", c.args, got, out.String(), errs.String())
		}
	}
	var out, errs bytes.Buffer
	if got := run(context.Background(), strings.Fields("-n of -q nosuch"), &out, &errs); got != 1 || !strings.Contains(out.String(), "nosuch") {
		t.Errorf("unknown QoS: status %d, output\n%s", got, out.String())
	}
}

func TestNoDaemon(t *testing.T) {
	for _, mode := range []string{"-n", "-ln"} {
		var out, errs bytes.Buffer
		if got := run(context.Background(), []string{mode, "of", "--run-dir", t.TempDir()}, &out, &errs); got != 1 || errs.Len() == 0 || out.Len() != 0 {
			t.Errorf("%s: status %d, output %q, errors %q", mode, got, out.String(), errs.String())
		}
	}
}
