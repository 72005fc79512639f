// SPDX-License-Identifier: BSD-3-Clause

package broadcast_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"o7gw/o7s/ipcp"
	"o7gw/o7s/ipcp/broadcast"
	"o7gw/o7s/ipcp/cep"
	"o7gw/o7s/layer"
	"o7gw/o7s/packet"
	"o7gw/o7s/qos"
	"o7gw/o7s/rib"
)

// unhex decodes examples of spec 10 §6.2.
func unhex(s string) []byte {
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		panic(err)
	}
	return b
}

var (
	dataTransferMessage = unhex("0a 0d 44 61 74 61 20 54 72 61 6e 73 66 65 72 12 00 18 00 28 00 40 00")
	enrollmentMessage   = unhex("0a 0a 45 6e 72 6f 6c 6c 6d 65 6e 74 12 03 4f 45 50 18 01 28 00 40 00")
	emptyMessage        = unhex("0a 00 12 00 18 00 28 00 40 00")
)

func TestOperations(t *testing.T) {
	if _, err := broadcast.New(ipcp.Env{Log: slog.New(slog.DiscardHandler)}); !errors.Is(err, layer.ErrInvalid) {
		t.Errorf("without layers below: %v", err)
	}
	p, _ := newIPCP(t, newBelow())
	if _, err := p.Join(t.Context(), layer.SHA3_256.Sum("bc")); !errors.Is(err, layer.ErrIPCPState) {
		t.Errorf("join without a layer: %v", err)
	}
	if err := p.Bootstrap(t.Context(), ipcp.Config{Type: ipcp.Broadcast, Layer: "bc", Hash: layer.SHA3_512}); err != nil {
		t.Fatal(err)
	}
	if got, want := p.Info(), (ipcp.Info{Layer: "bc", Hash: layer.SHA3_256, MTU: 1399, MPL: 100 * time.Millisecond}); got != want || p.Type() != ipcp.Broadcast {
		t.Errorf("%+v, want %+v", got, want)
	}
	h := layer.SHA3_256.Sum("bc")
	_, _, allocErr := p.Allocate(t.Context(), h, qos.Raw, nil)
	for op, err := range map[string]error{
		"register": p.Register(t.Context(), h), "unregister": p.Unregister(t.Context(), h),
		"query": p.Query(t.Context(), h), "allocate": allocErr,
	} {
		if !errors.Is(err, layer.ErrNotSupported) {
			t.Errorf("%s: %v", op, err)
		}
	}
	if err := p.Connect(t.Context(), "x", cep.Management, qos.Raw); !errors.Is(err, layer.ErrInvalid) {
		t.Errorf("connect management: %v", err)
	}
	if err := p.Connect(t.Context(), "nobody", cep.DataTransfer, qos.Raw); !errors.Is(err, errNobody) {
		t.Errorf("connect to nobody: %v", err)
	}
	if err := p.Disconnect(t.Context(), "x", cep.DataTransfer); err != nil {
		t.Errorf("disconnect what is not connected: %v", err)
	}
}

// Every bit of the hash counts (BC-1).
func TestJoinComparesHash(t *testing.T) {
	p, _ := first(t, newBelow(), "bc")
	right := layer.SHA3_256.Sum("bc")
	for i := range len(right) {
		for _, change := range []byte{1, 0x80, 0xff} {
			wrong := []byte(right)
			wrong[i] ^= change
			if _, err := p.Join(t.Context(), layer.Hash(wrong)); !errors.Is(err, layer.ErrNoName) {
				t.Fatalf("hash wrong in byte %d: %v", i, err)
			}
		}
	}
	for _, wrong := range []layer.Hash{"", right[:31], right + "x", layer.SHA3_224.Sum("bc")} {
		if _, err := p.Join(t.Context(), wrong); !errors.Is(err, layer.ErrInvalid) {
			t.Errorf("hash of %d bytes: %v", len(wrong), err)
		}
	}
	application(t, p)
}

// prototype connects to the IPC process as a C node does.
func prototype(t *testing.T, b *below) *peer {
	t.Helper()
	p := b.request(t, qos.Raw)
	p.send(dataTransferMessage)
	if got := p.next(); !bytes.Equal(got, dataTransferMessage) {
		t.Fatalf("answer %x", got)
	}
	return p
}

