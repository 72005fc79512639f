// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"o7gw/gateway"
	"o7gw/gateway/config"
	"o7gw/gateway/report"
)

// gatewayWithSocks runs a gateway that needs no privileges, and returns its run
// directory.
func gatewayWithSocks(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	path := filepath.Join(dir, "o7gw.toml")
	toml := fmt.Sprintf("run_dir = %q\n[socks]\nlisten = [%q]\n", dir, l.Addr())
	if err := os.WriteFile(path, []byte(toml), 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := config.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	g := gateway.New(file, slog.New(slog.DiscardHandler))
	t.Cleanup(func() { g.Close() })
	if err := g.Start(context.Background()); err != nil {
		t.Fatal(err)
	}
	s, err := g.ServeStatus()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return dir
}

// seen is an output that ends a context when it has some text n times.
type seen struct {
	mu   sync.Mutex
	b    bytes.Buffer
	text string
	n    int
	end  func()
}

func (s *seen) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.b.Write(b)
	if strings.Count(s.b.String(), s.text) >= s.n {
		s.end()
	}
	return len(b), nil
}

func TestStatus(t *testing.T) {
	dir := gatewayWithSocks(t)
	for _, c := range []struct {
		args []string
		code int
		out  string
	}{
		{[]string{"--interval", "10ms"}, 0, "socks   up     tcp:127.0.0.1:"},
		{[]string{"--interval", "10ms"}, 0, "Receives 0 bit/s, sends 0 bit/s, 0.0 new sessions/s."},
		{[]string{"--json", "--interval", "10ms"}, 0, `"rate": {`},
		{[]string{"--interval", "1ms"}, exitUsage, "10ms or more"},
		{[]string{"--interval", "-1s"}, exitUsage, "10ms or more"},
		{[]string{"--watch", "--json"}, exitUsage, "one of both"},
	} {
		var b bytes.Buffer
		if code := run(append([]string{"status", "--run-dir", dir}, c.args...), &b, &b); code != c.code || !strings.Contains(b.String(), c.out) {
			t.Errorf("%q: exit %d, want %d, and %q\n%s", c.args, code, c.code, c.out, &b)
		}
	}
	var b bytes.Buffer
	var r report.Report
	if code := run([]string{"status", "--json", "--run-dir", dir}, &b, &b); code != 0 {
		t.Fatalf("exit %d: %s", code, &b)
	}
	if err := json.Unmarshal(b.Bytes(), &r); err != nil || r.PID != os.Getpid() || len(r.Objects) != 1 || r.Objects[0].Kind != "socks" || r.Totals.Rate != nil {
		t.Errorf("%v: %+v", err, r)
	}

	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	out := &seen{text: "\nGateway ", n: 3, end: cancel}
	cmd := root()
	cmd.SetArgs([]string{"status", "--watch", "--interval", "10ms", "--run-dir", dir})
	cmd.SetOut(out)
	if err := cmd.ExecuteContext(ctx); err != nil || strings.Contains(out.b.String(), "\x1b") {
		t.Errorf("%v: %q", err, out.b.String())
	}
}
