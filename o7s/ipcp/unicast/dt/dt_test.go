// SPDX-License-Identifier: BSD-3-Clause

package dt

import (
	"bytes"
	"errors"
	"log/slog"
	"reflect"
	"strings"
	"sync"
	"testing"

	"o7gw/o7s/ipcp/unicast/ca"
	"o7gw/o7s/ipcp/unicast/pff"
	"o7gw/o7s/layer"
	"o7gw/o7s/packet"
	"o7gw/o7s/qos"
)

// Addresses of the tests.
const (
	self  = 0x01020304
	left  = 0x11111111
	right = 0x22222222
	user  = 0x0F1E2D3C00000052 // an EID of a flow
)

// port is a layer.Port that records what is sent on it.
type port struct {
	mtu    int
	queued int

	mu       sync.Mutex
	receiver layer.Receiver
	sent     [][]byte
	cubes    []uint8 // marks of the buffers
	batches  []int   // their sizes
	reads    int     // of queued
}

func (p *port) Send(pkts []*packet.Buffer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, b := range pkts {
		p.sent = append(p.sent, bytes.Clone(b.Bytes()))
		p.cubes = append(p.cubes, b.Cube())
	}
	p.batches = append(p.batches, len(pkts))
	packet.ReleaseBatch(pkts)
}

func (p *port) Receive(r layer.Receiver) { p.receiver = r }
func (p *port) MTU() int                 { return p.mtu }
func (p *port) Close() error             { panic("dt closes no port") }
func (p *port) Queued() int              { p.reads++; return p.queued }

// come lets packets come in from the neighbour.
func (p *port) come(pkts ...[]byte) { p.receiver.Packets(buffers(pkts...)) }

func buffers(pkts ...[]byte) []*packet.Buffer {
	var list []*packet.Buffer
	for _, p := range pkts {
		b := packet.Get(len(p))
		b.Append(p)
		list = append(list, b)
	}
	return list
}

// run is a call of Deliver, or of a component with ecn -1.
type run struct {
	eid  uint64
	ecn  int
	pkts string // payloads, separated by a space
}

// node is a DT with neighbours left and right, destinations as well.
type node struct {
	*DT
	left, right     *port
	toLeft, toRight *Neighbour
	runs            []run
	delivered       uint64 // packets in runs
	events          []layer.Event
	log             bytes.Buffer
	marked          bool // a delivered buffer had the mark of a cube
}

func (n *node) Deliver(eid uint64, ecn uint8, pkts []*packet.Buffer) { n.record(eid, int(ecn), pkts) }

func (n *node) record(eid uint64, ecn int, pkts []*packet.Buffer) {
	var s []string
	for _, b := range pkts {
		s = append(s, string(b.Bytes()))
		if b.Cube() != 0 {
			n.marked = true
		}
	}
	n.delivered += uint64(len(pkts))
	packet.ReleaseBatch(pkts)
	n.runs = append(n.runs, run{eid, ecn, strings.Join(s, " ")})
}

func newNode(t testing.TB, change ...func(*Config)) *node {
	n := &node{left: &port{mtu: 1500}, right: &port{mtu: 1400}}
	cfg := Config{Self: self, AddrSize: 4, MaxTTL: 60, Mark: ca.MBECN, Log: slog.New(slog.NewTextHandler(&n.log, nil))}
	for _, c := range change {
		c(&cfg)
	}
	n.DT = New(cfg)
	for eid := range uint64(2) {
		n.Component(eid, func(pkts []*packet.Buffer) { n.record(eid, -1, pkts) })
	}
	n.SetFlows(n)
	event := func(e layer.Event) { n.events = append(n.events, e) }
	n.toLeft = n.Add(left, n.left, qos.Raw, event)
	n.toRight = n.Add(right, n.right, qos.Voice, event)
	n.Table().Set([]pff.Route[*Neighbour]{{Dst: left, Hops: []*Neighbour{n.toLeft}}, {Dst: right, Hops: []*Neighbour{n.toRight}}})
	t.Cleanup(func() {
		if n.marked {
			t.Error("a packet was delivered with the mark of its cube")
		}
	})
	return n
}

// pdu makes a packet of a layer with addresses of 4 bytes.
func pdu(h Header, payload string) []byte {
	b := make([]byte, Format(4).Len(), 100)
	Format(4).Put(b, h)
	return append(b, payload...)
}

func equal[T any](t *testing.T, what string, got, want T) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s: %+v, want %+v", what, got, want)
	}
}

