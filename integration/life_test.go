// SPDX-License-Identifier: BSD-3-Clause

package integration

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"o7gw/integration/lab"
)

// slow starts a download that takes until it is told to go on, through the
// gateway of host 0, and returns when it has begun.
func (w *sites) slow(url string) *lab.Proc {
	w.t.Helper()
	cmd := w.named("curl", "-sSN", "-m", "60", url)
	p, err := w.hosts[0].Start(exec.Command(cmd[0], cmd[1:]...))
	if err != nil {
		w.t.Fatal(err)
	}
	if err := p.WaitFor(w.ctx, "first"); err != nil {
		w.t.Fatalf("%v\n%s", err, p.Output())
	}
	return p
}

// halting serves a page on host 1 of which the second half comes when the
// file go exists.
func (w *sites) halting() (release func()) {
	w.t.Helper()
	gate := filepath.Join(w.dir, "go")
	w.background(1, 8080, "python3", "-c", `
import http.server, os, sys, time
class H(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers()
        self.wfile.write(b"first\n"); self.wfile.flush()
        while not os.path.exists(sys.argv[1]): time.sleep(0.02)
        self.wfile.write(b"second\n")
http.server.ThreadingHTTPServer(("127.0.0.1", 8080), H).serve_forever()`, gate)
	return func() {
		if err := os.WriteFile(gate, nil, 0o644); err != nil {
			w.t.Fatal(err)
		}
	}
}

// TestReload: SIGHUP applies the file object by object, and cuts nothing that
// stays.
func TestReload(t *testing.T) {
	w := newSites(t, time.Minute)
	serving, using := w.up(1, servingConfig), w.up(0, usingConfig)
	release := w.halting()
	names, forwarded := w.slow("http://web.o7s/"), w.slow("http://127.0.0.1:8088/")

	reload := func(i int, p *lab.Proc, config, until string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(w.dirs[i], "o7gw.toml"), []byte(config), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := p.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		if err := p.WaitFor(w.ctx, until); err != nil {
			t.Fatal(err)
		}
	}
	// At one end a forward goes and another comes, at the other a port is added
	// and the exit goes.
	changed := strings.Replace(usingConfig, "name = \"beyond\"\nlisten = [\"tcp:127.0.0.1:8089\"]\nservice = \"exit\"\nhost = \"localhost\"\nport = 8080",
		"name = \"second\"\nlisten = [\"tcp:127.0.0.1:8090\"]\nservice = \"web\"", 1)
	reload(0, using, changed, "reload: forward second: started")
	if !strings.Contains(using.Output(), "reload: forward beyond: stopped") || !strings.Contains(using.Output(), "reload: intercept names: unchanged") {
		t.Errorf("the log says:\n%s", using.Output())
	}
	more := strings.Replace(servingConfig, `{ "80" = "127.0.0.1:8080" }`, `{ "80" = "127.0.0.1:8080", "81" = "127.0.0.1:8080" }`, 1)
	more = more[:strings.Index(more, "[[exit]]")]
	reload(1, serving, more, "reload: exit exit: stopped")
	// A mistake in the file changes nothing.
	reload(1, serving, "nonsense = 1\n"+more, "not reloaded")
	release()
	for _, p := range []*lab.Proc{names, forwarded} {
		if err := p.Wait(w.ctx); err != nil || !strings.Contains(p.Output(), "second") {
			t.Errorf("a session was cut: %v\n%s", err, p.Output())
		}
	}
	for _, url := range []string{"http://web.o7s:81/", "http://127.0.0.1:8090/"} {
		if out := w.ask(0, "curl", "-sS", "-m", "10", url); !strings.Contains(out, "second") {
			t.Errorf("%s: %s", url, out)
		}
	}
}