// Toward a prototype: no keepalive ever, no timeout, no long packet, no empty
// packet passed on.
func TestPrototypes(t *testing.T) {
	b := newBelow()
	p, tree := first(t, b, "bc")
	app := application(t, p)
	c := prototype(t, b)
	connected := make(chan error)
	go func() { connected <- p.Connect(t.Context(), "c", cep.DataTransfer, qos.Raw) }()
	d := b.next(t)
	want := qos.Raw
	want.Timeout = 0
	if d.flow.qs != want {
		t.Errorf("flow asked for with %v, want %v", d.flow.qs, want)
	}
	if i, err := cep.Parse(d.next()); err != nil || i.Component != cep.DataTransfer || i.Protocol != "" || i.Version != 0 || i.Syntax != 0 || i.Address != 0 || !i.Ours {
		t.Errorf("CEP message %+v, %v", i, err)
	}
	d.send(dataTransferMessage)
	if err := <-connected; err != nil {
		t.Fatal(err)
	}

	awaitNeighbours(t, tree, 3)
	for from, all := 0, []*peer{app, c, d}; from < len(all); from++ {
		msg := fmt.Sprint("from ", from)
		all[from].send(nil)
		all[from].send([]byte(msg))
		for to, p := range all {
			if to != from {
				if got := string(p.next()); got != msg {
					t.Errorf("%d got %q from %d", to, got, from)
				}
			}
		}
	}
	for _, f := range []*flow{c.flow.other, d.flow.other} {
		if !slices.Equal(f.lives(), []time.Duration{0, 0}) {
			t.Errorf("liveness of a flow to a prototype: %v", f.lives())
		}
	}
	app.send(make([]byte, 1400))
	app.send(make([]byte, 1399))
	for _, p := range []*peer{c, d} {
		if got := p.next(); len(got) != 1399 {
			t.Errorf("prototype got %d bytes", len(got))
		}
	}
	checkRIB(t, tree)

	// The flow ends: that neighbour is made again, the other one is left.
	d.flow.Close()
	awaitNeighbours(t, tree, 2)
	d = b.next(t)
	d.next()
	d.send(dataTransferMessage)
	awaitNeighbours(t, tree, 3)
	c.send([]byte("to all"))
	for _, p := range []*peer{app, d} {
		if got := string(p.next()); got != "to all" {
			t.Errorf("got %q", got)
		}
	}
	if err := p.Disconnect(t.Context(), "c", cep.DataTransfer); err != nil {
		t.Error(err)
	}
	d.end()
	c.flow.Close()
}

// awaitNeighbours waits until there are so many: a component gets a connection
// on a goroutine of its own.
func awaitNeighbours(t *testing.T, tree *rib.Tree, n int) {
	t.Helper()
	for start := time.Now(); ; time.Sleep(time.Millisecond) {
		items, err := tree.List("neighbours")
		if err == nil && len(items) == n {
			return
		}
		if time.Since(start) > patience {
			t.Fatalf("%d neighbours, want %d; %v", len(items), n, err)
		}
	}
}

// checkRIB looks for the counters of TestPrototypes.
func checkRIB(t *testing.T, tree *rib.Tree) {
	t.Helper()
	items, err := tree.List("neighbours")
	if err != nil || len(items) != 3 {
		t.Fatalf("neighbours: %v, %v", items, err)
	}
	var text bytes.Buffer
	for _, i := range items {
		e, err := tree.Read("neighbours/" + i.Name)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range e.Fields[1:] {
			fmt.Fprintf(&text, "%s %v; ", f.Label, f.Value)
		}
		text.WriteByte('\n')
	}
	for _, want := range []string{
		"Neighbour: application; Kind: application; Longest packet (bytes): 65536; rcvd (packets): 3; rcvd (bytes): 2805; sent (packets): 2; sent (bytes): 12; repeats (packets): 0; too long (packets): 0; \n",
		"Neighbour: (accepted); Kind: member; Longest packet (bytes): 1399; rcvd (packets): 1; rcvd (bytes): 6; sent (packets): 3; sent (bytes): 1411; repeats (packets): 0; too long (packets): 1; \n",
		"Neighbour: c; Kind: member; Longest packet (bytes): 1399; rcvd (packets): 1; rcvd (bytes): 6; sent (packets): 3; sent (bytes): 1411; repeats (packets): 0; too long (packets): 1; \n",
	} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("no %q in\n%s", want, text.String())
		}
	}
	if items, err := tree.List("connections"); err != nil || len(items) != 2 {
		t.Errorf("connections: %v, %v", items, err)
	}
}

// One of ours gets keepalives and long packets.
func TestOurs(t *testing.T) {
	b := newBelow()
	p, _ := first(t, b, "bc")
	app := application(t, p)
	o := b.request(t, qos.Raw)
	o.send(cep.Info{Component: cep.DataTransfer, Ours: true, Caps: cep.CapKeepalive}.Append(nil))
	if i, err := cep.Parse(o.next()); err != nil || !i.Ours || i.Caps != cep.CapKeepalive {
		t.Errorf("answer %+v, %v", i, err)
	}
	o.send([]byte("member"))
	if got := string(app.next()); got != "member" {
		t.Errorf("application got %q", got)
	}
	if l := o.flow.other.lives(); len(l) != 2 || l[0] <= 0 || l[1] <= l[0] {
		t.Errorf("liveness %v", l)
	}
	app.send(make([]byte, 9000))
	if got := o.next(); len(got) != 9000 {
		t.Errorf("member got %d bytes", len(got))
	}
}