func TestForward(t *testing.T) {
	n := newNode(t)
	n.right.queued = 48
	n.left.come(
		pdu(Header{Dst: right, Cube: 2, TTL: 60, ECN: 4, EID: user}, "a"),
		pdu(Header{Dst: left, TTL: 255, ECN: 9, EID: 1}, "back"), // no split horizon
		pdu(Header{Dst: right, Cube: 3, TTL: 2, EID: 0}, "b"),    // names no cube
	)
	equal(t, "right", n.right.sent, [][]byte{
		pdu(Header{Dst: right, Cube: 2, TTL: 59, ECN: 4 | 3, EID: user}, "a"),
		pdu(Header{Dst: right, Cube: 3, TTL: 1, ECN: 3, EID: 0}, "b"),
	})
	equal(t, "left", n.left.sent, [][]byte{pdu(Header{Dst: left, TTL: 254, ECN: 9, EID: 1}, "back")})
	equal(t, "marks", n.right.cubes, []uint8{2, 0})
	equal(t, "batches", n.right.batches, []int{2})
	equal(t, "reads of the queue", n.right.reads, 1)
	equal(t, "from left", n.toLeft.Stats(), Stats{
		Received: [3]Count{{2, 19 + 16}, {}, {1, 16}}, Sent: [3]Count{{1, 19}},
	})
	equal(t, "to right", n.toRight.Stats(), Stats{Sent: [3]Count{{1, 16}, {}, {1, 16}}})
}

func TestForwardWithoutMarks(t *testing.T) {
	n := newNode(t, func(c *Config) { c.Mark = ca.None })
	n.right.queued = 48
	n.left.come(pdu(Header{Dst: right, TTL: 60, ECN: 4}, "a"))
	equal(t, "right", n.right.sent, [][]byte{pdu(Header{Dst: right, TTL: 59, ECN: 4}, "a")})
}

func TestDropTransit(t *testing.T) {
	n := newNode(t)
	n.left.come(
		pdu(Header{Dst: right, TTL: 1, Cube: 1}, "dies"),
		pdu(Header{Dst: right, TTL: 0}, "would wrap"),
		pdu(Header{Dst: 0x33333333, TTL: 9}, "nowhere"),
		pdu(Header{Dst: 0x33333333, TTL: 9}, "nowhere"),
		pdu(Header{Dst: 0, TTL: 9}, ""),
		pdu(Header{Dst: right, TTL: 60}, "")[:14], // no whole header
		[]byte("x"),
		nil, // keepalive
		pdu(Header{Dst: right, TTL: 2}, "lives"),
	)
	equal(t, "sent", n.right.sent, [][]byte{pdu(Header{Dst: right, TTL: 1}, "lives")})
	equal(t, "stats", n.toLeft.Stats(), Stats{
		Received:  [3]Count{{5, 25 + 22 + 22 + 15 + 20}, {1, 19}, {}},
		TTL:       [3]Count{{1, 25}, {1, 19}, {}},
		NoNextHop: [3]Count{{3, 22 + 22 + 15}},
		Malformed: 2,
	})
	if len(n.runs) != 0 {
		t.Errorf("delivered %v", n.runs)
	}
}

func TestTooLong(t *testing.T) {
	n := newNode(t)
	long := pdu(Header{Dst: right, TTL: 60, Cube: 1}, strings.Repeat("x", 1386))
	for range 2 {
		n.left.come(long, long[:1400])
	}
	own := func(size int) []*packet.Buffer { return buffers(make([]byte, size), []byte("short")) }
	if err := n.Send(right, user, own(1386)); err != nil {
		t.Error(err)
	}
	if err := n.Send(right, user, own(1385)); err != nil {
		t.Error(err)
	}
	var sizes []int
	for _, p := range n.right.sent {
		sizes = append(sizes, len(p))
	}
	equal(t, "sizes", sizes, []int{1400, 1400, 20, 1400, 20})
	s := n.toRight.Stats()
	equal(t, "too long", s.TooLong, 3)
	equal(t, "failed", s.FailedSends, [3]Count{{1, 1401}, {2, 2802}, {}})
	equal(t, "log lines", strings.Count(n.log.String(), "packet is too long"), 1)
	equal(t, "MTU", n.MTU(), 1385)
}

func TestDeliver(t *testing.T) {
	n := newNode(t)
	h := func(eid uint64, ecn uint8) Header { return Header{Dst: self, Cube: 2, TTL: 1, ECN: ecn, EID: eid} }
	n.left.come(
		pdu(h(user, 0), "a"), pdu(h(user+1, 0), "b"), pdu(h(user, 0), "c"), // sorted by endpoint
		pdu(h(user, 7), "d"), pdu(h(user, 0), "e"), // each mark apart, in order
		pdu(h(user, 0), ""),    // a keepalive of the flow's ends
		pdu(h(0, 3), "goes"),   // behind what came before
		pdu(h(1, 0), "lookup"), // EIDs of components
		pdu(h(0, 0), "there"),
		pdu(h(2, 0), "none"), // no such component
		pdu(h(user, 0), "f"),
		pdu(h(63, 0), "none"),
		pdu(Header{Dst: self, TTL: 0, EID: user}, "g"), // TTL counts for transit only
	)
	equal(t, "runs", n.runs, []run{
		{user, 0, "a c"}, {user, 7, "d"}, {user, 0, "e "}, {user + 1, 0, "b"},
		{0, -1, "goes there"}, {1, -1, "lookup"},
		{user, 0, "f g"},
	})
	s := n.toLeft.Stats()
	equal(t, "unknown EIDs", s.UnknownEID, 2)
	equal(t, "received", s.Received, [3]Count{{1, 16}, {}, {12, 12*15 + 29}})
	equal(t, "for components", s.LocalRecvd, [3]Count{{}, {}, {3, 3*15 + 15}})
}

