// SPDX-License-Identifier: BSD-3-Clause

package udp

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/binary"
	"errors"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"o7gw/o7s/ipcp"
	"o7gw/o7s/layer"
	"o7gw/o7s/packet"
	"o7gw/o7s/qos"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

// upper answers flow requests as its fields say.
type upper struct {
	answer func(r *layer.Request)
}

func (u *upper) FlowRequested(r *layer.Request) { u.answer(r) }

// acceptor accepts each request with caps announced by the requester, echoes
// the piggyback, and passes the ports on.
func acceptor(caps layer.Caps) (*upper, chan layer.Port) {
	ports := make(chan layer.Port, 2000)
	return &upper{func(r *layer.Request) {
		r.Answerer.(layer.PeerAware).SetPeerCaps(caps)
		p, err := r.Accept(r.Data)
		if errors.Is(err, layer.ErrIPCPState) {
			return // closing
		}
		if err != nil {
			panic(err)
		}
		ports <- p
	}}, ports
}

var noUpper = &upper{func(r *layer.Request) { r.Ignore() }}

// testPort keeps the tests away from a real node on this machine, and from
// other runs of them.
var testPort = uint16(20000 + os.Getpid()%10000)

// start makes an operational IPC process at addr with the given address map.
func start(t testing.TB, addr string, u layer.Upper, hosts map[string][]netip.Addr, change ...func(*ipcp.Config)) *IPCP {
	t.Helper()
	typ := ipcp.UDP6
	a := netip.MustParseAddr(addr)
	if a.Is4() {
		typ = ipcp.UDP4
	}
	x, err := New(typ, ipcp.Env{Name: "u", Upper: u, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	cfg := ipcp.Config{Type: typ, Layer: "test", UDP: ipcp.UDPConfig{
		Addr: a, Port: testPort, Hosts: hosts, HostsFile: filepath.Join(t.TempDir(), "hosts"),
	}}
	for _, c := range change {
		c(&cfg)
	}
	if err := x.Bootstrap(context.Background(), cfg); err != nil {
		t.Fatal(err)
	}
	p := x.(*IPCP)
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

// serves maps the service "op" to addresses.
func serves(addrs ...string) map[string][]netip.Addr {
	m := make(map[string][]netip.Addr)
	for _, a := range addrs {
		m["op"] = append(m["op"], netip.MustParseAddr(a))
	}
	return m
}

var op = layer.MD5.Sum("op")

// within is a context for one step of a test.
func within(t testing.TB, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

// connect returns both ends of a flow from client to server.
func connect(t testing.TB, client, server *IPCP, ports chan layer.Port, spec qos.Spec) (c, s layer.Port) {
	t.Helper()
	if err := server.Register(context.Background(), op); err != nil {
		t.Fatal(err)
	}
	c, answer, err := client.Allocate(within(t, 5*time.Second), op, spec, []byte("hello"))
	if err != nil {
		t.Fatal(err)
	}
	if string(answer) != "hello" {
		t.Fatalf("piggyback of the answer is %q", answer)
	}
	return c, <-ports
}

// sink collects what a port receives.
type sink struct {
	mu     sync.Mutex
	got    [][]byte
	events []layer.Event
	more   chan struct{} // capacity 1: something changed
}

func newSink(p layer.Port) *sink {
	s := &sink{more: make(chan struct{}, 1)}
	p.Receive(s)
	return s
}

func (s *sink) signal() {
	select {
	case s.more <- struct{}{}:
	default:
	}
}

func (s *sink) Packets(pkts []*packet.Buffer) {
	s.mu.Lock()
	for _, b := range pkts {
		s.got = append(s.got, bytes.Clone(b.Bytes()))
	}
	s.mu.Unlock()
	release(pkts)
	s.signal()
}

func (s *sink) Event(e layer.Event) {
	s.mu.Lock()
	s.events = append(s.events, e)
	s.mu.Unlock()
	s.signal()
}

// wait waits until ok, called with the lock held, is true.
func (s *sink) wait(t testing.TB, what string, ok func() bool) {
	t.Helper()
	limit := time.After(5 * time.Second)
	for {
		s.mu.Lock()
		done := ok()
		n := len(s.got)
		s.mu.Unlock()
		if done {
			return
		}
		select {
		case <-s.more:
		case <-limit:
			t.Fatalf("no %s after 5 s; %d packets", what, n)
		}
	}
}

func (s *sink) packets(t testing.TB, n int) [][]byte {
	t.Helper()
	s.wait(t, "packets", func() bool { return len(s.got) >= n })
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.got)
}

func (s *sink) closed(t testing.TB) {
	t.Helper()
	s.wait(t, "end of flow", func() bool { return len(s.events) > 0 && s.events[len(s.events)-1] == layer.Closed })
}

// buffers makes packets of the given contents.
func buffers(contents ...[]byte) []*packet.Buffer {
	var pkts []*packet.Buffer
	for _, c := range contents {
		b := packet.Get(len(c))
		b.Append(c)
		pkts = append(pkts, b)
	}
	return pkts
}

// eventually polls a condition that no event tells about.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(5 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("no %s after 5 s", what)
		}
	}
}

