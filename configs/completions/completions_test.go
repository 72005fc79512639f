// SPDX-License-Identifier: BSD-3-Clause

// Package completions_test tries the completions of bash.
package completions_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// programs are some of those that tools.bash completes: whose help texts differ
// most in form.
var programs = []string{"onc", "ocbr", "obc"}

func TestTools(t *testing.T) {
	if _, err := exec.LookPath("bash"); err != nil {
		t.Skip("no bash on this machine")
	}
	bin := t.TempDir()
	args := []string{"build", "-ldflags=-s -w", "-o", bin}
	for _, p := range append(programs, "o7gw") {
		args = append(args, "o7gw/cmd/"+p)
	}
	if out, err := exec.Command("go", args...).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	// An irm that knows two names, in its table.
	irm := "#!/bin/sh\nprintf '+---+\\n| NAME | X |\\n+---+\\n| web.site | 1 |\\n| mail | 2 |\\n+---+\\n'\n"
	if err := os.WriteFile(filepath.Join(bin, "irm"), []byte(irm), 0o755); err != nil {
		t.Fatal(err)
	}
	complete := func(program, previous, word string) string {
		t.Helper()
		cmd := exec.Command("bash", "-c", `. ./tools.bash && _ouroboros "$1" "$2" "$3" && echo "${COMPREPLY[*]}"`, "bash", program, word, previous)
		cmd.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"))
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Errorf("%s %s %s: %v\n%s", program, previous, word, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	for _, p := range programs {
		if got := complete(p, p, "--he"); got != "--help" {
			t.Errorf("%s --he: %q", p, got)
		}
		if got := complete(p, p, "--run"); got != "--run-dir" {
			t.Errorf("%s --run: %q", p, got)
		}
	}
	for _, c := range []struct{ program, previous, word, want string }{
		{"onc", "onc", "--ra", "--raw-packets"},
		{"onc", "onc", "-k", "-k"},
		{"onc", "-l", "w", "web.site"},
		{"onc", "--qos", "v", "video voice"},
		{"oping", "-n", "", "web.site mail"},
		{"operf", "--server-name", "m", "mail"},
		{"operf", "-t", "", "uni bi"},
		{"ocbr", "ocbr", "--server", "--server_apn"},
		{"obc", "obc", "--l", "--listen"},
		{"irmd", "--log-level", "d", "debug"},
		{"onc", "onc", "--nothing", ""},
		{"oping", "oping", "x", ""},
	} {
		if got := complete(c.program, c.previous, c.word); got != c.want {
			t.Errorf("%s %s %s: %q, want %q", c.program, c.previous, c.word, got, c.want)
		}
	}
	// The gateway's own.
	out, err := exec.Command(filepath.Join(bin, "o7gw"), "__complete", "status", "--wa").Output()
	if err != nil || !strings.HasPrefix(string(out), "--watch\t") {
		t.Errorf("o7gw status --wa: %v, %q", err, out)
	}
	for _, shell := range []string{"bash", "zsh", "fish"} {
		if out, err := exec.Command(filepath.Join(bin, "o7gw"), "completion", shell).Output(); err != nil || len(out) < 1000 {
			t.Errorf("o7gw completion %s: %v, %d bytes", shell, err, len(out))
		}
	}
	for _, file := range []string{"irm.bash", "tools.bash"} {
		if out, err := exec.Command("bash", "-n", file).CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", file, err, out)
		}
	}
}