// More endpoints, next hops and packets in a batch than are sorted at once.
func TestLargeBatch(t *testing.T) {
	const endpoints, each = 3 * bins, 3 * packet.BatchSize
	n := newNode(t)
	var ports []*port
	var routes []pff.Route[*Neighbour]
	for i := range uint64(endpoints) {
		p := &port{mtu: 1500}
		ports = append(ports, p)
		routes = append(routes, pff.Route[*Neighbour]{Dst: 100 + i, Hops: []*Neighbour{n.Add(100+i, p, qos.Raw, nil)}})
	}
	n.Table().Set(routes)
	var batch [][]byte
	for i := range each {
		for e := range uint64(endpoints) {
			// Some packets are dropped, and one endpoint has most.
			batch = append(batch,
				pdu(Header{Dst: self, EID: 1000 + e}, string(rune('A'+i))),
				pdu(Header{Dst: 100 + e, TTL: 3, EID: user}, string(rune('A'+i))),
				pdu(Header{Dst: 100, TTL: 3, EID: user + 1}, "x"),
				[]byte("short"))
		}
	}
	n.left.come(batch...)
	got := map[uint64]string{}
	for _, r := range n.runs {
		got[r.eid] += strings.ReplaceAll(r.pkts, " ", "")
	}
	var want strings.Builder
	for i := range each {
		want.WriteRune(rune('A' + i))
	}
	for e := range uint64(endpoints) {
		if got[1000+e] != want.String() {
			t.Errorf("endpoint %d received %q", e, got[1000+e])
		}
		var s strings.Builder
		for _, p := range ports[e].sent {
			if h, _ := Format(4).Parse(p); h.EID == user {
				s.Write(p[15:])
			}
		}
		if s.String() != want.String() {
			t.Errorf("next hop %d was sent %q", e, s.String())
		}
	}
	equal(t, "to the first", len(ports[0].sent), each+each*endpoints)
	equal(t, "malformed", n.toLeft.Stats().Malformed, each*endpoints)
}

func TestSend(t *testing.T) {
	n := newNode(t)
	n.right.queued = 16 * 300 // the mark has 8 bits
	pkts := buffers([]byte("voice"), []byte("best"), nil)
	pkts[0].SetCube(2)
	if err := n.Send(right, user, pkts); err != nil {
		t.Fatal(err)
	}
	if err := n.Send(right, 1, buffers([]byte("lookup"))); err != nil {
		t.Fatal(err)
	}
	h := func(cube uint8, eid uint64) Header { return Header{right, cube, 60, 300 & 0xff, eid} }
	equal(t, "right", n.right.sent, [][]byte{
		pdu(h(2, user), "voice"), pdu(h(0, user), "best"), pdu(h(0, user), ""), pdu(h(0, 1), "lookup"),
	})
	equal(t, "marks", n.right.cubes, []uint8{2, 0, 0, 0})
	equal(t, "batches", n.right.batches, []int{3, 1})
	equal(t, "reads of the queue", n.right.reads, 2)
	equal(t, "to right", n.toRight.Stats(), Stats{
		Sent: [3]Count{{3, 19 + 15 + 21}, {}, {1, 20}}, LocalSent: [3]Count{{1, 21}},
	})
}

// The example of spec 20 §3.8, at its origin and behind a forwarder.
func TestExample(t *testing.T) {
	n := newNode(t)
	n.Table().Set([]pff.Route[*Neighbour]{{Dst: 0xAABBCCDD, Hops: []*Neighbour{n.toRight}}})
	n.right.queued = 32
	if err := n.Send(0xAABBCCDD, user, buffers([]byte("hello"))); err != nil {
		t.Fatal(err)
	}
	n.right.queued = 0
	n.left.come(n.right.sent[0])
	equal(t, "sent", n.right.sent, [][]byte{
		unhex(t, "ddccbbaa003c02520000003c2d1e0f68656c6c6f"),
		unhex(t, "ddccbbaa003b02520000003c2d1e0f68656c6c6f"),
	})
}

