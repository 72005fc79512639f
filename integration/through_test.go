// SPDX-License-Identifier: BSD-3-Clause

package integration

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"o7gw/integration/lab"
)

// services are what the second machine of these tests serves, and how the
// first one reaches it.
const (
	servingConfig = `[udp4.net]
bootstrap = "net"
ip = "192.0.2.2"

[[expose]]
name = "web"
service = "web"
tcp = { "80" = "127.0.0.1:8080" }

[[expose]]
name = "perf"
service = "perf"
any_tcp = "127.0.0.1"
any_udp = "127.0.0.1"

[[exit]]
name = "exit"
service = "exit"
allow = [{ hosts = ["localhost"], targets = ["127.0.0.1/32"], ports = "8080" }]
`
	usingConfig = `[udp4.net]
bootstrap = "net"
ip = "192.0.2.1"
hosts = { web = "192.0.2.2", perf = "192.0.2.2", exit = "192.0.2.2", silent = "192.0.2.2" }

[names]
check = false

[[intercept]]
name = "names"
device = "o7names"
names = true

[[forward]]
name = "web"
listen = ["tcp:127.0.0.1:8088"]
service = "web"

[[forward]]
name = "beyond"
listen = ["tcp:127.0.0.1:8089"]
service = "exit"
host = "localhost"
port = 8080

[socks]
listen = ["127.0.0.1:1080"]
users = { alice = "secret" }

[http]
listen = ["127.0.0.1:3128"]

[[route]]
exit = "exit"
hosts = ["localhost"]
`
)

// through makes two machines with these gateways and a web server with files.
func through(t *testing.T, limit time.Duration, files map[string]string) (w *sites, using, serving *lab.Proc) {
	t.Helper()
	w = newSites(t, limit)
	serving = w.up(1, servingConfig)
	using = w.up(0, usingConfig)
	w.serveFiles(1, 8080, w.folder(files))
	return w, using, serving
}

// TestCurl: every way in and out.
func TestCurl(t *testing.T) {
	w, _, _ := through(t, time.Minute, map[string]string{"hello": "hello\n"})
	for _, args := range [][]string{
		{"http://web.o7s/hello"},
		{"-6", "-g", "http://web.o7s/hello"},
		{"http://127.0.0.1:8088/hello"},
		{"http://127.0.0.1:8089/hello"},
		{"--socks5-hostname", "alice:secret@127.0.0.1:1080", "http://web.o7s/hello"},
		{"--socks5-hostname", "alice:secret@127.0.0.1:1080", "http://localhost:8080/hello"},
		{"--proxy", "http://127.0.0.1:3128", "http://web.o7s/hello"},
		{"--proxy", "http://127.0.0.1:3128", "--proxytunnel", "http://web.o7s/hello"},
		{"--proxy", "http://127.0.0.1:3128", "http://localhost:8080/hello"},
	} {
		cmd := append([]string{"curl", "-sS", "-m", "10", "--noproxy", ""}, args...)
		if out := w.ask(0, cmd...); out != "hello\n" {
			t.Errorf("curl %v: %q", args, out)
		}
	}
	// Refused within a second: a name nobody serves, a port it has not, a wrong
	// password, a host that no exit reaches.
	for want, args := range map[string][]string{
		"connect to nobody":     {"http://nobody.o7s/"},
		"connect to web":        {"http://web.o7s:81/"},
		"authentication":        {"--socks5-hostname", "alice:wrong@127.0.0.1:1080", "http://web.o7s/"},
		"complete SOCKS5":       {"--socks5-hostname", "alice:secret@127.0.0.1:1080", "http://nobody.o7s/"},
		"CONNECT tunnel failed": {"--proxy", "http://127.0.0.1:3128", "--proxytunnel", "http://nobody.o7s/"},
	} {
		begin := time.Now()
		cmd := append([]string{"curl", "-sS", "-m", "5", "--noproxy", ""}, args...)
		out := w.fails(0, 10*time.Second, cmd...)
		if took := time.Since(begin); took > 4*time.Second {
			t.Errorf("curl %v took %v", args, took)
		}
		if !strings.Contains(strings.ToLower(out), strings.ToLower(want)) && !strings.Contains(out, "curl: (97)") {
			t.Errorf("curl %v: %s, want %q", args, out, want)
		}
	}
}

// TestScan: of a served name only those ports are open that somebody serves,
// and pings are answered for it, not for others.
func TestScan(t *testing.T) {
	w, _, _ := through(t, time.Minute, nil)
	w.ask(0, "ping", "-c", "1", "-W", "5", "web.o7s")
	open := 0
	for port := 75; port <= 85; port++ {
		cmd := w.named("nc", "-z", "-w", "5", "web.o7s", fmt.Sprint(port))
		if _, err := w.hosts[0].Run(w.ctx, cmd[0], cmd[1:]...); err == nil {
			open++
			if port != 80 {
				t.Errorf("port %d is open", port)
			}
		}
	}
	if open != 1 {
		t.Errorf("%d ports are open", open)
	}
	w.fails(0, 10*time.Second, "ping", "-c", "1", "-W", "1", "198.19.255.1")
}

