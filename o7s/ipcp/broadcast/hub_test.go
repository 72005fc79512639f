// SPDX-License-Identifier: BSD-3-Clause

package broadcast

import (
	"encoding/binary"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"

	"o7gw/o7s/layer"
	"o7gw/o7s/packet"
)

// end is a connection in a test.
type end struct {
	layer.Port
	dst  string
	ours bool
	mtu  int // 0: that of Port
}

func (e *end) Dst() string { return e.dst }
func (e *end) Ours() bool  { return e.ours }
func (e *end) MTU() int {
	if e.mtu != 0 {
		return e.mtu
	}
	return e.Port.MTU()
}

// reader writes down what it gets.
type reader struct {
	mu     sync.Mutex
	got    []string
	events []layer.Event
}

func (r *reader) Packets(pkts []*packet.Buffer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, b := range pkts {
		r.got = append(r.got, string(b.Bytes()))
	}
	packet.ReleaseBatch(pkts)
}

func (r *reader) Event(e layer.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, e)
}

// take returns what has come since the last time.
func (r *reader) take() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	got := r.got
	r.got = nil
	return got
}

func (r *reader) text() string { return strings.Join(r.take(), " ") }

func testHub() *hub { return newHub(slog.New(slog.DiscardHandler)) }

// joined is an application that reads.
func joined(t testing.TB, h *hub) (*app, *reader) {
	t.Helper()
	p, err := h.join()
	if err != nil {
		t.Fatal(err)
	}
	r := new(reader)
	p.Receive(r)
	return p.(*app), r
}

// far connects the hub to a member that the test plays.
func far(h *hub, e *end) (layer.Port, *reader) {
	near, port := layer.Pipe()
	e.Port = near
	h.attach(e)
	r := new(reader)
	port.Receive(r)
	return port, r
}

// connect connects two members of ours.
func connect(a, b *hub) layer.Port {
	x, y := layer.Pipe()
	b.attach(&end{Port: y, ours: true})
	a.attach(&end{Port: x, dst: "b", ours: true})
	return x
}

func packets(texts ...string) []*packet.Buffer {
	var pkts []*packet.Buffer
	for _, s := range texts {
		b := packet.Get(len(s))
		b.Append([]byte(s))
		pkts = append(pkts, b)
	}
	return pkts
}

func want(t *testing.T, what string, r *reader, texts string) {
	t.Helper()
	if got := r.text(); got != texts {
		t.Errorf("%s got %q, want %q", what, got, texts)
	}
}

func TestForwardToAllOthers(t *testing.T) {
	h := testHub()
	var ports [4]layer.Port
	var readers [4]*reader
	for i := range 2 {
		ports[i], readers[i] = joined(t, h)
		ports[2+i], readers[2+i] = far(h, &end{ours: i == 0})
	}
	for i, p := range ports {
		p.Send(packets(fmt.Sprint(i, "a"), "", fmt.Sprint(i, "b")))
	}
	for i, r := range readers {
		var texts []string
		for j := range ports {
			if j != i {
				texts = append(texts, fmt.Sprint(j, "a"), fmt.Sprint(j, "b"))
			}
		}
		want(t, fmt.Sprint("neighbour ", i), r, strings.Join(texts, " "))
	}
}

// Each gets a buffer of its own, with the mark of the packet.
func TestForwardKeepsMark(t *testing.T) {
	h := testHub()
	from, _ := joined(t, h)
	var got []*packet.Buffer
	for range 3 {
		p, err := h.join()
		if err != nil {
			t.Fatal(err)
		}
		p.Receive(collector{&got})
	}
	b := packets("voice")
	b[0].SetCube(2)
	from.Send(b)
	if len(got) != 3 || got[0] == got[1] || got[1] == got[2] || got[0] == got[2] {
		t.Fatalf("got %v", got)
	}
	for _, b := range got {
		if b.Cube() != 2 || string(b.Bytes()) != "voice" {
			t.Errorf("cube %d, %q", b.Cube(), b.Bytes())
		}
	}
	packet.ReleaseBatch(got)
}

type collector struct{ got *[]*packet.Buffer }

func (c collector) Packets(pkts []*packet.Buffer) { *c.got = append(*c.got, pkts...) }
func (c collector) Event(layer.Event)             {}

func sized(n int) string { return strings.Repeat("x", n) }

// lengths returns the lengths of what was received.
func lengths(r *reader) (l []int) {
	for _, s := range r.take() {
		l = append(l, len(s))
	}
	return l
}

