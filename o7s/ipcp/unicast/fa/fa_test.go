// SPDX-License-Identifier: BSD-3-Clause

package fa

import (
	"bytes"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"o7gw/o7s/bubble"
	"o7gw/o7s/ipcp/unicast/ca"
	"o7gw/o7s/layer"
	"o7gw/o7s/packet"
	"o7gw/o7s/qos"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Addresses, and names of a layer with SHA3-256.
const (
	alice = 0x11223344
	bob   = 0xAABBCCDD
	carol = 0x01020304
)

var (
	oping = layer.SHA3_256.Sum("oping")
	other = layer.SHA3_256.Sum("other")
)

// parcel is what one member sends to another.
type parcel struct {
	from, to, eid uint64
	cube          uint8
	data          []byte
	at            time.Time
}

// message decodes a message; nil for user data.
func (p parcel) message(t testing.TB) message {
	if p.eid != manageEID {
		return nil
	}
	m, err := parse(p.data, len(oping))
	if err != nil {
		t.Fatalf("%x sent % x: %v", p.from, p.data, err)
	}
	return m
}

// network joins members. What one sends is received at once, by the
// sending goroutine, unless fate says otherwise.
type network struct {
	mtu  atomic.Int64
	fate func(p parcel) []time.Duration // delays of the copies that arrive; nil: one, at once
	mark atomic.Uint32                  // ECN of user data
	mute atomic.Bool                    // user data is not written down

	mu      sync.Mutex
	members map[uint64]member // guarded by mu, as is the rest
	cut     map[uint64]bool
	sent    []parcel
}

// member is a flow allocator, or something that poses as one.
type member interface {
	Manage(pkts []*packet.Buffer)
	Deliver(eid uint64, ecn uint8, pkts []*packet.Buffer)
}

func newNetwork() *network {
	n := &network{members: make(map[uint64]member), cut: make(map[uint64]bool)}
	n.mtu.Store(1400)
	return n
}

// door is the network as one member sees it.
type door struct {
	*network
	self uint64
}

var errNoRoute = errors.New("no route")

func (d door) MTU() int { return int(d.mtu.Load()) }

func (d door) Reachable(dst uint64) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return !d.cut[dst] && d.members[dst] != nil
}

func (d door) Send(dst, eid uint64, pkts []*packet.Buffer) error {
	if !d.Reachable(dst) {
		release(pkts)
		return errNoRoute
	}
	d.mu.Lock()
	to := d.members[dst]
	now := time.Now()
	fates := make([][]time.Duration, len(pkts))
	for i, b := range pkts {
		if d.mute.Load() && eid != manageEID && d.fate == nil {
			continue
		}
		p := parcel{d.self, dst, eid, b.Cube(), bytes.Clone(b.Bytes()), now}
		d.sent = append(d.sent, p)
		if d.fate != nil {
			fates[i] = d.fate(p)
		}
	}
	atOnce := d.fate == nil
	d.mu.Unlock()
	arrive := func(pkts []*packet.Buffer) {
		if eid == manageEID {
			to.Manage(pkts)
		} else {
			to.Deliver(eid, uint8(d.mark.Load()), pkts)
		}
	}
	if atOnce {
		arrive(pkts)
		return nil
	}
	for i, b := range pkts {
		for _, delay := range fates[i] {
			c := []*packet.Buffer{b.Clone()}
			if delay == 0 {
				arrive(c)
			} else {
				time.AfterFunc(delay, func() { arrive(c) })
			}
		}
		b.Release()
	}
	return nil
}

// messages returns what a member sent so far to endpoint 0.
func (n *network) messages(t testing.TB, from uint64) []message {
	var all []message
	for _, p := range n.parcels(from) {
		if m := p.message(t); m != nil {
			all = append(all, m)
		}
	}
	return all
}

func (n *network) parcels(from uint64) []parcel {
	n.mu.Lock()
	defer n.mu.Unlock()
	var all []parcel
	for _, p := range n.sent {
		if p.from == from {
			all = append(all, p)
		}
	}
	return all
}