// Hostile first messages end the flow, and nobody else notices (BC-6, BC-7).
func TestHostilePeers(t *testing.T) {
	b := newBelow()
	p, _ := first(t, b, "bc")
	c := prototype(t, b)
	app := application(t, p)
	var flows []*peer
	for _, first := range [][]byte{
		emptyMessage, {}, {0xff}, dataTransferMessage[:10], bytes.Repeat(dataTransferMessage, 9),
		cep.Info{Component: cep.Management, Protocol: "LSP", Version: 1}.Append(nil),
		cep.Info{Component: cep.DataTransfer, Protocol: "dtp", Version: 1, Syntax: 2, Address: 5}.Append(nil),
		cep.Info{Component: cep.DataTransfer, Version: 1}.Append(nil),
	} {
		f := b.request(t, qos.Raw)
		f.send(first)
		flows = append(flows, f)
	}
	silent := b.request(t, qos.Raw)
	// Enrolment and then rubbish.
	rubbish := b.request(t, qos.Raw)
	rubbish.send(enrollmentMessage)
	rubbish.next()
	rubbish.send([]byte{0x0a, 0x02, 1, 2})
	for _, f := range append(flows, rubbish) {
		f.end()
		for len(f.got) > 0 {
			if i, err := cep.Parse(<-f.got); err != nil || i.Component == "" {
				t.Errorf("answered with %+v, %v", i, err)
			}
		}
	}
	c.send([]byte("still here"))
	if got := string(app.next()); got != "still here" {
		t.Errorf("got %q", got)
	}
	silent.end()
}

// An initiator does not take "no such component" for success (BC-7).
func TestConnectRefused(t *testing.T) {
	b := newBelow()
	p, tree := first(t, b, "bc")
	for _, answer := range [][]byte{emptyMessage, enrollmentMessage, {1}, cep.Info{Component: cep.DataTransfer, Protocol: "dtp", Version: 1}.Append(nil)} {
		connected := make(chan error)
		go func() { connected <- p.Connect(t.Context(), "c", cep.DataTransfer, qos.Raw) }()
		c := b.next(t)
		c.next()
		c.send(answer)
		if err := <-connected; err == nil {
			t.Errorf("connected by %x", answer)
		}
		c.end()
	}
	if items, err := tree.List("neighbours"); err != nil || len(items) != 0 {
		t.Errorf("neighbours %v, %v", items, err)
	}
}

// Close ends what there is, also an enrolment that waits, and applications
// hear of it.
func TestClose(t *testing.T) {
	b := newBelow()
	p, tree := first(t, b, "bc")
	app, c := application(t, p), prototype(t, b)
	enrolling := b.request(t, qos.Raw)
	enrolling.send(enrollmentMessage)
	enrolling.next()
	silent := b.request(t, qos.Raw)
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	for _, f := range []*peer{app, c, enrolling} {
		f.end()
	}
	select {
	case <-silent.closed:
	case f := <-b.requests: // was not accepted any more
		f.Close()
	case <-time.After(patience):
		t.Error("flow without a message is still there")
	}
	if items, err := tree.List(""); err != nil || len(items) != 0 {
		t.Errorf("RIB: %v, %v", items, err)
	}
	if _, err := p.Join(t.Context(), layer.SHA3_256.Sum("bc")); !errors.Is(err, layer.ErrIPCPState) {
		t.Errorf("join: %v", err)
	}
	app.send([]byte("nobody")) // is dropped
}

// Applications and connections come and go while packets are sent, and the
// IPC process is closed in the middle of it.
func TestChurn(t *testing.T) {
	b := newBelow()
	p, _ := first(t, b, "bc")
	hash := layer.SHA3_256.Sum("bc")
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			for i := 0; ; i++ {
				port, err := p.Join(t.Context(), hash)
				if err != nil {
					return
				}
				port.Receive(release{})
				for range 50 {
					buf := packet.Get(100)
					buf.SetLen(100)
					port.Send([]*packet.Buffer{buf})
				}
				if i%2 == 0 {
					port.Close()
				}
			}
		})
	}
	wg.Go(func() {
		for range 50 {
			f, o := flowPair("", qos.Raw)
			o.Receive(release{})
			b.requests <- f
			buf := packet.Get(len(dataTransferMessage))
			buf.Append(dataTransferMessage)
			o.Send([]*packet.Buffer{buf})
			for range 20 {
				buf := packet.Get(math.MaxUint8)
				buf.SetLen(math.MaxUint8)
				o.Send([]*packet.Buffer{buf})
			}
			o.Close()
		}
		p.Close()
	})
	wg.Wait()
}

// release is a receiver that wants nothing.
type release struct{}

func (release) Packets(pkts []*packet.Buffer) { packet.ReleaseBatch(pkts) }
func (release) Event(layer.Event)             {}
