// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"o7gw/o7s/irm"
	"o7gw/o7s/irm/control"
	"o7gw/o7s/layer"
	"o7gw/o7s/qos"
)

// roleEnv makes the test binary irmd itself, or a program that irmd starts.
const roleEnv = "IRMD_TEST_ROLE"

func TestMain(m *testing.M) {
	switch {
	case os.Getenv(roleEnv) == "irmd":
		main()
	case len(os.Args) == 3 && os.Args[1] == reportArg:
		// irmd gives programs no environment of ours.
		if err := report(os.Args[2]); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// patience is how long anything may take on a busy machine before a test
// gives up.
const patience = 30 * time.Second

func testContext(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// openDir returns a directory that every user can reach.
func openDir(t *testing.T) string {
	dir, err := os.MkdirTemp("", "irmd")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	return dir
}

// openExe returns a copy of the test binary that every user can execute.
func openExe(t *testing.T) string {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(exe)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(openDir(t), "program")
	if err := os.WriteFile(path, data, 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// irmd is a running daemon.
type irmd struct {
	cmd    *exec.Cmd
	dir    string
	out    output
	notify *net.UnixConn
	ended  chan struct{}
}

// output collects what a process prints.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// launch starts irmd with its own run directory as a user.
func launch(t *testing.T, exe, dir string, uid uint32, args ...string) *irmd {
	t.Helper()
	notify := filepath.Join(openDir(t), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: notify, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := os.Chmod(notify, 0o777); err != nil {
		t.Fatal(err)
	}
	d := &irmd{cmd: exec.Command(exe, append([]string{"--run-dir", dir}, args...)...), dir: dir, notify: conn, ended: make(chan struct{})}
	d.cmd.Env = append(os.Environ(), roleEnv+"=irmd", "NOTIFY_SOCKET="+notify,
		"GORACE=atexit_sleep_ms=0") // it would sleep a second at each exit
	d.cmd.Stdout, d.cmd.Stderr = &d.out, &d.out
	if uid != 0 {
		d.cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	}
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(d.ended)
		_ = d.cmd.Wait() // the tests look at ProcessState
	}()
	t.Cleanup(func() {
		d.cmd.Process.Kill()
		<-d.ended
	})
	return d
}

// start launches irmd and waits until it is ready.
func start(t *testing.T, args ...string) *irmd {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	d := launch(t, exe, filepath.Join(openDir(t), "run"), 0, args...)
	d.notifies(t, "READY=1")
	return d
}

// notifies waits for the next notification.
func (d *irmd) notifies(t *testing.T, want string) {
	t.Helper()
	d.notify.SetReadDeadline(time.Now().Add(patience))
	buf := make([]byte, 256)
	n, err := d.notify.Read(buf)
	if err != nil || string(buf[:n]) != want {
		t.Fatalf("notified %q, %v; want %q. Output:\n%s", buf[:n], err, want, &d.out)
	}
}

// says waits until irmd has printed a text.
func (d *irmd) says(t *testing.T, text string) {
	t.Helper()
	for end := time.Now().Add(patience); !strings.Contains(d.out.String(), text); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("irmd never said %q but:\n%s", text, &d.out)
		}
	}
}

// exits waits for the end.
func (d *irmd) exits(t *testing.T, want int) {
	t.Helper()
	select {
	case <-d.ended:
	case <-time.After(patience):
		t.Fatalf("irmd does not end. Output:\n%s", &d.out)
	}
	if got := d.cmd.ProcessState.ExitCode(); got != want {
		t.Fatalf("exit status %d (%v), want %d. Output:\n%s", got, d.cmd.ProcessState, want, &d.out)
	}
}

func (d *irmd) signal(t *testing.T, s os.Signal) {
	t.Helper()
	if err := d.cmd.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

func (d *irmd) dial(t *testing.T) *control.Client {
	t.Helper()
	c, err := control.Dial(testContext(t), d.dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func TestCommandLine(t *testing.T) {
	t.Setenv("O7S_RUN_DIR", filepath.Join(t.TempDir(), "unused"))
	good := filepath.Join(t.TempDir(), "good.toml")
	bad := filepath.Join(t.TempDir(), "bad.toml")
	for path, text := range map[string]string{good: "[name.x]\n", bad: "[nome.x]\n[udp4.y]\nwrong = 1\n"} {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	const asks = "Usage: irmd"
	for _, c := range []struct {
		args     string
		status   int
		out, err string // expected parts
	}{
		{"--version", 0, "Ouroboros version 0.23.0 compatible\n", ""},
		{"--help", 0, asks, ""},
		{"--bogus", 1, "", asks},
		{"argument", 1, "", asks},
		{"--config", 1, "", asks},
		{"--log-format xml", 1, "", "xml"},
		{"--log-level loud", 1, "", "loud"},
		{"--stdout --syslog", 1, "", asks},
		{"--check", 1, "", asks},
		{"--security-dir=", 1, "", "--security-dir is empty"},
		{"--check --config " + good, 0, "no errors", ""},
		{"--check --config " + bad, 1, "", bad + ":1:"},
		{"--check --config /nonexistent", 1, "", "/nonexistent"},
		{"--config /nonexistent", 1, "", "/nonexistent"},
		{"--config " + bad, 1, "", "irmd(EE): " + bad + ":1:"},
		{"--run-dir /" + strings.Repeat("x", 200), 1, "", "shorter run directory"},
		{"--run-dir /proc/nowhere --log-format json", 1, "", `"level":"error"`},
	} {
		var stdout, stderr bytes.Buffer
		status := run(strings.Fields(c.args), &stdout, &stderr)
		if status != c.status || !strings.Contains(stdout.String(), c.out) || !strings.Contains(stderr.String(), c.err) ||
			c.out == "" && stdout.Len() > 0 || c.err == "" && stderr.Len() > 0 {
			t.Errorf("irmd %s: status %d\nstdout %q\nstderr %q", c.args, status, &stdout, &stderr)
		}
	}
	if _, err := os.Stat(os.Getenv("O7S_RUN_DIR")); !errors.Is(err, os.ErrNotExist) {
		t.Error("a run directory was made for nothing")
	}
}

func TestLife(t *testing.T) {
	d := start(t, "--stdout")
	c := d.dial(t)
	status, err := c.Status(testContext(t))
	if err != nil || status.PID != d.cmd.Process.Pid || status.IPCPs != 0 || status.Names != 0 {
		t.Errorf("status %+v, %v", status, err)
	}
	d.signal(t, syscall.SIGHUP)
	d.says(t, "nothing is reloaded")
	d.signal(t, syscall.SIGUSR1)
	d.says(t, "Log level is debug.")
	d.signal(t, syscall.SIGUSR1)
	d.says(t, "Log level is info.")
	d.signal(t, syscall.SIGPIPE)
	if _, err := c.Status(testContext(t)); err != nil {
		t.Error(err)
	}
	d.signal(t, syscall.SIGTERM)
	d.notifies(t, "STOPPING=1")
	d.exits(t, 0)
	select {
	case <-c.Done():
	case <-time.After(patience):
		t.Error("the client was not told")
	}
	if _, err := os.Stat(control.SocketPath(d.dir)); !errors.Is(err, os.ErrNotExist) {
		t.Error("the socket is left")
	}
	for _, line := range []string{
		fmt.Sprintf("==%05d== irmd(II): Ouroboros IPC Resource Manager daemon started...\n", d.cmd.Process.Pid),
		fmt.Sprintf("==%05d== irmd(II): Process added: %d (irmd.test).\n", d.cmd.Process.Pid, os.Getpid()),
		"irmd(II): IRMd shutting down...\n",
		"irmd(II): Ouroboros IPC Resource Manager daemon exited. Bye.\n",
	} {
		if !strings.Contains(d.out.String(), line) {
			t.Errorf("log lacks %q:\n%s", line, &d.out)
		}
	}
}

// TestLogNotRead: a log that nobody reads stops neither the service nor the
// shutdown.
func TestLogNotRead(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	w.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
	if _, err := w.Write(make([]byte, 1<<20)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("fill the pipe: %v", err)
	}
	cmd := exec.Command(os.Args[0], "--run-dir", openDir(t))
	cmd.Env = append(os.Environ(), roleEnv+"=irmd", "GORACE=atexit_sleep_ms=0")
	cmd.Stderr = w
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	d := &irmd{cmd: cmd, dir: cmd.Args[2], ended: make(chan struct{})}
	go func() {
		defer close(d.ended)
		_ = cmd.Wait()
	}()
	defer func() {
		cmd.Process.Kill()
		<-d.ended
	}()
	var c *control.Client
	for ctx := testContext(t); c == nil; time.Sleep(time.Millisecond) {
		if c, err = control.Dial(ctx, d.dir); err != nil && ctx.Err() != nil {
			t.Fatal(err)
		}
	}
	defer c.Close()
	for n := range 100 {
		if err := c.CreateName(testContext(t), irm.NameInfo{Name: fmt.Sprint(n)}); err != nil {
			t.Fatal(err)
		}
	}
	d.signal(t, syscall.SIGTERM)
	d.exits(t, 0)
}

// TestReplaces: a daemon that was killed leaves its socket; the next one
// takes its place, but two at once are refused.
func TestReplaces(t *testing.T) {
	d := start(t)
	second := launch(t, d.cmd.Path, d.dir, 0)
	second.exits(t, 1)
	second.says(t, fmt.Sprintf("another daemon, process %d, uses it", d.cmd.Process.Pid))
	if _, err := d.dial(t).Status(testContext(t)); err != nil {
		t.Errorf("the first one suffered: %v", err)
	}
	d.signal(t, syscall.SIGKILL)
	<-d.ended
	third := launch(t, d.cmd.Path, d.dir, 0)
	third.notifies(t, "READY=1")
	if _, err := third.dial(t).Status(testContext(t)); err != nil {
		t.Error(err)
	}
}

func TestUnprivilegedDaemon(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root to become somebody else; without root every other test is this one")
	}
	const nobody = 65534
	d := launch(t, openExe(t), filepath.Join(openDir(t), "run"), nobody)
	d.notifies(t, "READY=1")
	c := d.dial(t)
	if _, err := c.CreateIPCP(testContext(t), 0, "l"); err != nil {
		t.Error(err)
	}
	d.signal(t, syscall.SIGINT)
	d.exits(t, 0)
}

func TestConfigurationApplied(t *testing.T) {
	file := filepath.Join(t.TempDir(), "irmd.toml")
	text := "[name.web]\n[local.l]\nbootstrap = \"home\"\nreg = [\"web\"]\n"
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	d := start(t, "--config", file)
	ipcps, err := d.dial(t).ListIPCPs(testContext(t))
	if err != nil || len(ipcps) != 1 || ipcps[0].Layer != "home" {
		t.Errorf("IPCPs %+v, %v", ipcps, err)
	}
	names, err := d.dial(t).ListNames(testContext(t))
	if err != nil || len(names) != 1 || len(names[0].Registered) != 1 {
		t.Errorf("names %+v, %v", names, err)
	}
}

// TestSecurityDir: files hold without a restart, and the answer says what is
// missing.
func TestSecurityDir(t *testing.T) {
	dir := t.TempDir()
	d := start(t, "--security-dir", dir)
	server, client := d.dial(t), d.dial(t)
	if _, err := server.Listen(testContext(t), "web"); err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			a, err := server.Accept(testContext(t), "web")
			if err != nil {
				return
			}
			a.Ring.Close()
			a.Dealloc()
		}
	}()
	write := func(file, text string) {
		if err := os.MkdirAll(filepath.Dir(dir+file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(dir+file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []string{"", "the client wants no encryption", ""} {
		a, err := client.Alloc(testContext(t), "web", qos.Raw)
		switch {
		case want == "" && err != nil, want != "" && (!errors.Is(err, layer.ErrCrypt) || !strings.Contains(err.Error(), want)):
			t.Fatalf("got %v, want %q", err, want)
		case err != nil:
			d.says(t, "irmd(WW): Failed to accept flow for web: accept flow request: encryption handshake failed (-1008): "+want)
			write("/client/web/enc.conf", "")
			continue
		}
		a.Ring.Close()
		a.Dealloc()
		write("/server/web/enc.conf", "")
	}
}

// TestConfigurationFails: what can only fail on the machine ends the daemon
// with an error and leaves nothing.
func TestConfigurationFails(t *testing.T) {
	file := filepath.Join(t.TempDir(), "irmd.toml")
	if err := os.WriteFile(file, []byte("[udp4.u]\nbootstrap = \"l\"\nip = \"192.0.2.77\"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	d := launch(t, exe, filepath.Join(openDir(t), "run"), 0, "--config", file)
	d.notifies(t, "STOPPING=1")
	d.exits(t, 1)
	d.says(t, "irmd(EE): ")
	if _, err := os.Stat(control.SocketPath(d.dir)); !errors.Is(err, os.ErrNotExist) {
		t.Error("the socket is left")
	}
}
