// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
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
		{[]string{"check", right}, 0, "is right: 1 objects, 1 IPCPs."},
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
