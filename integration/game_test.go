// SPDX-License-Identifier: BSD-3-Clause

package integration

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestGuideGame is set-up (d): a game server answers queries and holds a
// client.
func TestGuideGame(t *testing.T) {
	const game = "/usr/games/openarena-server"
	needs(t, game, "quakestat")
	w := newSites(t, 2*time.Minute)
	home := filepath.Join(w.dir, "home")
	if err := os.Mkdir(home, 0o755); err != nil {
		t.Fatal(err)
	}
	// It drops clients from which nothing has come for four seconds.
	server := w.background(1, 0, "env", "HOME="+home, game, "+set", "dedicated", "1", "+set", "net_ip", "127.0.0.1", "+set", "net_port", "27960",
		"+set", "net_enabled", "1", "+set", "sv_pure", "0", "+set", "sv_timeout", "4", "+set", "sv_hostname", "lab", "+map", "oa_dm1")
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("server:\n%s", server.Output())
		}
	})
	w.up(1, w.guide("game-server"))
	w.up(0, w.guide("game-client"))
	if err := server.WaitFor(w.ctx, "AAS initialized."); err != nil {
		t.Fatal(err)
	}
	status := func() string {
		t.Helper()
		return w.ask(0, "quakestat", "-retry", "20", "-P", "-q3s", "quake.o7s:27960")
	}
	if out := status(); !regexp.MustCompile(`\s0/8\s.*\soa_dm1\s.*\slab\n`).MatchString(out) {
		t.Fatalf("quakestat shows of the empty server:\n%s", out)
	}

	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	client := w.background(0, 0, w.named("env", roleEnv+"=quake-client", self, "quake.o7s:27960", "visitor", "10s")...)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("client:\n%s", client.Output())
		}
	})
	if err := client.WaitFor(w.ctx, "connected\n"); err != nil {
		t.Fatal(err)
	}
	one := regexp.MustCompile(`(?s)\s1/8\s.*\soa_dm1\s.*\slab\n.*visitor`)
	if out := status(); !one.MatchString(out) {
		t.Errorf("quakestat shows when the client has connected:\n%s", out)
	}
	if err := client.WaitFor(w.ctx, "stayed for "); err != nil {
		t.Fatal(err)
	}
	if out := status(); !one.MatchString(out) {
		t.Errorf("quakestat shows when the client has stayed:\n%s", out)
	}
	// It was not dropped, though the server drops who is silent.
	const dropped = "visitor^7 timed out"
	if strings.Contains(server.Output(), dropped) {
		t.Error("the client was dropped while it talked")
	}
	if err := client.Stop(w.ctx); err != nil {
		t.Error(err)
	}
	if err := server.WaitFor(w.ctx, dropped); err != nil {
		t.Error(err)
	}
}