// upper is an IRM that does what its function says.
type upper func(req *layer.Request)

func (u upper) FlowRequested(req *layer.Request) { u(req) }

// server accepts everything as a node of ours does, or as one that is no
// better than a prototype, and keeps the ports.
type server struct {
	caps layer.Caps
	data []byte // of the answers

	mu       sync.Mutex
	requests []*layer.Request // guarded by mu, as is the rest
	ports    []layer.Port
}

func (s *server) FlowRequested(req *layer.Request) {
	req.Answerer.(layer.PeerAware).SetPeerCaps(s.caps)
	port, err := req.Accept(s.data)
	if err != nil {
		panic(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = append(s.requests, req)
	s.ports = append(s.ports, port)
}

func (s *server) accepted() []layer.Port {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.ports)
}

// join adds a flow allocator to the network, which ends with the test at the
// latest.
func (n *network) join(addr uint64, policy ca.Policy, u layer.Upper) *FA {
	if u == nil {
		u = upper(func(req *layer.Request) { req.Refuse(layer.ErrNoName) })
	}
	a := New(Config{
		Self: addr, Net: door{n, addr}, CA: policy, HashLen: len(oping), Upper: u,
		Registered: func(h layer.Hash) bool { return h == oping },
		Log:        slog.New(slog.DiscardHandler),
	})
	n.mu.Lock()
	n.members[addr] = a
	n.mu.Unlock()
	return a
}

// sink is a receiver that writes down what it gets.
type sink struct {
	mu     sync.Mutex
	got    []string
	at     []time.Time
	events []layer.Event
}

func (s *sink) Packets(pkts []*packet.Buffer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, b := range pkts {
		s.got = append(s.got, string(b.Bytes()))
		s.at = append(s.at, time.Now())
		b.Release()
	}
}

func (s *sink) Event(e layer.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events = append(s.events, e)
}

func (s *sink) packets() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.got)
}

func (s *sink) seen() []layer.Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.events)
}

func buffers(data ...string) []*packet.Buffer {
	var pkts []*packet.Buffer
	for _, d := range data {
		b := packet.Get(len(d))
		b.Append([]byte(d))
		pkts = append(pkts, b)
	}
	return pkts
}

// dial allocates a flow of ours from alice to bob, and returns both ends.
func dial(t *testing.T, a *FA, s *server, qs qos.Spec) (client, accepted layer.Port) {
	t.Helper()
	client, data, err := a.Allocate(t.Context(), bob, oping, qs, []byte("hello"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(data, s.data) {
		t.Fatalf("piggyback %q", data)
	}
	client.(layer.PeerAware).SetPeerCaps(s.caps)
	ports := s.accepted()
	return client, ports[len(ports)-1]
}

// pair is two members and a flow between them.
type pair struct {
	*network
	a, b             *FA
	server           *server
	client, accepted layer.Port
}

func newPair(t *testing.T, policy ca.Policy, qs qos.Spec) *pair {
	t.Helper()
	p := &pair{network: newNetwork(), server: &server{caps: layer.CapTeardown, data: []byte("welcome")}}
	p.a, p.b = p.join(alice, policy, nil), p.join(bob, policy, p.server)
	p.client, p.accepted = dial(t, p.a, p.server, qs)
	return p
}

func (p *pair) close() { p.a.Close(); p.b.Close() }

func TestFlow(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		p := newPair(t, ca.MBECN, qos.Video)
		defer p.close()
		req := p.server.requests[0]
		if req.Dst != oping || req.QoS != qos.Video || string(req.Data) != "hello" {
			t.Errorf("request %+v", req)
		}
		if p.client.MTU() != 1400 || p.accepted.MTU() != 1400 {
			t.Errorf("MTU %d, %d", p.client.MTU(), p.accepted.MTU())
		}
		p.mtu.Store(1300)
		if p.client.MTU() != 1300 {
			t.Errorf("MTU %d", p.client.MTU())
		}
		p.client.Send(buffers("early"))
		var c, s sink
		p.accepted.Receive(&s)
		p.client.Receive(&c)
		p.client.Send(buffers("a", "", "c"))
		p.accepted.Send(buffers("x"))
		if got := s.packets(); !slices.Equal(got, []string{"early", "a", "", "c"}) {
			t.Errorf("received %q", got)
		}
		if got := c.packets(); !slices.Equal(got, []string{"x"}) {
			t.Errorf("received %q", got)
		}
		for _, d := range p.parcels(alice) {
			if d.eid != manageEID && d.cube != uint8(qos.VideoCube) {
				t.Errorf("%+v", d)
			}
		}
		p.client.Close()
		p.client.Close()
		if got := s.seen(); !slices.Equal(got, []layer.Event{layer.Closed}) {
			t.Errorf("events %v", got)
		}
		p.accepted.Close()
		p.client.Send(buffers("late"))
		if p.a.Stats().Flows+p.b.Stats().Flows != 0 {
			t.Errorf("%+v\n%+v", p.a.Stats(), p.b.Stats())
		}
		if d := p.a.Stats().DropNotUp; d != 1 {
			t.Errorf("%d packets dropped behind the end", d)
		}
	})
}