// TestDrain: SIGTERM takes no new sessions, and waits for those that run.
func TestDrain(t *testing.T) {
	w := newSites(t, time.Minute)
	serving, using := w.up(1, servingConfig), w.up(0, "grace = \"30s\"\n"+usingConfig)
	release := w.halting()
	running := w.slow("http://web.o7s/")
	if err := using.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	w.eventually("new connections are refused", func() bool {
		_, err := w.hosts[0].Run(w.ctx, "nc", "-z", "127.0.0.1", "8088")
		return err != nil
	})
	release()
	if err := running.Wait(w.ctx); err != nil || !strings.Contains(running.Output(), "second") {
		t.Errorf("the session was cut: %v\n%s", err, running.Output())
	}
	w.within(10*time.Second, using)
	if err := serving.Stop(w.ctx); err != nil {
		t.Error(err)
	}
	for i := range 2 {
		links, err := w.hosts[i].Links()
		if err != nil || strings.Contains(fmt.Sprint(links), "o7") {
			t.Errorf("devices of host %d: %v, %v", i, links, err)
		}
	}
}

// TestUnprivileged: a gateway with an intercept needs CAP_NET_ADMIN and
// nothing else, not even to be root.
func TestUnprivileged(t *testing.T) {
	needs(t, "setpriv")
	w := newSites(t, time.Minute)
	w.up(1, servingConfig)
	w.serveFiles(1, 8080, w.folder(map[string]string{"hello": "hello\n"}))
	run := filepath.Join(w.dir, "nobody")
	config := filepath.Join(w.dir, "using.toml")
	if err := os.Mkdir(run, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(run, 65534, 65534); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(config, []byte(usingConfig), 0o644); err != nil {
		t.Fatal(err)
	}
	// The device as distributions have it, open for all.
	const device = `mount -t tmpfs tmpfs /dev/net && mknod /dev/net/tun c 10 200 && chmod 666 /dev/net/tun && exec "$@"`
	p := w.background(0, 8088, "unshare", "-m", "sh", "-c", device, "sh", "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all,+net_admin", "--ambient-caps=-all,+net_admin",
		"--bounding-set=-all,+net_admin", "env", "HOME="+run, "O7S_RUN_DIR="+run, filepath.Join(bin, "o7gw"), "up", "--config", config)
	if out := w.ask(0, "curl", "-sS", "-m", "10", "http://web.o7s/hello"); out != "hello\n" {
		t.Errorf("%q\n%s", out, p.Output())
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.PID()))
	if err != nil || !strings.Contains(string(status), "CapPrm:\t0000000000001000\n") {
		t.Errorf("privileges after the start: %v\n%s", err, status)
	}
	if err := p.Stop(w.ctx); err != nil {
		t.Errorf("%v\n%s", err, p.Output())
	}
	if links, err := w.hosts[0].Links(); err != nil || strings.Contains(fmt.Sprint(links), "o7") {
		t.Errorf("devices: %v, %v", links, err)
	}
}

// TestFailover: two gateways serve one name; when one is killed, the other
// takes what comes.
func TestFailover(t *testing.T) {
	w := newSites(t, time.Minute)
	c := w.addHost("c")
	if err := w.net.Link(w.hosts[0], w.prefixes(3, 1), c, w.prefixes(3, 2)); err != nil {
		t.Fatal(err)
	}
	serve := func(i int, ip string) *lab.Proc {
		return w.up(i, fmt.Sprintf("[udp4.net]\nbootstrap = \"net\"\nip = %q\n[[expose]]\nname = \"web\"\nservice = \"web\"\ntcp = { \"80\" = \"127.0.0.1:8080\" }\n", ip))
	}
	first := serve(1, "192.0.2.2")
	w.system(2, "ip", "route", "add", "192.0.2.1", "via", addr4(3, 1).String())
	serve(2, addr4(3, 2).String())
	for i := 1; i <= 2; i++ {
		w.serveFiles(i, 8080, w.folder(map[string]string{"hello": "hello\n"}))
	}
	w.up(0, fmt.Sprintf("[udp4.net]\nbootstrap = \"net\"\nip = \"192.0.2.1\"\nhosts = { web = [\"192.0.2.2\", %q] }\n[[forward]]\nname = \"web\"\nlisten = [\"tcp:127.0.0.1:8088\"]\nservice = \"web\"\n", addr4(3, 2)))
	get := func() bool {
		out, err := w.hosts[0].Run(w.ctx, "curl", "-sS", "-m", "10", "http://127.0.0.1:8088/hello")
		return err == nil && out == "hello\n"
	}
	if !get() {
		t.Error("no answer with both")
	}
	first.Kill()
	<-first.Done()
	w.eventually("the other one answers", get)
}
