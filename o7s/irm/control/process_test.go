// SPDX-License-Identifier: BSD-3-Clause

package control

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"o7gw/o7s/flow"
	"o7gw/o7s/ipcp"
	"o7gw/o7s/irm"
	"o7gw/o7s/layer"
	"o7gw/o7s/qos"
)

// TestTwoProcesses: a flow between real processes, of which the daemon is a
// third.
func TestTwoProcesses(t *testing.T) {
	dir := runDir(t)
	d := play(t, "daemon", dir, "", 0)
	d.says(t, "ready")
	server := play(t, "echo", dir, "echo", 0)
	server.says(t, "ready")
	client, err := Dial(testContext(t), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	f, err := client.Alloc(testContext(t), "echo", qos.Raw)
	if err != nil {
		t.Fatal(err)
	}
	for range 100 {
		carries(t, f, f, "there and back")
	}
	// The server dies: its flows end, its name is free.
	server.kill()
	ends(t, f)
	closeFlow(f)
	eventually(t, "name is free", func() bool {
		names, err := client.ListNames(testContext(t))
		return err == nil && len(names) == 0
	})
	// The daemon dies while a call waits and a flow is open.
	again := play(t, "echo", dir, "echo", 0)
	again.says(t, "ready")
	if f, err = client.Alloc(testContext(t), "echo", qos.Raw); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Listen(testContext(t), "mine"); err != nil {
		t.Fatal(err)
	}
	waiting := make(chan error, 1)
	go func() {
		_, err := client.Accept(context.Background(), "mine")
		waiting <- err
	}()
	eventually(t, "accept waits", func() bool {
		procs, err := client.ListProcesses(testContext(t))
		if err != nil {
			return false
		}
		for _, p := range procs {
			if p.PID == os.Getpid() && p.Accepts == 1 {
				return true
			}
		}
		return false
	})
	d.kill()
	if err := <-waiting; !errors.Is(err, layer.ErrIRMd) {
		t.Errorf("waiting call: %v", err)
	}
	if _, err := client.Status(testContext(t)); !errors.Is(err, layer.ErrIRMd) {
		t.Errorf("later call: %v", err)
	}
	// The echo process ends with its accept: its side hangs up.
	ends(t, f)
	closeFlow(f)
	if _, err := Dial(testContext(t), dir); !errors.Is(err, layer.ErrIRMd) {
		t.Errorf("dial without a daemon: %v", err)
	}
	// A new daemon takes the place of the dead one, stale socket or not.
	next := play(t, "daemon", dir, "", 0)
	next.says(t, "ready")
	if second, err := Listen(dir); err == nil {
		second.Close()
		t.Error("two daemons in one run directory")
	}
}

// TestClientKilled: SIGKILL in the middle of a transfer over a layer. The
// peer reads what arrived, then the end.
func TestClientKilled(t *testing.T) {
	a, b := pairOfDaemons(t)
	server := b.dial(t)
	listenOn(t, server, "sink")
	got := make(chan error, 1)
	var its *flow.Attachment
	go func() {
		var err error
		its, err = server.Accept(testContext(t), "sink")
		got <- err
	}()
	p := play(t, "flood", a.dir, "sink", 0)
	if err := <-got; err != nil {
		t.Fatal(err)
	}
	p.says(t, "ready")
	buf := make([]byte, 64)
	packets := 0
	for {
		n, err := read(its, buf)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil || string(buf[:n]) != "flood" {
			t.Fatalf("packet %d: %q %v", packets, buf[:n], err)
		}
		if packets++; packets == 100 {
			p.kill()
		}
	}
	if packets < 100 {
		t.Errorf("only %d packets", packets)
	}
	closeFlow(its)
	for _, d := range []*daemon{a, b} {
		eventually(t, "no flow is left", func() bool { return len(d.irm.ListFlows()) == 0 })
	}
	eventually(t, "the process is gone", func() bool { return len(a.irm.ListProcesses()) == 0 })
}

// nobody is a user without any rights.
const nobody = 65534

func TestUnprivilegedUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root to become somebody else")
	}
	lim := systemLimits()
	lim.userConns = 4
	d := startLimited(t, nil, lim)
	if err := d.irm.CreateName(irm.NameInfo{Name: "roots"}); err != nil {
		t.Fatal(err)
	}
	names := d.irm.ListNames()
	p := play(t, "intruder", d.dir, "roots", nobody)
	if err := p.cmd.Wait(); err != nil {
		t.Fatalf("%v: %s", err, p.out)
	}
	same(t, d.irm.ListNames(), nil, names)
	if len(d.irm.ListIPCPs()) != 0 || len(d.irm.ListPrograms()) != 0 {
		t.Error("the node was changed")
	}
	// What everybody may do, he may: serve a name of his own.
	echo := play(t, "echo", d.dir, "his", nobody)
	echo.says(t, "ready")
	f, err := d.dial(t).Alloc(testContext(t), "his", qos.Raw)
	if err != nil {
		t.Fatal(err)
	}
	carries(t, f, f, "there and back")
	closeFlow(f)
}