// The packet's mark raises it above the cube of the flow, never below.
func TestCube(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		p := newPair(t, ca.None, qos.Video)
		defer p.close()
		pkts := buffers("be", "voice")
		pkts[1].SetCube(uint8(qos.VoiceCube))
		p.client.Send(pkts)
		all := p.parcels(alice)
		if all = all[len(all)-2:]; all[0].cube != 1 || all[1].cube != 2 {
			t.Errorf("%+v", all)
		}
	})
}

func TestTooLong(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		p := newPair(t, ca.MBECN, qos.Raw)
		defer p.close()
		var s sink
		p.accepted.Receive(&s)
		p.mtu.Store(3)
		p.client.Send(buffers("long", "a", "longer", "bcd", "longest"))
		if got := s.packets(); !slices.Equal(got, []string{"a", "bcd"}) {
			t.Errorf("received %q", got)
		}
		if d := p.a.Stats().DropTooLong; d != 3 {
			t.Errorf("%d dropped", d)
		}
	})
}

// A peer that did not announce it gets no notice.
func TestNoTeardownForPrototypes(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		n := newNetwork()
		s := &server{}
		a, b := n.join(alice, ca.MBECN, nil), n.join(bob, ca.MBECN, s)
		defer b.Close()
		port, _, err := a.Allocate(t.Context(), bob, oping, qos.Raw, nil)
		if err != nil {
			t.Fatal(err)
		}
		port.Close()
		a.Close()
		if m := n.messages(t, alice); len(m) != 1 || b.Stats().Flows != 1 {
			t.Errorf("%+v, %+v", m, b.Stats())
		}
	})
}

// A peer that cannot be reached for a while is reported; it takes longer than
// a router takes to start again.
func TestRoutes(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		p := newPair(t, ca.MBECN, qos.Raw)
		defer p.close()
		var c sink
		p.client.Receive(&c)
		set := func(cut bool) {
			p.mu.Lock()
			p.cut[bob] = cut
			p.mu.Unlock()
			p.a.RoutesChanged()
			p.a.RoutesChanged()
		}
		expect := func(want ...layer.Event) {
			t.Helper()
			synctest.Wait()
			if got := c.seen(); !slices.Equal(got, want) {
				t.Errorf("events %v, want %v", got, want)
			}
		}
		set(false)
		set(true)
		p.client.Send(buffers("lost"))
		time.Sleep(9 * time.Second)
		set(true)
		set(false) // at the last moment
		time.Sleep(5 * time.Second)
		expect()
		set(true)
		time.Sleep(time.Duration(downAfter) - 1)
		expect()
		time.Sleep(time.Duration(1))
		expect(layer.Down)
		time.Sleep(time.Minute)
		set(true)
		expect(layer.Down)
		set(false)
		expect(layer.Down, layer.Up)
		set(true)
		time.Sleep(time.Minute)
		expect(layer.Down, layer.Up, layer.Down)
		if f := p.client.(*flow); f.sendFailed.packets.Load() != 1 || f.sendFailed.bytes.Load() != 4 {
			t.Error("the packet without a route was not counted")
		}
		set(false)
		set(true) // the alarm is set when Close comes
	})
}

