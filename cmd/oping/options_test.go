// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"bytes"
	"context"
	"math"
	"strings"
	"testing"
	"time"

	"o7gw/o7s/qos"
)

func TestParseOptions(t *testing.T) {
	var notices bytes.Buffer
	o, err := parseOptions([]string{"-n", "op", "-c3", "-i", "100ms", "-s", "5000", "-q", "foo", "-QD", "--flood-busy"}, &notices)
	if err != nil {
		t.Fatal(err)
	}
	want := options{
		name: "op", count: 3, interval: 100 * time.Millisecond, size: 1500, qos: qos.Raw,
		flood: true, spin: true, quiet: true, timeOfDay: true, timeout: time.Second,
	}
	if o != want {
		t.Errorf("got %+v\nwant %+v", o, want)
	}
	if got := notices.String(); got != "Packet size truncated to 1500 bytes.\nUnknown QoS cube, defaulting to raw.\n" {
		t.Errorf("notices: %q", got)
	}
}

func TestDurationLimitsCount(t *testing.T) {
	for _, c := range []struct {
		args  string
		count int
	}{
		{"-n x", math.MaxInt32},
		{"-n x -d 1s -i 250ms", 4},
		{"-n x -d 1s -i 250ms -c 2", 2},
		{"-n x -d 3s -f", math.MaxInt32}, // the clock ends it, not a count
		{"-n x -i 0 -c 7", 7},
	} {
		o, err := parseOptions(strings.Fields(c.args), &bytes.Buffer{})
		if err != nil || o.count != c.count {
			t.Errorf("%s: count %d, %v; want %d", c.args, o.count, err, c.count)
		}
	}
}

func TestParseTime(t *testing.T) {
	for s, want := range map[string]time.Duration{
		"5": 5 * time.Millisecond, "5ms": 5 * time.Millisecond, "2s": 2 * time.Second,
		"3m": 3 * time.Minute, "1h": time.Hour, "1d": 24 * time.Hour, "0": 0,
	} {
		if got, err := parseTime(s); err != nil || got != want {
			t.Errorf("parseTime(%q) = %v, %v", s, got, err)
		}
	}
	for _, s := range []string{"", "s", "5x", "-1s", "1.5s", "99999999999999999999", "9223372036854775807d"} {
		if got, err := parseTime(s); err == nil {
			t.Errorf("parseTime(%q) = %v, want an error", s, got)
		}
	}
}

// The texts and the status of the prototype for command lines that need no
// daemon (console.md).
func TestCommandLineErrors(t *testing.T) {
	for _, c := range []struct {
		args   string
		status int
		out    string
	}{
		{"--help", 0, usage},
		{"", 1, "No server specified.\n" + usage},
		{"-n op -i 5x", 1, "Unknown time unit: x.\n"},
		{"-n op --nosuch", 1, "oping: unknown flag: --nosuch\n" + usage},
		{"-n op -c", 1, "oping: flag needs an argument: 'c' in -c\n" + usage},
		{"-n op -c 0", 1, "oping: cannot send 0 packets\n" + usage},
		{"-n op -d 10ms", 1, "Duration is shorter than the interval.\n"},
		{"-n op --poll", 1, "oping: --poll and --busy go with -l only\n" + usage},
		{"-l --json", 1, "oping: --json goes with a client only\n" + usage},
		{"-n op rest", 1, "oping: unexpected argument \"rest\"\n" + usage},
	} {
		var out, errs bytes.Buffer
		if got := run(context.Background(), strings.Fields(c.args), &out, &errs); got != c.status || out.String() != c.out {
			t.Errorf("oping %s: status %d, output\n%s", c.args, got, out.String())
		}
	}
}

func TestNoDaemon(t *testing.T) {
	var out, errs bytes.Buffer
	if got := run(context.Background(), []string{"-n", "op", "--run-dir", t.TempDir()}, &out, &errs); got != 1 || errs.Len() == 0 || out.Len() != 0 {
		t.Errorf("status %d, output %q, errors %q", got, out.String(), errs.String())
	}
}
