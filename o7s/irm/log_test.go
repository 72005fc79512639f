// SPDX-License-Identifier: BSD-3-Clause

package irm

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"

	"o7gw/o7s/ipcp"
	"o7gw/o7s/layer"
	"o7gw/o7s/qos"
)

// lines keeps what is logged as "component: text".
type lines struct {
	slog.Handler
	mu   *sync.Mutex
	out  *bytes.Buffer
	part string
}

func (l lines) Enabled(context.Context, slog.Level) bool { return true }
func (l lines) WithAttrs(as []slog.Attr) slog.Handler {
	for _, a := range as {
		if a.Key == "component" {
			l.part = a.Value.String()
		}
	}
	return l
}
func (l lines) Handle(_ context.Context, r slog.Record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	fmt.Fprintf(l.out, "%s %s: %s\n", l.part, r.Level, r.Message)
	return nil
}

// Lines that scripts look for (spec 40 §8).
func TestLogLines(t *testing.T) {
	out := lines{mu: new(sync.Mutex), out: new(bytes.Buffer)}
	net := new(fakeNet)
	done := make(chan struct{})
	i := New(Options{Factory: net.factory, Log: slog.New(out), Spawn: func(ProgramBinding) (*Child, error) {
		return &Child{PID: 77, Done: done, Stop: func(bool) {}}, nil
	}})
	ctx := t.Context()
	id, f := inLayer(t, i, ipcp.UDP4, "net")
	enrolled, err := i.CreateIPCP(ipcp.UDP6, "second")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := i.Enroll(ctx, enrolled, "x"); err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{
		i.Connect(ctx, id, "peer", "Management", qos.Raw),
		i.CreateName(NameInfo{Name: "svc"}),
		i.CreateName(NameInfo{Name: "svc"}),
		i.CreateName(NameInfo{Name: "two\nlines"}),
		i.DestroyName("two\nlines"),
		i.BindProgram(ProgramBinding{Path: "/bin/srv", Name: "auto", Auto: true, Creds: Creds{Admin: true}}),
		i.Register(ctx, "svc", id),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	p, err := i.Attach(ProcInfo{PID: 42, Program: "/usr/bin/oping", Creds: Creds{UID: 5}})
	if err != nil {
		t.Fatal(err)
	}
	if err := i.BindProcess(42, "svc"); err != nil {
		t.Fatal(err)
	}
	accept := func(request func()) {
		flows := make(chan *Flow, 1)
		go func() {
			g, err := p.Accept(ctx, "")
			if err != nil {
				t.Errorf("accept: %v", err)
			}
			flows <- g
		}()
		settle(t, "accept waits", func() bool { return waiting(i, "svc") == 1 })
		request()
		(<-flows).Dealloc()
	}
	accept(func() {
		f, err := p.Alloc(ctx, "svc", qos.Raw)
		if err != nil {
			t.Error(err)
			return
		}
		f.Dealloc()
	})
	accept(func() {
		f.env.Upper.FlowRequested(&layer.Request{
			Dst: layer.MD5.Sum("svc"), QoS: qos.Raw, Data: plainRequest(),
			Answerer: &fakeAnswer{net: net, to: f, ch: make(chan fakeResult, 1)},
		})
	})
	short, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := p.Alloc(short, "auto", qos.Raw); err == nil {
		t.Error("flow to a program that does nothing")
	}
	settle(t, "program is started", func() bool {
		out.mu.Lock()
		defer out.mu.Unlock()
		return strings.Contains(out.out.String(), "Instantiated")
	})
	close(done)
	if err := i.Unregister(ctx, "svc", id); err != nil {
		t.Fatal(err)
	}
	p.Close()
	if err := i.Close(ctx); err != nil {
		t.Fatal(err)
	}
	logged := strings.Split(out.out.String(), "\n")
	for _, want := range []string{
		"Created IPCP 1.",
		"Bootstrapped IPCP 1.",
		"Enrolled IPCP 2 in layer of-x.",
		"Established Management connection between IPCP 1 and peer.",
		"Created new name: svc.",
		"Name svc already exists.",
		`Created new name: "two\nlines".`,
		`Destroyed name: "two\nlines".`,
		"Bound program /bin/srv to name auto.",
		"Bound process 42 to name svc.",
		"Registered svc with IPCP 1 as " + layer.MD5.Sum("svc").Short() + ".",
		"Unregistered svc from 1.",
		"Process added: 42 (oping).",
		"Process removed: 42.",
		"Allocating flow for 42 to svc (uid 5).",
		"Flow 1 accepted (direct) by 42 for svc.",
		"Flow 2 allocated (direct) for 42 to svc.",
		"Flow request arrived for svc.",
		"Flow 1 accepted by 42 for svc (uid 5).",
		"Deallocating flow 1 for process 42 (timeout: 0 s).",
		"Completed deallocation of flow_id 1 by process 42.",
		"Starting /bin/srv for auto.",
		"Instantiated /bin/srv as process 77.",
		"IRMd shutting down...",
	} {
		if !slices.Contains(logged, "irmd INFO: "+want) {
			t.Errorf("no line %q", want)
		}
	}
	for _, want := range []string{
		"Bootstrapping...",
		"Finished bootstrapping in net.",
		"  type: udp4",
		"  hash: MD5 [16 bytes]",
		"Enrolling with x...",
		"Finished enrolling with x in layer of-x.",
		"  type: udp6",
	} {
		if !slices.Contains(logged, "ipcpd/ipcp INFO: "+want) {
			t.Errorf("no line %q", want)
		}
	}
	if t.Failed() {
		t.Log(out.out.String())
	}
}

func TestComponents(t *testing.T) {
	for typ, want := range map[ipcp.Type]string{
		ipcp.Local: "ipcpd-local", ipcp.UDP4: "ipcpd/udp4", ipcp.EthDIX: "ipcpd/eth-dix",
		ipcp.Unicast: "unicast-ipcp", ipcp.Broadcast: "broadcast-ipcp",
	} {
		if got := componentOf(typ); got != want {
			t.Errorf("%v: %s", typ, got)
		}
	}
}

// TestLogQuota: a user who makes noise fills no disk, and does not hide what
// others do.
func TestLogQuota(t *testing.T) {
	out := lines{mu: new(sync.Mutex), out: new(bytes.Buffer)}
	i := New(Options{Factory: new(fakeNet).factory, Log: slog.New(out)})
	defer i.Close(t.Context())
	noisy, quiet := attach(t, i, 7, "noisy"), attach(t, i, 8, "quiet")
	for range 3000 {
		if _, err := noisy.Alloc(t.Context(), "nowhere", qos.Raw); err == nil {
			t.Fatal("allocated a flow to nowhere")
		}
		stop, err := noisy.Listen(t.Context(), "name")
		if err != nil {
			t.Fatal(err)
		}
		stop()
	}
	if n := strings.Count(out.out.String(), "\n"); n > 3000 {
		t.Errorf("%d lines", n)
	}
	quiet.Alloc(t.Context(), "elsewhere", qos.Raw)
	if !strings.Contains(out.out.String(), "elsewhere") {
		t.Error("the other user is not in the log")
	}
}