func exchange(t *testing.T, client, server *IPCP, ports chan layer.Port) {
	a, b := connect(t, client, server, ports, qos.Raw)
	sa, sb := newSink(a), newSink(b)
	a.Send(buffers([]byte("one"), nil, []byte("three"))) // the empty one is a keepalive
	b.Send(buffers([]byte("back")))
	if got := sb.packets(t, 3); string(got[0]) != "one" || len(got[1]) != 0 || string(got[2]) != "three" {
		t.Fatalf("got %q", got)
	}
	if got := sa.packets(t, 1); string(got[0]) != "back" {
		t.Fatalf("got %q", got)
	}
	if err := errors.Join(a.Close(), b.Close(), a.Close()); err != nil {
		t.Fatal(err)
	}
	if c, s := client.Stats(), server.Stats(); c.Flows+s.Flows != 0 {
		t.Fatalf("flows left: %+v %+v", c, s)
	}
}

func TestLoopback4(t *testing.T) {
	u, ports := acceptor(layer.CapTeardown)
	exchange(t, start(t, "127.0.0.1", noUpper, serves("127.0.0.2")), start(t, "127.0.0.2", u, nil), ports)
}

// There is but one IPv6 loopback address: the flow goes from the IPC process
// to itself.
func TestLoopback6(t *testing.T) {
	u, ports := acceptor(layer.CapTeardown)
	p := start(t, "::1", u, serves("127.0.0.1", "::1"))
	if p.mtu != maxDatagram6-eidLen {
		t.Errorf("MTU %d", p.mtu)
	}
	exchange(t, p, p, ports)
}

