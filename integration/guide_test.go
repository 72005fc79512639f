// SPDX-License-Identifier: BSD-3-Clause

package integration

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"o7gw/integration/lab"
)

// sites is a world of machines on one network, as the user guide has them:
// 192.0.2.1, 192.0.2.2.
type sites struct {
	*world
	resolv string // a resolv.conf that names the gateway
}

// newSites makes two machines.
func newSites(t *testing.T, limit time.Duration) *sites {
	t.Helper()
	w := &sites{world: newWorld(t, limit, 0)}
	for _, name := range []string{"a", "b"} {
		w.addHost(name)
	}
	at := func(last byte) []netip.Prefix {
		return []netip.Prefix{netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 0, 2, last}), 24)}
	}
	if err := w.net.Link(w.hosts[0], at(1), w.hosts[1], at(2)); err != nil {
		t.Fatal(err)
	}
	w.resolv = filepath.Join(w.dir, "resolv.conf")
	if err := os.WriteFile(w.resolv, []byte("nameserver 198.18.0.1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *sites) addHost(name string) *lab.Host {
	w.t.Helper()
	h, err := w.net.Host(name)
	if err != nil {
		w.t.Fatal(err)
	}
	w.hosts = append(w.hosts, h)
	w.dirs = append(w.dirs, filepath.Join(w.dir, name))
	return h
}

// up starts the gateway of host i with a configuration.
func (w *sites) up(i int, config string) *lab.Proc {
	w.t.Helper()
	p, err := w.hosts[i].StartGateway(w.ctx, filepath.Join(bin, "o7gw"), w.dirs[i], config)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		if w.t.Failed() {
			w.t.Logf("gateway %s:\n%s", w.hosts[i].Name, lastLines(p.Output(), 40))
		}
	})
	return p
}

// lastLines returns the last n lines of a text, so that a long log does not hide
// the error before it.
func lastLines(text string, n int) string {
	lines := strings.Split(text, "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// guide returns a configuration of the user guide.
func (w *sites) guide(name string) string {
	w.t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "configs", "guide", name+".toml"))
	if err != nil {
		w.t.Fatal(err)
	}
	return string(data)
}

// named makes a command that asks the gateway for names.
func (w *sites) named(args ...string) []string {
	return append([]string{"unshare", "-m", "sh", "-c", `mount --bind "$0" /etc/resolv.conf && exec "$@"`, w.resolv}, args...)
}

// ask runs a program that asks the gateway for names on host i; it must
// succeed.
func (w *sites) ask(i int, args ...string) string {
	w.t.Helper()
	cmd := w.named(args...)
	return w.system(i, cmd[0], cmd[1:]...)
}

// fails runs a program that must not succeed, within the limit.
func (w *sites) fails(i int, limit time.Duration, args ...string) string {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.ctx, limit)
	defer cancel()
	cmd := w.named(args...)
	out, err := w.hosts[i].Run(ctx, cmd[0], cmd[1:]...)
	if err == nil || ctx.Err() != nil {
		w.t.Fatalf("%s: %v (%v)\n%s", strings.Join(args, " "), err, ctx.Err(), out)
	}
	return out
}

// background starts a program of the system on host i and waits until a TCP
// port of it is open, or none if that is 0.
func (w *sites) background(i int, port int, args ...string) *lab.Proc {
	w.t.Helper()
	p, err := w.hosts[i].Start(exec.Command(args[0], args[1:]...))
	if err != nil {
		w.t.Fatal(err)
	}
	if port != 0 {
		w.eventually(fmt.Sprintf("%s listens on %d", args[0], port), func() bool {
			_, err := w.hosts[i].Run(w.ctx, "nc", "-z", "127.0.0.1", fmt.Sprint(port))
			return err == nil
		})
	}
	return p
}

// page writes a web page for host i and serves its folder with Python's
// server.
func (w *sites) serveFiles(i, port int, dir string) {
	w.t.Helper()
	needs(w.t, "python3")
	w.background(i, port, "python3", "-m", "http.server", "-b", "127.0.0.1", "-d", dir, fmt.Sprint(port))
}

// folder makes a folder with files.
func (w *sites) folder(files map[string]string) string {
	w.t.Helper()
	dir, err := os.MkdirTemp(w.dir, "www")
	if err != nil {
		w.t.Fatal(err)
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			w.t.Fatal(err)
		}
	}
	return dir
}

