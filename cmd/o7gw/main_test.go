// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"bytes"
	"encoding/json"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"o7gw/gateway"
	"o7gw/gateway/tunnel"
)

func TestExitCodes(t *testing.T) {
	dir := t.TempDir()
	right, wrong := filepath.Join(dir, "right.toml"), filepath.Join(dir, "wrong.toml")
	var sample bytes.Buffer
	if code := run([]string{"genconf"}, &sample, &sample); code != 0 {
		t.Fatalf("genconf: exit %d", code)
	}
	if err := os.WriteFile(right, sample.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(wrong, append(sample.Bytes(), "bad = 1\n"...), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		code int
		out  string // in standard output or error
	}{
		{[]string{"--help"}, 0, "Usage:"},
		{[]string{}, exitUsage, "which command?"},
		{[]string{"upp"}, exitUsage, `unknown command "upp"`},
		{[]string{"up", "now"}, exitUsage, `unexpected argument "now"`},
		{[]string{"up", "--fast"}, exitUsage, "unknown flag"},
		{[]string{"up", "--log-level", "loud"}, exitUsage, "loud"},
		{[]string{"up", "--config", wrong}, exitFailure, "unknown key"},
		{[]string{"check", right}, 0, "is right: 1 tunnels, 1 IPCPs."},
		{[]string{"check", wrong}, exitFailure, "wrong.toml:"},
		{[]string{"status", "--run-dir", dir}, exitFailure, "no gateway answers"},
		{[]string{"doctor", "--config", wrong, "--json"}, exitFailure, `"mend"`},
	} {
		var b bytes.Buffer
		if code := run(c.args, &b, &b); code != c.code || !strings.Contains(b.String(), c.out) {
			t.Errorf("%q: exit %d, want %d, and %q\n%s", c.args, code, c.code, c.out, &b)
		}
	}
}

func TestPrintStatus(t *testing.T) {
	s := gateway.Status{
		PID: 7, Config: "x.toml", Started: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		Tunnels: []tunnel.Status{{
			Name: "a", Role: "client", Service: "vpn", Device: "tun0", MTU: 1468, Mode: "o7gw",
			Addresses: []netip.Prefix{netip.MustParsePrefix("10.0.0.1/24")},
			Peers:     []tunnel.PeerStatus{{Flow: 1, Exchanged: true, MTU: 1468, Since: time.Minute, RxBytes: 12_345_678, TxBytes: 999, BadSource: 3, Prefixes: []netip.Prefix{netip.MustParsePrefix("10.0.0.2/32")}}},
		}, {Name: "b", Role: "server", Service: "x", LastError: "no such name", Failures: 4}},
	}
	var b bytes.Buffer
	printStatus(&b, &s)
	want := `Gateway 7, x.toml, embedded node, since 2026-01-02 03:04:05.

Tunnel a: client of vpn on tun0 (10.0.0.1/24), MTU 1468, mode o7gw
  FLOW  STATE  SINCE  MTU   RECEIVED  SENT   DROPPED  PREFIXES
  1     up     1m0s   1468  12.3 MB   999 B  3        10.0.0.2/32

Tunnel b: server of x on  (), MTU 0, mode 
  not connected, 4 attempts: no such name
  no peer
`
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", &b, want)
	}
	if _, err := json.Marshal(s); err != nil {
		t.Error(err)
	}
}