func TestLongPackets(t *testing.T) {
	h := testHub()
	port, local := joined(t, h)
	if m := port.MTU(); m != 1399 {
		t.Errorf("MTU %d of an application alone", m)
	}
	_, ours := far(h, &end{ours: true, mtu: 8000})
	if m := port.MTU(); m != 8000 {
		t.Errorf("MTU %d among ours", m)
	}
	_, small := far(h, &end{ours: true, mtu: 1000})
	if m := port.MTU(); m != 1000 {
		t.Errorf("MTU %d with a narrow connection", m)
	}
	cEnd := &end{mtu: 8000}
	c, prototype := far(h, cEnd)
	other, all := joined(t, h)
	other.Send(packets(sized(1000), sized(1001), sized(1399), sized(1400), sized(8000), sized(8001)))
	for _, r := range []struct {
		r    *reader
		want []int
	}{
		{local, []int{1000, 1001, 1399, 1400, 8000, 8001}},
		{ours, []int{1000, 1001, 1399, 1400, 8000}},
		{small, []int{1000}},
		{prototype, []int{1000, 1001, 1399}},
	} {
		if got := lengths(r.r); !slices.Equal(got, r.want) {
			t.Errorf("lengths %v, want %v", got, r.want)
		}
	}
	if n := find(h, cEnd); n.stats.tooLong.Load() != 3 || n.stats.sent.packets.Load() != 3 || n.stats.sent.bytes.Load() != 3400 {
		t.Errorf("counted %d too long, %d sent", n.stats.tooLong.Load(), n.stats.sent.packets.Load())
	}
	// A prototype may send longer ones.
	c.Send(packets(strings.Repeat("y", 1400)))
	if got := lengths(all); !slices.Equal(got, []int{1400}) {
		t.Errorf("lengths %v", got)
	}
}

func find(h *hub, e *end) *neighbour {
	for _, n := range h.list.Load().all {
		if n.out == sender(e) {
			return n
		}
	}
	return nil
}

func TestDeadNeighbour(t *testing.T) {
	h := testHub()
	a, r := joined(t, h)
	x, xr := far(h, &end{dst: "x"})
	_, yr := far(h, &end{dst: "y"})
	a.Send(packets("1"))
	x.Close()
	a.Send(packets("2"))
	want(t, "x", xr, "1")
	want(t, "y", yr, "1 2")
	if n := len(h.list.Load().all); n != 2 {
		t.Errorf("%d neighbours", n)
	}
	if err := a.Close(); err != nil {
		t.Error(err)
	}
	a.Close()
	a.Send(packets("3"))
	want(t, "y", yr, "")
	want(t, "application", r, "")
	h.close()
	if _, err := h.join(); err == nil {
		t.Error("joined a closed hub")
	}
	_, zr := far(h, &end{})
	if len(zr.events) != 1 || zr.events[0] != layer.Closed {
		t.Errorf("events %v of a connection to a closed hub", zr.events)
	}
}

// An application that does not read, or is busy, holds up nobody.
func TestSlowApplication(t *testing.T) {
	h := testHub()
	a, _ := joined(t, h)
	deaf, err := h.join()
	if err != nil {
		t.Fatal(err)
	}
	busy, err := h.join()
	if err != nil {
		t.Fatal(err)
	}
	_, others := joined(t, h)
	entered, leave := make(chan bool, 1), make(chan bool)
	busy.Receive(blocker{entered, leave})
	stuck := make(chan bool)
	go func() {
		a.Send(packets("first"))
		close(stuck)
	}()
	<-entered
	const n = 10000
	b, _ := joined(t, h)
	for i := range n {
		b.Send(packets(fmt.Sprint(i)))
	}
	got := others.take()
	if len(got) < n || got[len(got)-1] != fmt.Sprint(n-1) {
		t.Errorf("others got %d packets", len(got))
	}
	close(leave)
	<-stuck
	for _, p := range []layer.Port{deaf, busy} {
		if d := p.(*app).in.Dropped(); d == 0 || d >= n {
			t.Errorf("%d dropped", d)
		}
	}
}

type blocker struct{ entered, leave chan bool }

func (b blocker) Packets(pkts []*packet.Buffer) {
	packet.ReleaseBatch(pkts)
	select {
	case b.entered <- true:
	default:
	}
	<-b.leave
}
func (b blocker) Event(layer.Event) {}

// From several goroutines, while neighbours come and go: each sender's order
// is kept, nothing is lost that is not dropped at a busy application.
func TestConcurrent(t *testing.T) {
	const senders, each = 4, 2000
	h := testHub()
	_, r := joined(t, h)
	var wg, churn sync.WaitGroup
	stop := make(chan bool)
	churn.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			p, _ := h.join()
			x, _ := far(h, &end{ours: true})
			x.Close()
			p.Close()
		}
	})
	for s := range byte(senders) {
		wg.Go(func() {
			var send func([]*packet.Buffer)
			if s%2 == 0 {
				p, _ := joined(t, h)
				send = p.Send
			} else {
				p, _ := far(h, &end{ours: true})
				send = p.Send
			}
			for i := range uint32(each) {
				send(packets(string(binary.BigEndian.AppendUint32([]byte{s}, i))))
			}
		})
	}
	wg.Wait()
	close(stop)
	churn.Wait()
	var next [senders]uint32
	total := 0
	for _, s := range r.take() {
		who, n := s[0], binary.BigEndian.Uint32([]byte(s[1:]))
		if n < next[who] {
			t.Fatalf("sender %d: %d after %d", who, n, next[who]-1)
		}
		next[who] = n + 1
		total++
	}
	if dropped := int(h.list.Load().all[0].out.(*appSender).in.Dropped()); total+dropped != senders*each {
		t.Errorf("%d received, %d dropped", total, dropped)
	}
}