// TestGuideTunnel is set-up (a): machines behind two sites reach each other.
func TestGuideTunnel(t *testing.T) {
	w := newSites(t, time.Minute)
	for i, last := range []byte{1, 2} {
		w.system(i, "ip", "addr", "add", fmt.Sprintf("192.168.%d.1/32", last), "dev", "lo")
	}
	w.up(1, w.guide("tunnel-b"))
	w.up(0, w.guide("tunnel-a"))
	w.eventually("route to site B", func() bool {
		out, _ := w.hosts[0].Run(w.ctx, "ip", "route", "show", "192.168.2.0/24")
		return strings.Contains(out, "o7vpn")
	})
	w.system(0, "ping", "-c", "3", "-i", "0.1", "-W", "5", "-I", "192.168.1.1", "192.168.2.1")
}

// TestGuideBrowse is set-up (b): a web service by name, in curl and a browser.
func TestGuideBrowse(t *testing.T) {
	w := newSites(t, 2*time.Minute)
	w.up(0, w.guide("browse-client"))
	w.up(1, w.guide("browse-server"))
	// Nothing serves the name before the web server runs.
	w.fails(0, 5*time.Second, "curl", "-sS", "-m", "4", "http://web.o7s/")

	w.serveFiles(1, 8080, w.folder(site(100)))
	w.eventually("the health check finds the server", func() bool {
		cmd := w.named("curl", "-sf", "http://web.o7s/index.html")
		out, err := w.hosts[0].Run(w.ctx, cmd[0], cmd[1:]...)
		return err == nil && strings.Contains(out, "<title>")
	})
	needs(t, "chromium", "dig")
	if out := w.system(0, "dig", "@198.18.0.1", "+short", "web.o7s", "A"); !strings.HasPrefix(out, "198.1") {
		t.Errorf("dig: %s", out)
	}
	w.browse(0, "http://web.o7s/index.html", "100 of 100")
}

// site is a page with n resources that counts what has arrived.
func site(n int) map[string]string {
	files := map[string]string{}
	var b strings.Builder
	fmt.Fprintf(&b, "<!doctype html><title>0 of %d</title><script>var n=0;function ok(){document.title=(++n)+' of %d'}</script>\n", n, n)
	for i := range n {
		name := fmt.Sprintf("r%d.js", i)
		files[name] = "ok();\n" + strings.Repeat("// filling\n", 100*(i%10))
		fmt.Fprintf(&b, "<script src=%s></script>\n", name)
	}
	files["index.html"] = b.String()
	return files
}

// browse loads a page in chromium on host i and wants its title.
func (w *sites) browse(i int, url, title string) {
	w.t.Helper()
	profile := filepath.Join(w.dir, "chromium")
	out := w.ask(i, "chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking",
		"--user-data-dir="+profile, "--virtual-time-budget=30000", "--timeout=30000", "--dump-dom", url)
	if !strings.Contains(out, "<title>"+title+"</title>") {
		w.t.Errorf("chromium shows of %s:\n%.2000s", url, out)
	}
}

// TestGuideSocks is set-up (c): ssh through SOCKS, by a gateway without root.
func TestGuideSocks(t *testing.T) {
	needs(t, "ssh", "ssh-keygen", "sshd", "setpriv")
	w := newSites(t, time.Minute)
	w.up(1, w.guide("socks-server"))
	run := filepath.Join(w.dir, "nobody")
	if err := os.Mkdir(run, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(run, 65534, 65534); err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(w.dir, "socks.toml")
	if err := os.WriteFile(config, []byte(w.guide("socks-client")), 0o644); err != nil {
		t.Fatal(err)
	}
	p := w.background(0, 1080, "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all", "--bounding-set=-all",
		"env", "HOME="+run, "O7S_RUN_DIR="+run, filepath.Join(bin, "o7gw"), "up", "--config", config)
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(p.Output())
		}
	})
	key := w.sshServer(1, 22)
	ssh := func(args ...string) []string {
		return append([]string{args[0], "-F", "/dev/null", "-i", key, "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "BatchMode=yes",
			"-o", "ProxyCommand=nc -X 5 -x 127.0.0.1:1080 %h %p"}, args[1:]...)
	}
	cmd := ssh("ssh", "root@shell.o7s", "echo through; hostname >/dev/null")
	if out := w.system(0, cmd[0], cmd[1:]...); !strings.Contains(out, "through") {
		t.Errorf("ssh: %s", out)
	}
	// The HTTP proxy leads there, too.
	cmd = ssh("ssh", "-o", "ProxyCommand=nc -X connect -x 127.0.0.1:3128 %h %p", "root@shell.o7s", "echo again")
	if out := w.system(0, cmd[0], cmd[1:]...); !strings.Contains(out, "again") {
		t.Errorf("ssh over the HTTP proxy: %s", out)
	}
	big := filepath.Join(w.dir, "big")
	w.system(0, "sh", "-c", "head -c 30M /dev/urandom > "+big)
	cmd = ssh("scp", "-q", big, "root@shell.o7s:"+big+".copy")
	w.system(0, cmd[0], cmd[1:]...)
	w.system(0, "cmp", big, big+".copy")
}