// intruderRole tries what only an administrator may.
func intruderRole() error {
	ctx := context.Background()
	dir, name := os.Getenv("RUN_DIR"), os.Getenv("NAME")
	c, err := Dial(ctx, dir)
	if err != nil {
		return err
	}
	defer c.Close()
	_, create := c.CreateIPCP(ctx, ipcp.Local, "mine")
	_, enroll := c.Enroll(ctx, 1, "x")
	_, listen := c.Listen(ctx, name)
	for what, err := range map[string]error{
		"create IPCP":           create,
		"destroy IPCP":          c.DestroyIPCP(ctx, 1),
		"bootstrap":             c.Bootstrap(ctx, 1, ipcp.Config{Type: ipcp.Local, Layer: "l"}),
		"enroll":                enroll,
		"connect":               c.Connect(ctx, 1, "x", "Management", qos.Raw),
		"disconnect":            c.Disconnect(ctx, 1, "x", "Management"),
		"create name":           c.CreateName(ctx, irm.NameInfo{Name: "new"}),
		"destroy name":          c.DestroyName(ctx, name),
		"bind program":          c.BindProgram(ctx, irm.ProgramBinding{Path: "/bin/sh", Auto: true, Name: name, Creds: irm.Creds{Admin: true}}),
		"unbind program":        c.UnbindProgram(ctx, "sh", name),
		"bind daemon":           c.BindProcess(ctx, os.Getppid(), name),
		"unbind daemon":         c.UnbindProcess(ctx, os.Getppid(), name),
		"bind itself to root's": c.BindProcess(ctx, os.Getpid(), name),
		"register":              c.Register(ctx, name, 1),
		"unregister":            c.Unregister(ctx, name, 1),
		"listen to root's name": listen,
	} {
		if !errors.Is(err, layer.ErrPermission) || what == "create IPCP" && !strings.HasPrefix(err.Error(), "create ipcp: ") {
			return fmt.Errorf("%s: %w", what, errors.Join(err, errors.New("was not refused for lack of rights")))
		}
	}
	if err := c.BindProcess(ctx, os.Getpid(), "own"); err != nil {
		return fmt.Errorf("bind itself to a name of its own: %w", err)
	}
	if err := c.UnbindProcess(ctx, os.Getpid(), "own"); err != nil {
		return fmt.Errorf("unbind itself: %w", err)
	}
	if _, err := c.ListNames(ctx); err != nil {
		return fmt.Errorf("list names: %w", err)
	}
	// Connections are limited: one of five is refused.
	for n := range 4 {
		other, err := Dial(ctx, dir)
		if n == 3 {
			if err == nil {
				return errors.New("no limit of connections")
			}
			break
		}
		if err != nil {
			return fmt.Errorf("connection %d: %w", n+2, err)
		}
		defer other.Close()
	}
	return nil
}

func TestRequestLimit(t *testing.T) {
	lim := systemLimits()
	lim.requests = 8
	d := startLimited(t, nil, lim)
	c := d.dial(t)
	listenOn(t, c, "n")
	ctx, cancel := context.WithCancel(testContext(t))
	errs := make(chan error, 20)
	for range 20 {
		go func() {
			_, err := c.Accept(ctx, "n")
			errs <- err
		}()
	}
	for range 12 {
		if err := <-errs; !errors.Is(err, errBusy) {
			t.Fatalf("accept above the limit: %v", err)
		}
	}
	cancel()
	// One more is above it while the reply to Listen is on its way.
	more := 0
	for range 8 {
		switch err := <-errs; {
		case errors.Is(err, errBusy):
			more++
		case !errors.Is(err, context.Canceled):
			t.Errorf("accept within the limit: %v", err)
		}
	}
	if more > 1 {
		t.Errorf("%d calls were refused, of 20 with a limit of 8", 12+more)
	}
}

// TestBridgeLimit: a flow above the limit is refused, and given back to the
// layer.
func TestBridgeLimit(t *testing.T) {
	lim := systemLimits()
	lim.bridges = 3
	a, b, _ := pairWithLimits(t, lim)
	server, client := b.dial(t), a.dial(t)
	listenOn(t, server, "n")
	type pair struct{ mine, its *flow.Attachment }
	var open []pair
	for range 3 {
		mine, its := flows(t, client, server, "n")
		open = append(open, pair{mine, its})
	}
	accepted := make(chan error, 1)
	go func() {
		_, err := server.Accept(testContext(t), "n")
		accepted <- err
	}()
	if _, err := client.Alloc(testContext(t), "n", qos.Raw); !errors.Is(err, errBusy) {
		t.Errorf("alloc above the limit: %v", err)
	}
	if err := <-accepted; !errors.Is(err, errBusy) {
		t.Errorf("accept above the limit: %v", err)
	}
	closeFlow(open[0].mine)
	ends(t, open[0].its)
	closeFlow(open[0].its)
	for _, d := range []*daemon{a, b} {
		eventually(t, "two flows are left", func() bool { return len(d.irm.ListFlows()) == 2 })
	}
	mine, its := flows(t, client, server, "n")
	carries(t, mine, its, "works again")
	for _, p := range append(open[1:], pair{mine, its}) {
		closeFlow(p.mine)
		closeFlow(p.its)
	}
}

// TestStartsAndStops: 100 lives of a daemon with a client and flows leave
// nothing behind; goleak looks at the goroutines.
func TestStartsAndStops(t *testing.T) {
	dir := runDir(t)
	life := func() {
		d, err := newDaemon(dir, irm.Options{}, systemLimits())
		if err != nil {
			t.Fatal(err)
		}
		defer d.stop()
		c, err := Dial(testContext(t), dir)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		listenOn(t, c, "n")
		mine, its := flows(t, c, c, "n")
		carries(t, mine, its, "works")
		closeFlow(mine)
		d.stop() // with a flow half open and a client connected
		ends(t, its)
		its.Ring.Close()
	}
	life()
	before := openFiles(t)
	for range 100 {
		life()
	}
	if after := openFiles(t); after > before {
		t.Errorf("%d descriptors before, %d after", before, after)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Name() != lockName {
			t.Errorf("%s is left in the run directory", e.Name())
		}
	}
}