func TestNoRoute(t *testing.T) {
	n := newNode(t)
	n.Table().Set([]pff.Route[*Neighbour]{{Dst: self, Hops: []*Neighbour{n.toLeft}}})
	for _, dst := range []uint64{self, right, 0} {
		if err := n.Send(dst, 1, buffers([]byte("a"), []byte("b"))); !errors.Is(err, ErrNoRoute) {
			t.Errorf("to %x: %v", dst, err)
		}
		if n.Reachable(dst) {
			t.Errorf("%x is reachable", dst)
		}
	}
	equal(t, "packets without route", n.NoRoute(), 6)
	n.Table().Set([]pff.Route[*Neighbour]{{Dst: right, Hops: []*Neighbour{n.toRight}}})
	equal(t, "reachable", n.Reachable(right), true)
	n.Table().SetDown(n.toRight, true)
	equal(t, "reachable", n.Reachable(right), false)
}

func TestMTU(t *testing.T) {
	d := New(Config{Self: self, AddrSize: 8, MaxTTL: 1})
	equal(t, "alone", d.MTU(), DefaultMTU)
	a, b := &port{mtu: 1500}, &port{mtu: 9000}
	toA, toB := d.Add(1, a, qos.Raw, nil), d.Add(2, b, qos.Raw, nil)
	equal(t, "both", d.MTU(), 1500-19)
	b.mtu = 10
	equal(t, "less than a header", d.MTU(), 0)
	d.Remove(toB)
	equal(t, "one", d.MTU(), 1500-19)
	d.Remove(toA)
	equal(t, "none", d.MTU(), DefaultMTU)
}

func TestEvents(t *testing.T) {
	n := newNode(t)
	for _, e := range []layer.Event{layer.Down, layer.Up, layer.Closed} {
		n.left.receiver.Event(e)
	}
	equal(t, "events", n.events, []layer.Event{layer.Down, layer.Up, layer.Closed})
}

// After Remove nothing comes from the neighbour and nothing goes to it, even
// if somebody had looked it up before.
func TestRemove(t *testing.T) {
	n := newNode(t)
	n.Remove(n.toLeft)
	n.Remove(n.toLeft)
	n.left.come(pdu(Header{Dst: right, TTL: 9}, "a"), pdu(Header{Dst: self, EID: user}, "b"))
	n.left.receiver.Event(layer.Closed)
	if len(n.right.sent) != 0 || len(n.runs) != 0 || len(n.events) != 0 {
		t.Errorf("sent %x, delivered %v, events %v", n.right.sent, n.runs, n.events)
	}
	equal(t, "reachable", n.Reachable(left), false)
	n.Table().Set([]pff.Route[*Neighbour]{{Dst: left, Hops: []*Neighbour{n.toLeft}}}) // as one that is late
	n.right.come(pdu(Header{Dst: left, TTL: 9, Cube: 1}, "a"))
	if err := n.Send(left, user, buffers([]byte("abc"))); err != nil {
		t.Error(err)
	}
	equal(t, "sent", len(n.left.sent), 0)
	equal(t, "to left", n.toLeft.Stats(), Stats{FailedSends: [3]Count{{1, 18}, {1, 16}, {}}})
}

// Several ports to one member are neighbours of their own.
func TestParallel(t *testing.T) {
	n := newNode(t, func(c *Config) { c.Policy = pff.Alternate })
	p := &port{mtu: 1500}
	second := n.Add(right, p, qos.Data, nil)
	equal(t, "address", second.Addr(), right)
	equal(t, "QoS", second.QoS(), qos.Data)
	n.Table().Set([]pff.Route[*Neighbour]{{Dst: right, Hops: []*Neighbour{n.toRight, second}}})
	send := func() {
		if err := n.Send(right, user, buffers([]byte("x"))); err != nil {
			t.Error(err)
		}
	}
	send()
	n.Remove(n.toRight)
	send()
	equal(t, "first", len(n.right.sent), 1)
	equal(t, "second", len(p.sent), 1)
}

func TestSizesRefused(t *testing.T) {
	for _, c := range []Config{{AddrSize: 0, MaxTTL: 1}, {AddrSize: 9, MaxTTL: 1}, {AddrSize: 4}, {AddrSize: 4, MaxTTL: 256}} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%+v was taken", c)
				}
			}()
			New(c)
		}()
	}
}

func TestWithoutFlows(t *testing.T) {
	d := New(Config{Self: self, AddrSize: 4, MaxTTL: 1})
	p := &port{mtu: 1500}
	n := d.Add(1, p, qos.Raw, nil)
	p.receiver.Event(layer.Up) // nobody cares
	p.come(pdu(Header{Dst: self, EID: user}, "x"))
	equal(t, "unknown EIDs", n.Stats().UnknownEID, 1)
}