// sshServer starts OpenSSH's server on host i and returns a key that it takes.
func (w *sites) sshServer(i, port int) (key string) {
	w.t.Helper()
	dir, err := os.MkdirTemp(w.dir, "ssh")
	if err != nil {
		w.t.Fatal(err)
	}
	key = filepath.Join(dir, "key")
	host := filepath.Join(dir, "host")
	for _, k := range []string{key, host} {
		w.system(i, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", k)
	}
	config := fmt.Sprintf("Port %d\nListenAddress 127.0.0.1\nHostKey %s\nAuthorizedKeysFile %s.pub\nStrictModes no\nPidFile none\nUsePAM no\nPermitRootLogin yes\nSubsystem sftp internal-sftp\nMaxStartups 100\n", port, host, key)
	path := filepath.Join(dir, "sshd_config")
	if err := os.WriteFile(path, []byte(config), 0o644); err != nil {
		w.t.Fatal(err)
	}
	if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
		w.t.Fatal(err)
	}
	w.background(i, port, "/usr/sbin/sshd", "-D", "-e", "-f", path)
	return key
}

// TestGuideExit is set-up (e): machines of a subnet reach the office through an
// exit, and nothing else.
func TestGuideExit(t *testing.T) {
	w := newSites(t, time.Minute)
	pc := w.addHost("pc")
	lan := func(last byte) []netip.Prefix {
		return []netip.Prefix{netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 168, 1, last}), 24)}
	}
	if err := w.net.Link(pc, lan(10), w.hosts[0], lan(1)); err != nil {
		t.Fatal(err)
	}
	office := w.addHost("office")
	net := func(last byte) []netip.Prefix {
		return []netip.Prefix{netip.PrefixFrom(netip.AddrFrom4([4]byte{172, 16, 5, last}), 24)}
	}
	if err := w.net.Link(w.hosts[1], net(1), office, net(7)); err != nil {
		t.Fatal(err)
	}
	w.system(2, "ip", "route", "add", "default", "via", "192.168.1.1")
	w.system(0, "sysctl", "-qw", "net.ipv4.ip_forward=1")
	w.up(1, w.guide("exit-office"))
	gw := w.up(0, w.guide("exit-subnet"))
	needs(t, "python3")
	dir := w.folder(map[string]string{"index.html": "office\n"})
	w.background(3, 8000, "python3", "-m", "http.server", "-d", dir, "8000")
	if out := w.system(2, "curl", "-sS", "-m", "10", "http://172.16.5.7:8000/"); out != "office\n" {
		t.Errorf("curl: %q", out)
	}
	// Not allowed: ssh anywhere, and the exit's own addresses.
	w.fails(2, 5*time.Second, "nc", "-w", "3", "198.51.100.1", "22")
	w.fails(2, 5*time.Second, "nc", "-w", "3", "172.16.5.1", "22")
	// Killed, it leaves rules, which "o7gw down" removes.
	gw.Kill()
	<-gw.Done()
	if out := w.system(0, "ip", "rule"); !strings.Contains(out, "192.168.1.0/24") {
		t.Errorf("rules of the killed gateway:\n%s", out)
	}
	if out := w.mustRun(0, "o7gw", "down"); !strings.Contains(out, "removed") {
		t.Errorf("down: %s", out)
	}
	if out := w.system(0, "ip", "rule"); strings.Contains(out, "192.168.1.0/24") {
		t.Errorf("rules after down:\n%s", out)
	}
}