func TestLayerOfLoopback(t *testing.T) {
	p := start(t, "127.0.0.1", noUpper, nil)
	want := ipcp.Info{Layer: "test", Hash: layer.MD5, MTU: 8976, MPL: 5 * time.Second, Uncontrolled: true}
	if p.Info() != want {
		t.Errorf("Info = %+v, want %+v", p.Info(), want)
	}
	if p.State() != ipcp.Operational || p.Type() != ipcp.UDP4 {
		t.Errorf("%v %v", p.State(), p.Type())
	}
	ctx := context.Background()
	for what, err := range map[string]error{
		"enroll": p.Enroll(ctx, "x"), "connect": p.Connect(ctx, "x", "Management", qos.Raw),
		"disconnect": p.Disconnect(ctx, "x", "Management"),
		"join":       func() error { _, err := p.Join(ctx, op); return err }(),
	} {
		if !errors.Is(err, layer.ErrNotSupported) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := p.Bootstrap(ctx, ipcp.Config{Type: ipcp.UDP4}); !errors.Is(err, layer.ErrIPCPState) {
		t.Errorf("second bootstrap: %v", err)
	}
}

func TestBootstrapRefuses(t *testing.T) {
	good := netip.MustParseAddr("127.0.0.1")
	for name, c := range map[string]ipcp.Config{
		"other type":       {Type: ipcp.UDP6, Layer: "l", UDP: ipcp.UDPConfig{Addr: good}},
		"no layer name":    {Type: ipcp.UDP4, UDP: ipcp.UDPConfig{Addr: good}},
		"no address":       {Type: ipcp.UDP4, Layer: "l"},
		"unspecified":      {Type: ipcp.UDP4, Layer: "l", UDP: ipcp.UDPConfig{Addr: netip.IPv4Unspecified()}},
		"other family":     {Type: ipcp.UDP4, Layer: "l", UDP: ipcp.UDPConfig{Addr: netip.IPv6Loopback()}},
		"nobody's address": {Type: ipcp.UDP4, Layer: "l", UDP: ipcp.UDPConfig{Addr: netip.MustParseAddr("192.0.2.1")}},
		"multicast DNS":    {Type: ipcp.UDP4, Layer: "l", UDP: ipcp.UDPConfig{Addr: good, DNS: netip.MustParseAddr("224.0.0.251")}},
		"tiny MTU":         {Type: ipcp.UDP4, Layer: "l", UDP: ipcp.UDPConfig{Addr: good, MTU: 60}},
		"unknown zone":     {Type: ipcp.UDP4, Layer: "l", UDP: ipcp.UDPConfig{Addr: netip.MustParseAddr("fe80::1%nosuch")}},
	} {
		x, err := New(ipcp.UDP4, ipcp.Env{Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		if err := x.Bootstrap(context.Background(), c); err == nil {
			t.Errorf("%s: accepted", name)
		}
		if x.State() != ipcp.Boot {
			t.Errorf("%s: state %v", name, x.State())
		}
		x.Close()
	}
	if _, err := New(ipcp.Local, ipcp.Env{}); !errors.Is(err, layer.ErrIPCPType) {
		t.Errorf("New(Local): %v", err)
	}
}

func TestMTU(t *testing.T) {
	for _, c := range []struct {
		typ         ipcp.Type
		device, mtu int
	}{
		{ipcp.UDP4, 1500, 1468}, {ipcp.UDP6, 1500, 1448}, {ipcp.UDP4, 65536, 8976}, {ipcp.UDP6, 65536, 8948}, {ipcp.UDP4, 9000, 8968},
	} {
		if got, err := packetMTU(c.typ, c.device); got != c.mtu || err != nil {
			t.Errorf("%v on %d: %d, %v, want %d", c.typ, c.device, got, err, c.mtu)
		}
	}
}

// checked makes a packet whose content proves itself: number, filler, digest.
func checked(n uint32, size int) []byte {
	b := make([]byte, size)
	binary.BigEndian.PutUint32(b, n)
	for i := 4; i < size-md5.Size; i++ {
		b[i] = byte(i) ^ byte(n)
	}
	sum := md5.Sum(b[:size-md5.Size])
	copy(b[size-md5.Size:], sum[:])
	return b
}

// The same bytes arrive whatever the kernel offers, in order.
func TestOffloadsOnAndOff(t *testing.T) {
	sizes := []int{1024, 1024, 1024, 1024, 1024, 1024, 20, 20, 20, 8976, 8976, 8976, 8976, 8976, 8976, 8976, 8976, 100, 1400, 1400, 1399, 1400}
	for _, off := range []struct{ gso, gro bool }{{false, false}, {false, true}, {true, false}, {true, true}} {
		u, ports := acceptor(0)
		client := start(t, "127.0.0.1", noUpper, serves("127.0.0.2"))
		server := start(t, "127.0.0.2", u, nil)
		if !client.sock.gso.Load() || !server.sock.gro {
			t.Skip("this kernel offers no UDP offload")
		}
		client.sock.gso.Store(off.gso)
		if !off.gro {
			server.setGRO(t, 0)
		}
		a, b := connect(t, client, server, ports, qos.Raw)
		got := newSink(b)
		var want [][]byte
		for i := range 40 {
			var batch [][]byte
			for j, size := range sizes {
				batch = append(batch, checked(uint32(i*len(sizes)+j), size))
			}
			want = append(want, batch...)
			a.Send(buffers(batch...))
			got.packets(t, len(want)) // not more than the socket buffer holds
		}
		all := got.packets(t, len(want))
		if len(all) != len(want) {
			t.Fatalf("%+v: %d packets, want %d", off, len(all), len(want))
		}
		for i := range want {
			if !bytes.Equal(all[i], want[i]) {
				t.Fatalf("%+v: packet %d differs", off, i)
			}
		}
		if s := client.Stats(); (s.GSOBatches > 0) != off.gso || s.GSORefused != 0 {
			t.Errorf("%+v: client %+v", off, s)
		}
		if s := server.Stats(); (s.GROBatches > 0) != (off.gro && off.gso) {
			t.Errorf("%+v: server %+v", off, s)
		}
		client.Close()
		server.Close()
	}
}

func TestLargerThanMTUIsDropped(t *testing.T) {
	u, ports := acceptor(0)
	client := start(t, "127.0.0.1", noUpper, serves("127.0.0.2"), func(c *ipcp.Config) { c.UDP.MTU = 1500 })
	server := start(t, "127.0.0.2", u, nil)
	a, b := connect(t, client, server, ports, qos.Raw)
	got := newSink(b)
	if a.MTU() != 1468 {
		t.Fatalf("MTU %d", a.MTU())
	}
	a.Send(buffers(checked(1, 1469), checked(2, 1468), checked(3, 1470), checked(4, 1471), checked(5, 20)))
	if p := got.packets(t, 2); !bytes.Equal(p[0], checked(2, 1468)) || !bytes.Equal(p[1], checked(5, 20)) {
		t.Fatalf("got %d packets", len(p))
	}
	if s := client.Stats(); s.DropTooLong != 3 {
		t.Errorf("%+v", s)
	}
	a.Close()
	a.Send(buffers([]byte("late")))
	if s := client.Stats(); s.DropNotUp != 1 {
		t.Errorf("%+v", s)
	}
}

// A thousand flows come and go, and nothing is left.
func TestThousandAllocations(t *testing.T) {
	u, ports := acceptor(layer.CapTeardown)
	client := start(t, "127.0.0.1", noUpper, serves("127.0.0.2"))
	server := start(t, "127.0.0.2", u, nil)
	seen := make(map[uint32]bool)
	for range 1000 {
		a, b := connect(t, client, server, ports, qos.Raw)
		for _, p := range []layer.Port{a, b} {
			eid := p.(*flow).eid
			if eid == 0 || eid > 0x7FFFFFFF || seen[eid] {
				t.Fatalf("EID %08x", eid)
			}
			seen[eid] = true
		}
		a.(layer.PeerAware).SetPeerCaps(layer.CapTeardown)
		a.Close() // the notice ends the other side
	}
	eventually(t, "end of all flows", func() bool { return server.Stats().Flows == 0 })
	if n := client.Stats().Flows; n != 0 {
		t.Errorf("client has %d flows", n)
	}
	if s := server.Stats(); s.Teardowns != 1000 {
		t.Errorf("%+v", s)
	}
}

func TestManyAllocationsAtOnce(t *testing.T) {
	u, ports := acceptor(0)
	client := start(t, "127.0.0.1", noUpper, serves("127.0.0.2"))
	server := start(t, "127.0.0.2", u, nil)
	server.Register(context.Background(), op)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				p, _, err := client.Allocate(within(t, 5*time.Second), op, qos.Voice, nil)
				if err != nil {
					t.Error(err)
					return
				}
				p.Send(buffers([]byte("x")))
			}
		})
	}
	wg.Wait()
	if n := client.Stats().Flows; n != 400 {
		t.Errorf("%d flows", n)
	}
	for range 400 {
		newSink(<-ports).packets(t, 1)
	}
}

