// SPDX-License-Identifier: BSD-3-Clause

package control

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"o7gw/o7s/flow"
	"o7gw/o7s/ipcp"
	"o7gw/o7s/ipcp/sim"
	"o7gw/o7s/irm"
	"o7gw/o7s/layer"
	"o7gw/o7s/qos"
)

// roleEnv makes the test binary play a process of its own.
const roleEnv = "CONTROL_TEST_ROLE"

func TestMain(m *testing.M) {
	if role := os.Getenv(roleEnv); role != "" {
		if err := roles[role](); err != nil {
			fmt.Println("error:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// patience is how long anything may take on a busy machine before a test
// gives up.
const patience = 30 * time.Second

func testContext(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// daemon is an IRM with a control socket.
type daemon struct {
	dir  string
	irm  *irm.IRM
	once sync.Once
	end  func()
}

// runDir returns a run directory that every user can reach.
func runDir(t testing.TB) string {
	dir, err := os.MkdirTemp("", "irm")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// startDaemon runs a daemon in this process until the end of the test.
func startDaemon(t testing.TB, factory ipcp.Factory) *daemon {
	t.Helper()
	return startLimited(t, factory, systemLimits())
}

func startLimited(t testing.TB, factory ipcp.Factory, lim limits) *daemon {
	t.Helper()
	d, err := newDaemon(runDir(t), irm.Options{Factory: factory}, lim)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.stop)
	return d
}

func newDaemon(dir string, o irm.Options, lim limits) (*daemon, error) {
	l, err := Listen(dir)
	if err != nil {
		return nil, err
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	i := irm.New(o)
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- serve(ctx, i, l.UnixListener, o.Log, lim) }()
	return &daemon{dir: dir, irm: i, end: func() {
		cancel()
		if err := <-served; err != nil {
			panic(err)
		}
		closing, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := i.Close(closing); err != nil {
			panic(err)
		}
		if err := l.Close(); err != nil {
			panic(err)
		}
	}}, nil
}

func (d *daemon) stop() { d.once.Do(d.end) }

func (d *daemon) dial(t testing.TB) *Client {
	t.Helper()
	c, err := Dial(testContext(t), d.dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// pairOfDaemons returns two daemons, each with an IPC process in one layer.
func pairOfDaemons(t testing.TB) (a, b *daemon) {
	t.Helper()
	a, b, _ = pairOnLink(t)
	return a, b
}

// pairOnLink returns the link between them, too.
func pairOnLink(t testing.TB) (a, b *daemon, l *sim.Link) {
	t.Helper()
	return pairWithLimits(t, systemLimits())
}

func pairWithLimits(t testing.TB, lim limits) (a, b *daemon, l *sim.Link) {
	t.Helper()
	net := sim.NewNetwork(1)
	t.Cleanup(net.Close)
	link := net.NewLink(sim.Params{})
	factory := func(typ ipcp.Type, env ipcp.Env) (ipcp.IPCP, error) { return link.NewIPCP(typ, env), nil }
	daemons := [2]*daemon{}
	for k := range daemons {
		d := startLimited(t, factory, lim)
		id, err := d.irm.CreateIPCP(ipcp.EthDIX, "x")
		if err != nil {
			t.Fatal(err)
		}
		if err := d.irm.Bootstrap(testContext(t), id, ipcp.Config{Type: ipcp.EthDIX, Layer: "l", Eth: ipcp.EthConfig{Device: "sim0"}}); err != nil {
			t.Fatal(err)
		}
		daemons[k] = d
	}
	return daemons[0], daemons[1], link
}

// listenOn makes the client serve a name.
func listenOn(t testing.TB, c *Client, name string) (stop func()) {
	t.Helper()
	stop, err := c.Listen(testContext(t), name)
	if err != nil {
		t.Fatal(err)
	}
	return stop
}

// flows allocates a flow to a name that the server listens to.
func flows(t testing.TB, client, server *Client, name string) (mine, its *flow.Attachment) {
	t.Helper()
	type result struct {
		a   *flow.Attachment
		err error
	}
	got := make(chan result, 1)
	ctx := testContext(t)
	go func() {
		a, err := server.Accept(ctx, name)
		got <- result{a, err}
	}()
	mine, err := client.Alloc(ctx, name, qos.Raw)
	if err != nil {
		t.Fatal(err)
	}
	r := <-got
	if r.err != nil {
		t.Fatal(r.err)
	}
	return mine, r.a
}

// closeFlow ends a flow as the application library does.
func closeFlow(a *flow.Attachment) {
	a.Ring.Close()
	if err := a.Dealloc(); err != nil {
		panic(err)
	}
}

func write(a *flow.Attachment, p []byte) error {
	a.Ring.SetWriteDeadline(time.Now().Add(patience))
	return a.Ring.Write(p, nil)
}

func read(a *flow.Attachment, p []byte) (int, error) {
	a.Ring.SetReadDeadline(time.Now().Add(patience))
	n, _, err := a.Ring.Read(p, nil)
	return n, err
}

// carry writes a packet at one end and expects it at the other.
func carry(from, to *flow.Attachment, text string) error {
	if err := write(from, []byte(text)); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	buf := make([]byte, 2048)
	if n, err := read(to, buf); err != nil || string(buf[:n]) != text {
		return fmt.Errorf("read %q, %v; want %q", buf[:n], err, text)
	}
	return nil
}

func carries(t testing.TB, from, to *flow.Attachment, text string) {
	t.Helper()
	if err := carry(from, to, text); err != nil {
		t.Fatal(err)
	}
}

// ends checks that nothing but the end of the flow is left to read.
func ends(t testing.TB, a *flow.Attachment) {
	t.Helper()
	buf := make([]byte, 2048)
	if n, err := read(a, buf); !errors.Is(err, io.EOF) {
		t.Fatalf("read %q, %v; want the end of the flow", buf[:n], err)
	}
}

// eventually waits for a condition.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

// openFiles counts the descriptors of this process.
func openFiles(t testing.TB) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// roles are what the test binary can be as another process. Their arguments
// come through the environment: RUN_DIR, NAME.
var roles = map[string]func() error{
	"daemon":   daemonRole,
	"echo":     echoRole,
	"flood":    floodRole,
	"intruder": intruderRole,
	"greedy":   greedyRole,
	"full":     fullRole,
}

// process is another process that plays a role.
type process struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *lines
}

// lines collects what a process prints.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// play starts a process; it ends with the test at the latest. uid 0 means the
// user of the test.
func play(t testing.TB, role, dir, name string, uid uint32) *process {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if uid != 0 {
		exe = copyFor(t, exe)
	}
	p := &process{cmd: exec.Command(exe), out: new(lines)}
	p.cmd.Env = append(os.Environ(), roleEnv+"="+role, "RUN_DIR="+dir, "NAME="+name)
	p.cmd.Stdout, p.cmd.Stderr = p.out, p.out
	if uid != 0 {
		p.cmd.Dir = "/"
		p.cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	}
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.kill)
	return p
}

// copyFor returns a copy of the test binary that every user can execute.
func copyFor(t testing.TB, exe string) string {
	data, err := os.ReadFile(exe)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(runDir(t), "test")
	if err := os.WriteFile(path, data, 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// says waits until the process has printed a text.
func (p *process) says(t testing.TB, text string) {
	t.Helper()
	for end := time.Now().Add(patience); !strings.Contains(p.out.String(), text); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("process never said %q but: %s", text, p.out)
		}
	}
}

func (p *process) kill() {
	p.cmd.Process.Kill()
	_ = p.cmd.Wait() // "signal: killed", or that it was waited for already
}

// daemonRole serves until it is killed.
func daemonRole() error {
	d, err := newDaemon(os.Getenv("RUN_DIR"), irm.Options{Factory: func(ipcp.Type, ipcp.Env) (ipcp.IPCP, error) { return nil, layer.ErrIPCPType }}, systemLimits())
	if err != nil {
		return err
	}
	defer d.stop()
	fmt.Println("ready")
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// echoRole serves a name until it is killed: what comes in goes back.
func echoRole() error {
	ctx := context.Background()
	c, err := Dial(ctx, os.Getenv("RUN_DIR"))
	if err != nil {
		return err
	}
	if _, err := c.Listen(ctx, os.Getenv("NAME")); err != nil {
		return err
	}
	fmt.Println("ready")
	for {
		a, err := c.Accept(ctx, os.Getenv("NAME"))
		if err != nil {
			return err
		}
		go func() {
			defer closeFlow(a)
			buf := make([]byte, 65536)
			for {
				n, _, err := a.Ring.Read(buf, nil)
				if err != nil {
					return
				}
				if err := a.Ring.Write(buf[:n], nil); err != nil {
					return
				}
			}
		}()
	}
}

// floodRole allocates a flow and sends as fast as it can until it is killed.
func floodRole() error {
	ctx := context.Background()
	c, err := Dial(ctx, os.Getenv("RUN_DIR"))
	if err != nil {
		return err
	}
	a, err := c.Alloc(ctx, os.Getenv("NAME"), qos.Raw)
	if err != nil {
		return err
	}
	fmt.Println("ready")
	for {
		if err := a.Ring.Write([]byte("flood"), nil); err != nil {
			return err
		}
	}
}
