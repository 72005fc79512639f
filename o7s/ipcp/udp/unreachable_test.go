// SPDX-License-Identifier: BSD-3-Clause

package udp

import (
	"encoding/binary"
	"errors"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"o7gw/o7s/layer"
	"o7gw/o7s/qos"
)

// A host without an IPC process says so: allocation fails at once, flows end.
func TestPortUnreachable(t *testing.T) {
	client := start(t, "127.0.0.1", noUpper, serves("127.0.0.2", "127.0.0.3"))
	began := time.Now()
	if _, _, err := client.Allocate(within(t, 5*time.Second), op, qos.Raw, nil); !errors.Is(err, layer.ErrIPCP) {
		t.Errorf("got %v after %v", err, time.Since(began))
	}
	u, ports := acceptor(0) // no teardown notices
	server := start(t, "127.0.0.2", u, nil)
	survivor := start(t, "127.0.0.3", u, nil)
	a, _ := connect(t, client, server, ports, qos.Raw)
	client.dir.failed(op, server.self)
	b, z := connect(t, client, survivor, ports, qos.Raw)
	in, other := newSink(a), newSink(z)
	server.Close()
	a.Send(buffers([]byte("to nobody"), []byte("to nobody"), []byte("to nobody")))
	in.closed(t)
	b.Send(buffers([]byte("somebody")))
	other.packets(t, 1)
	if s := client.Stats(); s.Flows != 1 || s.Unreachable != 3 {
		t.Errorf("%+v", s)
	}
}

func TestPortUnreachable6(t *testing.T) {
	w := newWire(t, 1500)
	u, ports := acceptor(0)
	server := w.start(t, 1, "fd07::2", u, nil)
	client := w.start(t, 0, "fd07::1", noUpper, serves("fd07::2"))
	a, _ := connect(t, client, server, ports, qos.Raw)
	in := newSink(a)
	server.Close()
	a.Send(buffers([]byte("to nobody")))
	in.closed(t)
	if _, _, err := client.Allocate(within(t, 5*time.Second), op, qos.Raw, nil); !errors.Is(err, layer.ErrIPCP) {
		t.Error(err)
	}
}

// Reports that quote nothing of ours change nothing.
func TestForgedReports(t *testing.T) {
	u, ports := acceptor(0)
	client := start(t, "127.0.0.1", noUpper, serves("127.0.0.2"))
	server := start(t, "127.0.0.2", u, nil)
	a, _ := connect(t, client, server, ports, qos.Raw)
	f := a.(*flow)
	for _, quote := range [][]byte{nil, {0, 0, 0}, make([]byte, 4), make([]byte, fixedLen), eidBytes(f.remote.Load() ^ 1), request{eid: f.eid}.append(nil)} {
		client.unreachable(quote, f.peer.at)
	}
	client.unreachable(eidBytes(f.remote.Load()), client.self)
	if f.state.Load() != up {
		t.Error("the flow ended")
	}
	client.unreachable(eidBytes(f.remote.Load()), f.peer.at)
	if f.state.Load() != ended {
		t.Error("the flow goes on")
	}
}

func FuzzErrorReport(f *testing.F) {
	b := make([]byte, unix.CmsgSpace(16))
	binary.NativeEndian.PutUint64(b, uint64(unix.CmsgLen(16)))
	binary.NativeEndian.PutUint32(b[8:], unix.SOL_IP)
	binary.NativeEndian.PutUint32(b[12:], unix.IP_RECVERR)
	copy(b[16:], []byte{111, 0, 0, 0, unix.SO_EE_ORIGIN_ICMP, icmp4Unreachable, icmp4Port})
	if !portUnreachable(b) {
		f.Fatal("not recognised")
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) { portUnreachable(b) })
}

// A C node uses an EID again as soon as a flow is gone, and tells nobody: the
// new flow ends the old one.
func TestReusedEndpoint(t *testing.T) {
	u, ports := acceptor(0)
	server := start(t, "127.0.0.2", u, nil)
	server.Register(t.Context(), op)
	c, other := dial(t, "127.0.0.1", 0, server), dial(t, "127.0.0.1", 0, server)
	ask := func(f *foreign) *sink {
		f.send(request{eid: 64, qos: qos.Raw, dst: op}.append(nil))
		f.recv()
		return newSink(<-ports)
	}
	first, elsewhere := ask(c), ask(other)
	ask(c)
	first.closed(t)
	elsewhere.mu.Lock()
	defer elsewhere.mu.Unlock()
	if len(elsewhere.events) != 0 {
		t.Error("the flow of another socket ended, too")
	}
	if s := server.Stats(); s.Flows != 2 || s.Superseded != 1 {
		t.Errorf("%+v", s)
	}
}