// Closing an IPC process ends its flows on both sides.
func TestCloseEndsFlows(t *testing.T) {
	u, ports := acceptor(layer.CapTeardown)
	client := start(t, "127.0.0.1", noUpper, serves("127.0.0.2"))
	server := start(t, "127.0.0.2", u, nil)
	a, b := connect(t, client, server, ports, qos.Data)
	sa, sb := newSink(a), newSink(b)
	b.Send(buffers([]byte("last words")))
	if err := server.Close(); err != nil {
		t.Fatal(err)
	}
	sb.closed(t)
	sa.closed(t)
	if got := sa.packets(t, 1); string(got[0]) != "last words" {
		t.Errorf("got %q", got)
	}
	if server.State() != ipcp.Null || server.Query(context.Background(), op) == nil {
		t.Error("still serves")
	}
	if _, _, err := server.Allocate(context.Background(), op, qos.Raw, nil); !errors.Is(err, layer.ErrIPCPState) {
		t.Errorf("allocate after close: %v", err)
	}
	b.Send(buffers([]byte("nobody")))
	b.Close()
}

// Closing while others send, allocate and answer neither hangs nor loses a
// goroutine or a buffer twice.
func TestCloseWhileBusy(t *testing.T) {
	for range 20 {
		u, ports := acceptor(layer.CapTeardown)
		client := start(t, "127.0.0.1", noUpper, serves("127.0.0.2"))
		server := start(t, "127.0.0.2", u, nil)
		a, b := connect(t, client, server, ports, qos.Raw)
		b.Receive(echo{b})
		in := newSink(a)
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() {
				for range 50 {
					a.Send(numbers(0, 20))
				}
			})
		}
		wg.Go(func() {
			for range 20 {
				ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
				if p, _, err := client.Allocate(ctx, op, qos.Raw, nil); err == nil {
					p.Close()
				}
				cancel()
			}
		})
		in.packets(t, 1)
		server.Close()
		client.Close()
		wg.Wait()
		in.closed(t)
	}
}

func descriptors(t *testing.T) int {
	d, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(d)
}

func TestStartStopLeavesNothing(t *testing.T) {
	before := descriptors(t)
	for range 100 {
		start(t, "127.0.0.1", noUpper, nil).Close()
	}
	if after := descriptors(t); after > before {
		t.Errorf("%d descriptors, before %d", after, before)
	}
}
