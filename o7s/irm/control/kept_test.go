// SPDX-License-Identifier: BSD-3-Clause

package control

import (
	"context"
	"net"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"o7gw/o7s/flow"
	"o7gw/o7s/irm/irmpb"
	"o7gw/o7s/qos"
	"o7gw/o7s/ring"
)

// asker is a client without any manners.
type asker struct {
	t    *testing.T
	sock *net.UnixConn
	m    *message
	last uint64
}

// ask requests a flow and offers the ring of a request. The flow's other end is
// accepted by the server.
func (a *asker) ask(server *Client, kept uint64) (id uint64, f *irmpb.Flow, files []ring.FD, its *flow.Attachment) {
	a.t.Helper()
	accepted := make(chan *flow.Attachment, 1)
	go func() {
		its, err := server.Accept(testContext(a.t), "n")
		if err != nil {
			a.t.Error(err)
		}
		accepted <- its
	}()
	a.last++
	named := &irmpb.Named{Name: []byte("n"), Qos: qosToPB(qos.Raw), Kept: kept}
	if _, err := a.sock.Write(encode(a.t, &irmpb.Request{Id: a.last, Op: &irmpb.Request_Alloc{Alloc: named}})); err != nil {
		a.t.Fatal(err)
	}
	a.sock.SetReadDeadline(time.Now().Add(patience))
	b, files, err := a.m.receive(a.sock)
	if err != nil {
		a.t.Fatal(err)
	}
	r := new(irmpb.Reply)
	if err := proto.Unmarshal(b, r); err != nil || r.GetId() != a.last || r.GetFlow() == nil {
		a.t.Fatalf("reply %v, %v", r, err)
	}
	return a.last, r.GetFlow(), files, <-accepted
}

// TestKeptRings: the daemon takes a ring that is offered once, after the flow has ended
// on its side, and no other; whatever the client does with the memory meanwhile.
func TestKeptRings(t *testing.T) {
	from, to := pairOfDaemons(t)
	server, good := to.dial(t), from.dial(t)
	listenOn(t, server, "n")
	a := &asker{t: t, sock: from.raw(t), m: newMessage(MaxReply, maxFiles), last: 1}
	if _, err := a.sock.Write(helloMessage(t)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := a.m.receive(a.sock); err != nil {
		t.Fatal(err)
	}
	open := func(files []ring.FD) *ring.End {
		if len(files) != maxFiles {
			t.Fatalf("%d files", len(files))
		}
		e, err := ring.Open(ring.Files{Mem: files[0], Bell: files[1], Side: ring.SideB})
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	// again asks until the daemon has left the ring, too.
	again := func(kept uint64) (id uint64, its *flow.Attachment) {
		for range 1000 {
			id, f, files, its := a.ask(server, kept)
			if f.GetKept() {
				if len(files) > 0 {
					t.Errorf("%d files come with a ring that was kept", len(files))
				}
				return id, its
			}
			open(files).Close()
			closeFlow(its)
		}
		t.Fatal("the ring is never taken")
		return 0, nil
	}
	id, f, files, its := a.ask(server, 0)
	e := open(files)
	if f.GetKept() {
		t.Error("the first flow has a ring that was kept")
	}
	// It is in use, so it is not taken, nor is one that there is not.
	for _, offer := range []uint64{id, 4711} {
		_, f, files, other := a.ask(server, offer)
		if f.GetKept() {
			t.Errorf("ring %d is not free", offer)
		}
		open(files).Close()
		closeFlow(other)
	}
	var left *ring.Kept
	e.Keep(func(k *ring.Kept) { left = k })
	e.Close()
	closeFlow(its)
	id2, its := again(id)
	_, f, files, third := a.ask(server, id)
	if f.GetKept() {
		t.Error("the ring was taken twice")
	}
	open(files).Close()
	closeFlow(third)

	e = left.Open()
	mine := &flow.Attachment{Ring: e}
	carries(t, mine, its, "there")
	carries(t, its, mine, "and back")
	// The memory is spoilt while nobody uses it. That harms the flow alone.
	e.Keep(func(k *ring.Kept) { left = k })
	e.Close()
	closeFlow(its)
	_, its = again(id2)
	spoilt := left.Renew() // as if by the daemon, with the flow under way
	spoilt.Write(make([]byte, 100), ring.NoWait)
	left.Renew()
	closeFlow(its)
	mine, its = flows(t, good, server, "n")
	carries(t, mine, its, "others do not care")
	closeFlow(mine)
	closeFlow(its)
}

// TestManyShortFlows: rings go from flow to flow, and what one has written none of the
// others reads. At the end nothing is left.
func TestManyShortFlows(t *testing.T) {
	from, to := pairOfDaemons(t)
	client, server := from.dial(t), to.dial(t)
	listenOn(t, server, "n")
	short := func(n int) {
		mine, its := flows(t, client, server, "n")
		switch n % 4 {
		case 0:
			carries(t, mine, its, "from the client")
		case 1:
			carries(t, its, mine, "from the server")
			write(its, []byte("unread"))
		case 2:
			write(mine, []byte("unread"))
		}
		if n%8 < 4 {
			mine, its = its, mine
		}
		closeFlow(mine)
		if n%16 < 12 {
			drain(its)
		}
		closeFlow(its)
	}
	for n := range 16 {
		short(n)
	}
	rest := func() {
		eventually(t, "the rings that were kept go", func() bool {
			for _, c := range []*Client{client, server} {
				c.kept.mu.Lock()
				n := len(c.kept.list)
				c.kept.mu.Unlock()
				if n > 0 {
					return false
				}
			}
			return true
		})
	}
	rest()
	files := openFiles(t)
	for n := range 400 {
		short(n)
	}
	rest()
	eventually(t, "descriptors are given back", func() bool { return openFiles(t) <= files })
}

// drain reads until the end of the flow.
func drain(a *flow.Attachment) {
	for buf := make([]byte, 100); ; {
		if _, err := read(a, buf); err != nil {
			return
		}
	}
}

// TestKeptOfTheGone: a client that goes leaves nothing in the daemon.
func TestKeptOfTheGone(t *testing.T) {
	from, to := pairOfDaemons(t)
	server := to.dial(t)
	listenOn(t, server, "n")
	once := func() {
		c, err := Dial(context.Background(), from.dir)
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			mine, its := flows(t, c, server, "n")
			closeFlow(mine)
			closeFlow(its)
		}
		c.Close()
	}
	once()
	files := openFiles(t)
	for range 50 {
		once()
	}
	eventually(t, "descriptors are given back", func() bool { return openFiles(t) <= files+1 })
}