// A lost notice is sent again, until the layer closes.
func TestTeardownRepeats(t *testing.T) {
	for lost := range 5 {
		bubble.Test(t, func(t *testing.T) {
			p := newPair(t, ca.MBECN, qos.Video)
			var k sink
			p.accepted.Receive(&k)
			n := 0
			p.fate = func(parcel) []time.Duration {
				if n++; n <= lost {
					return nil
				}
				return []time.Duration{0}
			}
			start := time.Now()
			p.client.Close()
			time.Sleep(5 * time.Second)
			var at []time.Duration
			for _, m := range p.parcels(alice)[1:] {
				at = append(at, m.at.Sub(start))
				if _, ok := m.message(t).(teardown); !ok || m.cube != uint8(qos.VideoCube) {
					t.Errorf("sent %+v", m)
				}
			}
			want := []time.Duration{0, 50 * time.Millisecond, 300 * time.Millisecond, 2 * time.Second}
			if !slices.Equal(at, want) {
				t.Errorf("notices at %v", at)
			}
			if ended := len(k.seen()) == 1; ended != (lost < 4) {
				t.Errorf("%d lost: events %v", lost, k.seen())
			}
			p.close()
		})
	}
}

// Close does not wait for notices that were to be repeated.
func TestCloseWithNotices(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		p := newPair(t, ca.MBECN, qos.Raw)
		start := time.Now()
		p.client.Close()
		time.Sleep(60 * time.Millisecond)
		p.close()
		if d := time.Since(start); d != 60*time.Millisecond {
			t.Errorf("Close took until %v", d)
		}
		time.Sleep(5 * time.Second)
		if m := p.messages(t, alice); len(m) != 3 {
			t.Errorf("sent %+v", m)
		}
	})
}

// Close ends everything: flows, whose users and peers hear of it, and
// allocations under way.
func TestClose(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		p := newPair(t, ca.MBECN, qos.Raw)
		var c, s sink
		p.client.Receive(&c)
		p.accepted.Receive(&s)
		p.mu.Lock()
		p.members[carol] = silent{}
		p.mu.Unlock()
		failed := make(chan error)
		go func() {
			_, _, err := p.a.Allocate(t.Context(), carol, oping, qos.Raw, nil)
			failed <- err
		}()
		synctest.Wait()
		start := time.Now()
		p.a.Close()
		if err := <-failed; !errors.Is(err, layer.ErrIPCPState) {
			t.Errorf("allocation: %v", err)
		}
		if d := time.Since(start); d != 0 {
			t.Errorf("Close took %v", d)
		}
		for _, k := range []*sink{&c, &s} {
			if got := k.seen(); !slices.Equal(got, []layer.Event{layer.Closed}) {
				t.Errorf("events %v", got)
			}
		}
		if p.a.Stats().Flows != 0 || p.b.Stats().Flows != 0 {
			t.Errorf("%+v\n%+v", p.a.Stats(), p.b.Stats())
		}
		if _, _, err := p.a.Allocate(t.Context(), bob, oping, qos.Raw, nil); !errors.Is(err, layer.ErrIPCPState) {
			t.Errorf("allocation after Close: %v", err)
		}
		p.a.Close()
		p.b.Close()
	})
}

// silent is a member that answers nothing.
type silent struct{}

func (silent) Manage(pkts []*packet.Buffer)                         { release(pkts) }
func (silent) Deliver(eid uint64, ecn uint8, pkts []*packet.Buffer) { release(pkts) }