// TestNetcat: half-close in both directions, with nc at one end and a program
// that answers, or asks, only after the other's end.
func TestNetcat(t *testing.T) {
	w, _, _ := through(t, time.Minute, nil)
	listening := func(port string) {
		w.eventually("port "+port+" is open", func() bool {
			out, _ := w.hosts[1].Run(w.ctx, "ss", "-Hltn", "sport = "+port)
			return out != ""
		})
	}
	data := filepath.Join(w.dir, "data")
	w.system(0, "sh", "-c", "head -c 5M /dev/urandom > "+data)
	want := w.system(0, "sha256sum", data)[:64]
	w.background(1, 0, "python3", "-c", `
import socket, hashlib
l = socket.create_server(("127.0.0.1", 7000))
c, _ = l.accept()
h = hashlib.sha256()
while d := c.recv(65536): h.update(d)
c.sendall(h.hexdigest().encode())
c.close()`)
	listening("7000")
	if out := w.ask(0, "sh", "-c", "nc -N perf.o7s 7000 < "+data); out != want {
		t.Errorf("got %s, want %s", out, want)
	}
	got := filepath.Join(w.dir, "got")
	server := w.background(1, 0, "sh", "-c", "echo go | nc -l -N 127.0.0.1 7001 > "+got)
	listening("7001")
	w.ask(0, "python3", "-c", `
import socket, sys
c = socket.create_connection(("perf.o7s", 7001))
while c.recv(100): pass
c.sendall(open(sys.argv[1], "rb").read())
c.close()`, data)
	if err := server.Wait(w.ctx); err != nil {
		t.Fatal(err)
	}
	w.system(1, "cmp", data, got)
}

// TestGit clones over HTTP.
func TestGit(t *testing.T) {
	needs(t, "git")
	w, _, _ := through(t, time.Minute, nil)
	repo := filepath.Join(w.dir, "www-git")
	git := "git -c user.name=t -c user.email=t@t -c init.defaultBranch=main "
	w.system(1, "sh", "-c", "mkdir "+repo+" && cd "+repo+" && "+git+"init -q && head -c 3M /dev/urandom > blob && "+git+"add . && "+git+"commit -qm one && "+git+"update-server-info")
	w.background(1, 8081, "python3", "-m", "http.server", "-b", "127.0.0.1", "-d", repo+"/.git", "8081")
	w.ask(0, "git", "clone", "-q", "http://perf.o7s:8081/", w.dir+"/clone")
	w.system(0, "cmp", repo+"/blob", w.dir+"/clone/blob")
}

// TestIperf: TCP in both directions, and UDP.
func TestIperf(t *testing.T) {
	needs(t, "iperf3")
	w, _, _ := through(t, time.Minute, nil)
	w.background(1, 0, "iperf3", "-s", "-B", "127.0.0.1")
	w.eventually("iperf3 listens", func() bool {
		out, _ := w.hosts[1].Run(w.ctx, "ss", "-Hltn", "sport = 5201")
		return out != ""
	})
	for _, args := range [][]string{{"-t", "1"}, {"-t", "1", "-R"}, {"-t", "1", "-u", "-b", "20M", "-l", "1200"}, {"-t", "1", "-u", "-b", "20M", "-l", "8000"}} {
		out := w.ask(0, append([]string{"iperf3", "-c", "perf.o7s"}, args...)...)
		m := regexp.MustCompile(`(?m)([\d.]+) ([KMG])bits/sec.*receiver`).FindStringSubmatch(out)
		if m == nil || m[1] == "0.00" {
			t.Errorf("iperf3 %v:\n%s", args, out)
		}
	}
}

// gigabyte is how much TestGigabyte moves, bytes.
const gigabyte = 1 << 30

// TestGigabyte: a GB arrives as it was sent, also with 2 % loss on the wire.
func TestGigabyte(t *testing.T) {
	w, _, _ := through(t, 3*time.Minute, nil)
	big := filepath.Join(w.dir, "big")
	f, err := os.Create(big)
	if err != nil {
		t.Fatal(err)
	}
	h := sha256.New()
	if _, err := io.CopyN(io.MultiWriter(f, h), newNoise(), gigabyte); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	want := hex.EncodeToString(h.Sum(nil))
	w.background(1, 8082, "python3", "-m", "http.server", "-b", "127.0.0.1", "-d", w.dir, "8082")
	fetch := func() string { return w.ask(0, "sh", "-c", "curl -sS http://perf.o7s:8082/big | sha256sum")[:64] }
	if got := fetch(); got != want {
		t.Errorf("without loss: %s, want %s", got, want)
	}
	needs(t, "nft")
	rules := filepath.Join(w.dir, "loss.nft")
	if err := os.WriteFile(rules, []byte("table inet loss {\n chain in {\n  type filter hook input priority 0;\n  udp dport 3435 numgen random mod 100 < 2 drop\n }\n}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for i := range 2 {
		w.system(i, "nft", "-f", rules)
	}
	if got := fetch(); got != want {
		t.Errorf("with 2 %% loss: %s, want %s", got, want)
	}
}
