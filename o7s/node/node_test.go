// SPDX-License-Identifier: BSD-3-Clause

package node

import (
	"context"
	"errors"
	"io"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"o7gw/o7s"
	"o7gw/o7s/ipcp"
	"o7gw/o7s/layer"
	"o7gw/o7s/qos"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// testPort keeps the tests away from a real node on this machine, and from
// other runs of them.
var testPort = uint16(30000 + os.Getpid()%10000)

func start(t testing.TB, cfg Config) *Node {
	t.Helper()
	n, err := New(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return n
}

// bootstrap puts the node into a udp4 layer whose only server is the other
// address.
func bootstrap(t testing.TB, n *Node, own, server string, names ...string) {
	t.Helper()
	hosts := make(map[string][]netip.Addr)
	for _, s := range names {
		hosts[s] = []netip.Addr{netip.MustParseAddr(server)}
	}
	id, err := n.IRM().CreateIPCP(ipcp.UDP4, "udp")
	if err != nil {
		t.Fatal(err)
	}
	err = n.IRM().Bootstrap(t.Context(), id, ipcp.Config{
		Type: ipcp.UDP4, Layer: "net",
		UDP: ipcp.UDPConfig{Addr: netip.MustParseAddr(own), Port: testPort, Hosts: hosts},
	})
	if err != nil {
		t.Fatal(err)
	}
}

// two returns a client's and a server's node in one udp4 layer.
func two(t testing.TB) (client, server *Node) {
	client, server = start(t, Config{}), start(t, Config{})
	bootstrap(t, client, "127.0.0.1", "127.0.0.2", "svc", "nobody")
	bootstrap(t, server, "127.0.0.2", "127.0.0.2")
	return client, server
}

// echo serves the name: each flow gets its packets back.
func echo(t testing.TB, s *o7s.Stack, name string) {
	t.Helper()
	l, err := s.Listen(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			f, err := l.AcceptFlow(context.Background())
			if err != nil {
				return
			}
			wg.Go(func() {
				defer f.Close()
				buf := make([]byte, 2048)
				for {
					n, _, err := f.ReadPacket(buf)
					if err != nil {
						return
					}
					if err := f.WritePacket(buf[:n]); err != nil {
						return
					}
				}
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		wg.Wait()
	})
}

// ask dials, sends and expects the same back.
func ask(s *o7s.Stack, name, text string, opts ...o7s.DialOption) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	f, err := s.Dial(ctx, name, opts...)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.WritePacket([]byte(text)); err != nil {
		return err
	}
	buf := make([]byte, 2048)
	f.SetReadDeadline(time.Now().Add(10 * time.Second))
	n, _, err := f.ReadPacket(buf)
	if err != nil {
		return err
	}
	if string(buf[:n]) != text {
		return errors.New("got " + string(buf[:n]))
	}
	return nil
}

func TestFlowWithinOneNode(t *testing.T) {
	n := start(t, Config{})
	echo(t, n.Stack(), "svc")
	if err := ask(n.Stack(), "svc", "hello"); err != nil {
		t.Fatal(err)
	}
	if l := n.IRM().ListIPCPs(); len(l) != 0 {
		t.Errorf("IPCPs %+v", l)
	}
}

func TestFlowOverLocalLayer(t *testing.T) {
	n := start(t, Config{})
	id, err := n.IRM().CreateIPCP(ipcp.Local, "loc")
	if err != nil {
		t.Fatal(err)
	}
	if err := n.IRM().Bootstrap(t.Context(), id, ipcp.Config{Type: ipcp.Local, Layer: "here"}); err != nil {
		t.Fatal(err)
	}
	if _, err := n.Stack().Dial(t.Context(), "svc"); !errors.Is(err, layer.ErrIPCP) {
		t.Errorf("dial an unknown name: %v", err)
	}
	echo(t, n.Stack(), "svc")
	if err := ask(n.Stack(), "svc", "hello"); err != nil {
		t.Fatal(err)
	}
}

func TestFlowOverUDP(t *testing.T) {
	client, server := two(t)
	echo(t, server.Stack(), "svc")
	if err := ask(client.Stack(), "svc", "hello"); err != nil {
		t.Fatal(err)
	}
	for _, qs := range []qos.Spec{qos.Best, qos.Video, qos.Voice, qos.Data, {BER: 0, Loss: 1}, {InOrder: 1}} {
		if err := ask(client.Stack(), "svc", "hello", o7s.WithQoS(qs)); err != nil {
			t.Errorf("QoS %v: %v", qs, err)
		}
	}
	began := time.Now()
	if _, err := client.Stack().Dial(t.Context(), "nobody"); !errors.Is(err, layer.ErrNoName) {
		t.Errorf("dial a name that is not served: %v", err)
	}
	if d := time.Since(began); d > time.Second {
		t.Errorf("the refusal took %v", d)
	}
}

// The end of a flow is told to the peer, since both announced that they
// understand it.
func TestEndOverUDP(t *testing.T) {
	client, server := two(t)
	l, err := server.Stack().Listen(t.Context(), "svc")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	dialed := make(chan error, 1)
	go func() {
		f, err := client.Stack().Dial(t.Context(), "svc")
		if err == nil {
			err = f.Close()
		}
		dialed <- err
	}()
	g, err := l.AcceptFlow(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	if err := <-dialed; err != nil {
		t.Fatal(err)
	}
	g.SetReadDeadline(time.Now().Add(5 * time.Second))
	if _, _, err := g.ReadPacket(make([]byte, 16)); !errors.Is(err, io.EOF) {
		t.Errorf("read: %v", err)
	}
}

func TestManyDialsOverUDP(t *testing.T) {
	client, server := two(t)
	echo(t, server.Stack(), "svc")
	var wg sync.WaitGroup
	for range 300 {
		wg.Go(func() {
			if err := ask(client.Stack(), "svc", "hello"); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

func TestUnknownType(t *testing.T) {
	n := start(t, Config{})
	typ := ipcp.UDP6 + 1
	if _, err := n.IRM().CreateIPCP(typ, "x"); !errors.Is(err, layer.ErrIPCPType) || !strings.Contains(err.Error(), typ.String()) {
		t.Errorf("%v: %v", typ, err)
	}
}

func TestOtherProcessesAttach(t *testing.T) {
	dir := t.TempDir()
	n := start(t, Config{RunDir: dir})
	echo(t, n.Stack(), "svc")
	s, err := o7s.Connect(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := ask(s, "svc", "hello"); err != nil {
		t.Fatal(err)
	}
	if l := n.IRM().ListProcesses(); len(l) != 2 || l[0].PID != os.Getpid() {
		t.Errorf("processes %+v", l)
	}
	s.Close()
	// Two nodes do not share a run directory.
	if m, err := New(t.Context(), Config{RunDir: dir}); err == nil {
		m.Close()
		t.Error("second node in one run directory")
	}
}

func TestStartAndStop(t *testing.T) {
	dir := t.TempDir()
	cycle := func() {
		n, err := New(t.Context(), Config{RunDir: dir})
		if err != nil {
			t.Fatal(err)
		}
		bootstrap(t, n, "127.0.0.1", "127.0.0.1")
		if _, err := n.Stack().Listen(t.Context(), "svc"); err != nil {
			t.Fatal(err)
		}
		if err := ask(n.Stack(), "nobody", ""); err == nil {
			t.Error("flow to nobody")
		}
		for range 2 {
			if err := n.Close(); err != nil {
				t.Fatalf("close: %v", err)
			}
		}
	}
	cycle()
	files, goroutines := descriptors(t), runtime.NumGoroutine()
	for range 100 {
		cycle()
	}
	if f := descriptors(t); f > files {
		t.Errorf("%d descriptors, %d before", f, files)
	}
	for end := time.Now().Add(5 * time.Second); runtime.NumGoroutine() > goroutines; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d goroutines, %d before", runtime.NumGoroutine(), goroutines)
		}
	}
}

func descriptors(t *testing.T) int {
	t.Helper()
	l, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(l)
}

// BenchmarkDialUDP measures a flow allocation end to end, library to library
// over loopback; the flow is closed outside the measure.
func BenchmarkDialUDP(b *testing.B) {
	client, server := two(b)
	benchmarkDial(b, client, server)
}

// BenchmarkDialDirect is the same within one node.
func BenchmarkDialDirect(b *testing.B) {
	n := start(b, Config{})
	benchmarkDial(b, n, n)
}

func benchmarkDial(b *testing.B, client, server *Node) {
	l, err := server.Stack().Listen(b.Context(), "svc")
	if err != nil {
		b.Fatal(err)
	}
	flows := make(chan *o7s.Flow)
	var wg sync.WaitGroup
	wg.Go(func() {
		defer close(flows)
		for {
			f, err := l.AcceptFlow(context.Background())
			if err != nil {
				return
			}
			flows <- f
		}
	})
	defer wg.Wait()
	defer l.Close()
	var took []time.Duration
	b.ReportAllocs()
	for b.Loop() {
		began := time.Now()
		f, err := client.Stack().Dial(b.Context(), "svc")
		if err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(began))
		g := <-flows
		f.Close()
		g.Close()
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "median-µs")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
}

// TestUDPToItself: the layer leads a node to itself: a name that it serves is
// reached directly, one that it does not is refused at once.
func TestUDPToItself(t *testing.T) {
	n := start(t, Config{})
	bootstrap(t, n, "127.0.0.1", "127.0.0.1", "svc", "nobody")
	echo(t, n.Stack(), "svc")
	if err := ask(n.Stack(), "svc", "hello"); err != nil {
		t.Error(err)
	}
	begin := time.Now()
	if err := ask(n.Stack(), "nobody", "hello"); !errors.Is(err, layer.ErrNoName) {
		t.Errorf("name that nobody serves: %v", err)
	}
	if d := time.Since(begin); d > 10*time.Second {
		t.Errorf("refused after %v", d)
	}
	noFlows(t, n.IRM())
}
