// SPDX-License-Identifier: BSD-3-Clause

package irm

import (
	"errors"
	"io"
	"os"
	"testing"

	"o7gw/o7s/qos"
	"o7gw/o7s/ring"
)

func descriptors(t *testing.T) int {
	t.Helper()
	l, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(l)
}

// Two external processes talk through a ring of which the node keeps
// nothing.
func TestRingBetweenExternalProcesses(t *testing.T) {
	before := descriptors(t)
	i := node(t, new(fakeNet), nil)
	external := func(uid uint32) *Process {
		p, err := i.Attach(ProcInfo{PID: 100, Program: "x", Creds: Creds{UID: uid}, External: true})
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	s, c := external(7), external(8)
	flows := serve(t, s, "svc")
	f, err := c.Alloc(t.Context(), "svc", qos.Raw)
	if err != nil {
		t.Fatal(err)
	}
	g := <-flows
	if f.Port() != nil || f.MTU() != ring.MaxPacket {
		t.Errorf("flow %+v", f)
	}
	open := func(f *Flow) *ring.End {
		files, ok := f.Ring()
		if !ok {
			t.Fatal("no ring")
		}
		if _, ok := f.Ring(); ok {
			t.Fatal("files were passed twice")
		}
		e, err := ring.Open(files)
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	client, server := open(f), open(g)
	if err := client.Write([]byte("hello"), nil); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 16)
	if n, _, err := server.Read(buf, nil); err != nil || string(buf[:n]) != "hello" {
		t.Fatalf("read %q, %v", buf[:n], err)
	}
	// The end of one process is the end of the flow for the other.
	client.Close()
	c.Close()
	if _, _, err := server.Read(buf, nil); !errors.Is(err, io.EOF) {
		t.Errorf("read: %v", err)
	}
	server.Close()
	g.Dealloc()

	// Files that nobody took are closed with the flow, also when the process
	// dies.
	c = external(8)
	for range 10 {
		if _, err := c.Alloc(t.Context(), "svc", qos.Raw); err != nil {
			t.Fatal(err)
		}
		(<-flows).Dealloc()
	}
	c.Close()
	if n := descriptors(t); n != before {
		t.Errorf("%d descriptors, %d before", n, before)
	}
}

// An external process and one inside the node talk through a port.
func TestPortBetweenExternalAndOwnProcess(t *testing.T) {
	i := node(t, new(fakeNet), nil)
	flows := serve(t, attach(t, i, 7, "inside"), "svc")
	c, err := i.Attach(ProcInfo{PID: 100, Program: "x", External: true})
	if err != nil {
		t.Fatal(err)
	}
	f, err := c.Alloc(t.Context(), "svc", qos.Raw)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := f.Ring(); ok || f.Port() == nil {
		t.Error("flow is a ring")
	}
	talk(t, f, <-flows)
}
