// SPDX-License-Identifier: BSD-3-Clause

package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"o7gw/o7s/irm"
	"o7gw/o7s/oap/cipher"
	"o7gw/o7s/qos"
)

// result is what a run left.
type result struct {
	out, err string
	code     int
}

func (r result) String() string {
	s := r.out
	if r.err != "" {
		s += "[stderr]\n" + r.err
	}
	return fmt.Sprintf("%s[exit %d]\n", s, r.code)
}

// irmOn runs a command on a daemon, nil for none.
func irmOn(f *fake, args ...string) result {
	var out, errs strings.Builder
	code := Run(context.Background(), args, Env{Stdout: &out, Stderr: &errs, Dial: func(context.Context, string) (Client, error) {
		if f == nil {
			return nil, errors.New("nobody listens")
		}
		return f, nil
	}})
	return result{out.String(), errs.String(), code}
}

// block is a command and its whole output in a console file.
var block = regexp.MustCompile(`(?sm)^\$ irm ?([^\n]*)\n(.*?^\[exit \d+\]\n)`)

// replay runs the commands of a file in testdata, which has the recordings of
// the prototype: word for word but where a remark (#) in front says why not.
func replay(t *testing.T, file string, f *fake) {
	data, err := os.ReadFile("testdata/" + file)
	if err != nil {
		t.Fatal(err)
	}
	// A program to bind: in a path that the files call $DIR, and in PATH.
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err == nil {
		err = os.WriteFile(dir+"/oping", nil, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir)
	text := strings.ReplaceAll(string(data), "$DIR", dir)
	blocks := block.FindAllStringSubmatch(text, -1)
	if n := strings.Count(text, "\n$ "); len(blocks) < n {
		t.Fatalf("%d blocks for %d commands", len(blocks), n)
	}
	for _, b := range blocks {
		if got := irmOn(f, strings.Fields(b[1])...).String(); got != b[2] {
			t.Errorf("irm %s:\n--- got\n%s--- want\n%s", b[1], got, b[2])
		}
	}
}

func TestConsoleUsage(t *testing.T) { replay(t, "usage.txt", &fake{}) }

func TestConsoleSession(t *testing.T) {
	replay(t, "session.txt", &fake{ids: []int{786, 812, 833, 918}, fail: "enroll"})
}

func TestConsoleNoDaemon(t *testing.T) { replay(t, "nodaemon.txt", nil) }

func TestConsoleAdditions(t *testing.T) {
	replay(t, "additions.txt", &fake{
		ids:   []int{5},
		procs: []irm.ProcessInfo{{PID: 77, Program: "/usr/bin/oping", UID: 7, Names: []string{"op", "ping"}, Accepts: 2, Flows: 1}},
		flows: []irm.FlowInfo{
			{ID: 1, Name: "op", PID: 77, Server: true, Direct: true, Peer: 2, State: irm.Allocated, QoS: qos.Raw, MTU: 65536, PeerName: "alice"},
			{ID: 3, Name: "far", PID: 78, IPCP: 5, QoS: qos.Data, MTU: 1400},
			{ID: 4, Name: "core", PID: 42, User: 6, IPCP: 5, State: irm.Allocated, QoS: qos.Raw, MTU: 1400, Cipher: cipher.ChaCha20Poly1305, PeerName: "core"},
		},
	})
}

// TestUsageTexts: each command has one, and --help prints it and our
// additions.
func TestUsageTexts(t *testing.T) {
	for _, o := range objects {
		commands := []string{o.name}
		for _, op := range o.ops {
			commands = append(commands, o.name+" "+op.name)
		}
		for _, c := range commands {
			if c == "help" || strings.HasSuffix(c, " help") {
				continue
			}
			if !strings.HasPrefix(usage(c), "Usage: irm "+c) {
				t.Errorf("usage of %s: %q", c, usage(c))
			}
			r := irmOn(nil, append(strings.Fields(c), "--help")...)
			if r.code != 0 || r.err != "" || r.out != help(c) {
				t.Errorf("irm %s --help: %v", c, r)
			}
		}
	}
	if !strings.Contains(irmOn(nil, "ipcp", "bootstrap", "--help").out, "host <service>=<address>") {
		t.Error("our own keywords are not in the help text")
	}
}
