// SPDX-License-Identifier: BSD-3-Clause

package irm

import (
	"context"
	"crypto/rand"
	"crypto/sha512"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"o7gw/o7s/bubble"
	"o7gw/o7s/ipcp"
	"o7gw/o7s/layer"
	"o7gw/o7s/oap"
	"o7gw/o7s/packet"
	"o7gw/o7s/qos"
)

// sink counts what a port receives.
type sink struct {
	mu     sync.Mutex
	got    string
	events []layer.Event
}

func (s *sink) Packets(pkts []*packet.Buffer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range pkts {
		s.got += string(p.Bytes())
	}
	packet.ReleaseBatch(pkts)
}

func (s *sink) Event(e layer.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events = append(s.events, e)
}

func (s *sink) closed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.events) > 0 && s.events[len(s.events)-1] == layer.Closed
}

func send(f *Flow, s string) {
	b := packet.Get(len(s))
	b.Append([]byte(s))
	f.Port().Send([]*packet.Buffer{b})
}

// talk checks that both ends are ends of one flow, then ends it from the
// client's side.
func talk(t *testing.T, client, server *Flow) {
	t.Helper()
	var a, b sink
	client.Port().Receive(&a)
	server.Port().Receive(&b)
	send(client, "ping")
	send(server, "pong")
	settle(t, "packets arrive", func() bool {
		a.mu.Lock()
		defer a.mu.Unlock()
		b.mu.Lock()
		defer b.mu.Unlock()
		return a.got == "pong" && b.got == "ping"
	})
	client.Dealloc()
	settle(t, "server sees the end", b.closed)
	server.Dealloc()
}

func TestDirectFlow(t *testing.T) {
	i := node(t, new(fakeNet), nil)
	server, client := attach(t, i, 7, "server"), attach(t, i, 8, "client")
	flows := serve(t, server, "svc")
	f, err := client.Alloc(t.Context(), "svc", qos.Raw)
	if err != nil {
		t.Fatal(err)
	}
	g := <-flows
	if f.ID() != 2 || g.ID() != 1 || f.Name() != "svc" || g.Name() != "svc" || g.QoS() != qos.Raw ||
		f.MPL() != directMPL || f.MTU() != layer.PipeMTU {
		t.Errorf("client %+v server %+v", f, g)
	}
	l := i.ListFlows()
	if len(l) != 2 || !l[0].Server || !l[0].Direct || l[0].Peer != 2 || l[0].PID != server.info.PID ||
		l[1].Peer != 1 || l[1].State != Allocated || l[1].UID != 8 {
		t.Errorf("flows %+v", l)
	}
	talk(t, f, g)
	if len(i.ListFlows()) != 0 {
		t.Error("flows left")
	}
}

func TestLocalLayerCarriesFlow(t *testing.T) {
	i := node(t, new(fakeNet), nil)
	id, _ := inLayer(t, i, ipcp.Local, "here")
	server, client := attach(t, i, 7, "server"), attach(t, i, 8, "client")
	// A process that inherits the name and does not accept keeps the way
	// through the layer open.
	if err := i.CreateName(NameInfo{Name: "svc"}); err != nil {
		t.Fatal(err)
	}
	if err := i.Register(t.Context(), "svc", id); err != nil {
		t.Fatal(err)
	}
	type result struct {
		f   *Flow
		err error
	}
	got := make(chan result, 1)
	go func() {
		f, err := client.Alloc(t.Context(), "svc", qos.Raw)
		got <- result{f, err}
	}()
	settle(t, "request waits", func() bool {
		i.mu.Lock()
		defer i.mu.Unlock()
		return i.names["svc"].pending.Len() == 1
	})
	if err := i.BindProcess(server.info.PID, "svc"); err != nil {
		t.Fatal(err)
	}
	g, err := server.Accept(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	r := <-got
	if r.err != nil {
		t.Fatal(r.err)
	}
	if l := i.ListFlows(); l[0].IPCP != id || l[0].Direct {
		t.Errorf("flows %+v", l)
	}
	if l := i.ListIPCPs(); l[0].Flows != 2 {
		t.Errorf("IPCPs %+v", l)
	}
	talk(t, r.f, g)
}

func TestRemoteFlow(t *testing.T) {
	for _, c := range []struct {
		title string
		cPeer bool
		want  layer.Caps
	}{{"ours", false, ownCaps}, {"C peer", true, 0}} {
		t.Run(c.title, func(t *testing.T) {
			net := new(fakeNet)
			a, b := node(t, net, nil), node(t, net, nil)
			_, fa := inLayer(t, a, ipcp.UDP4, "net")
			_, fb := inLayer(t, b, ipcp.UDP4, "net")
			if c.cPeer {
				fb.env.Upper = cServer{t, fb.env.Upper}
			}
			flows := serve(t, attach(t, b, 0, "server"), "svc")
			f, err := attach(t, a, 5, "client").Alloc(t.Context(), "svc", qos.Raw)
			if err != nil {
				t.Fatal(err)
			}
			g := <-flows
			if f.MTU() != layer.PipeMTU || f.MPL() != fa.Info().MPL || g.QoS() != qos.Raw {
				t.Errorf("flow %+v", f)
			}
			if got := layer.Caps(f.Port().(*capPort).caps.Load()); got != c.want {
				t.Errorf("client was told %v, want %v", got, c.want)
			}
			if got := layer.Caps(g.Port().(*capPort).caps.Load()); got != c.want {
				t.Errorf("server was told %v, want %v", got, c.want)
			}
			if _, err := a.member(1); err != nil || len(a.ListNames()) != 0 {
				t.Errorf("the client's node learnt the name: %v", a.ListNames())
			}
			talk(t, f, g)
		})
	}
}

// cServer makes a node see requests as those of a C node: without data.
type cServer struct {
	t *testing.T
	layer.Upper
}

func (c cServer) FlowRequested(r *layer.Request) {
	r.Answerer = cAnswer{c.t, r.Answerer.(*fakeAnswer), r.Data}
	r.Data = stripped(c.t, r.Data, 0)
	c.Upper.FlowRequested(r)
}

// cAnswer checks that a C client gets no data in the response, and answers its
// own request with the hash that our client expects.
type cAnswer struct {
	t *testing.T
	*fakeAnswer
	original []byte
}

func (a cAnswer) Accept(data []byte) (layer.Port, error) {
	h, err := oap.Parse(data, sha512.Size384)
	if err != nil || len(h.Data) != 0 {
		a.t.Errorf("response to a C client: %+v, %v", h, err)
	}
	hash := sha512.Sum384(a.original)
	h.ReqHash = hash[:]
	return a.fakeAnswer.Accept(h.Append(nil))
}

// plainRequest is an OAP request as a C node sends it.
func plainRequest() []byte {
	c, err := oap.NewRequest(time.Now(), rand.Reader, nil, nil)
	if err != nil {
		panic(err)
	}
	return c.Request()
}

func TestRefusalsReachTheRequesterAtOnce(t *testing.T) {
	net := new(fakeNet)
	a, b := node(t, net, nil), node(t, net, nil)
	inLayer(t, a, ipcp.UDP4, "net")
	_, fb := inLayer(t, b, ipcp.UDP4, "net")
	p := attach(t, a, 5, "client")
	start := time.Now()
	if _, err := p.Alloc(t.Context(), "nobody", qos.Raw); !errors.Is(err, layer.ErrNoName) {
		t.Errorf("unknown name: %v", err)
	}
	serve(t, attach(t, b, 0, "server"), "svc")
	for _, c := range []struct {
		title string
		req   layer.Request
		want  layer.Errno
	}{
		{"no OAP", layer.Request{QoS: qos.Raw, Data: []byte("short")}, layer.ErrAuth},
	} {
		answer := &fakeAnswer{net: net, to: fb, ch: make(chan fakeResult, 1)}
		c.req.Dst, c.req.Answerer = layer.MD5.Sum("svc"), answer
		if c.req.Data == nil {
			c.req.Data = plainRequest()
		}
		fb.env.Upper.FlowRequested(&c.req)
		select {
		case r := <-answer.ch:
			if r.code != c.want {
				t.Errorf("%s: %v", c.title, r.code)
			}
		default:
			t.Errorf("%s: no answer at once", c.title)
		}
	}
	// A copy of a request gets no answer: the first one does.
	again := layer.Request{Dst: layer.MD5.Sum("svc"), QoS: qos.Raw, Data: plainRequest()}
	for k, want := range []int{1, 0} {
		answer := &fakeAnswer{net: net, to: fb, ch: make(chan fakeResult, 1)}
		req := again
		req.Answerer = answer
		fb.env.Upper.FlowRequested(&req)
		settle(t, "request is answered", func() bool { return answer.once.Load() == 1 })
		if got := len(answer.ch); got != want {
			t.Errorf("copy %d: %d answers", k, got)
		}
	}
	net.unknown.Store(true)
	if _, err := p.Alloc(t.Context(), "nowhere", qos.Raw); !errors.Is(err, layer.ErrIPCP) {
		t.Errorf("unknown everywhere: %v", err)
	}
	if d := time.Since(start); d > 900*time.Millisecond {
		t.Errorf("took %v: something waited for an acceptor", d)
	}
	if _, err := p.Alloc(t.Context(), "", qos.Raw); !errors.Is(err, layer.ErrInvalid) {
		t.Errorf("empty name: %v", err)
	}
}

func TestWaitsEnd(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		net := new(fakeNet)
		a := New(Options{Factory: net.factory})
		defer a.Close(context.Background())
		inLayer(t, a, ipcp.UDP4, "net")
		p := attach(t, a, 5, "client")
		net.silent.Store(true)

		start := time.Now()
		_, err := p.Alloc(context.Background(), "svc", qos.Raw)
		if d := time.Since(start); !errors.Is(err, layer.ErrTimedOut) || d != allocTimeout {
			t.Errorf("after %v: %v", d, err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		start = time.Now()
		_, err = p.Alloc(ctx, "svc", qos.Raw)
		if d := time.Since(start); !errors.Is(err, layer.ErrTimedOut) || d != time.Second {
			t.Errorf("after %v: %v", d, err)
		}
		ctx, cancel = context.WithCancel(context.Background())
		time.AfterFunc(time.Second, cancel)
		if _, err := p.Alloc(ctx, "svc", qos.Raw); !errors.Is(err, context.Canceled) {
			t.Errorf("canceled: %v", err)
		}
		time.AfterFunc(time.Second, p.Close)
		if _, err := p.Alloc(context.Background(), "svc", qos.Raw); !errors.Is(err, ErrDetached) {
			t.Errorf("process died: %v", err)
		}
		if l := a.ListFlows(); len(l) != 0 {
			t.Errorf("flows left: %+v", l)
		}

		// A busy server: a second, then the layers.
		net.silent.Store(false)
		net.unknown.Store(true)
		s := attach(t, a, 0, "server")
		if err := s.Bind("busy"); err != nil {
			t.Fatal(err)
		}
		q := attach(t, a, 5, "client")
		start = time.Now()
		_, err = q.Alloc(context.Background(), "busy", qos.Raw)
		if d := time.Since(start); !errors.Is(err, layer.ErrIPCP) || d != acceptWait {
			t.Errorf("busy server: after %v: %v", d, err)
		}
		ctx, cancel = context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if _, err := s.Accept(ctx, "busy"); !errors.Is(err, layer.ErrTimedOut) {
			t.Errorf("accept: %v", err)
		}
		if _, err := s.Accept(ctx, "other"); !errors.Is(err, layer.ErrNoName) {
			t.Errorf("accept for a name that is not bound: %v", err)
		}
	})
}

func TestIncomingWaitsOneSecond(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		net := new(fakeNet)
		a, b := New(Options{Factory: net.factory}), New(Options{Factory: net.factory})
		defer a.Close(context.Background())
		defer b.Close(context.Background())
		inLayer(t, a, ipcp.UDP4, "net")
		inLayer(t, b, ipcp.UDP4, "net")
		p := attach(t, a, 5, "client")
		if err := b.CreateName(NameInfo{Name: "svc"}); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		_, err := p.Alloc(context.Background(), "svc", qos.Raw)
		if d := time.Since(start); !errors.Is(err, layer.ErrTimedOut) || d != acceptWait {
			t.Errorf("after %v: %v", d, err)
		}
		// An acceptor that comes in time.
		s := attach(t, b, 0, "server")
		time.AfterFunc(900*time.Millisecond, func() {
			if err := s.Bind("svc"); err != nil {
				t.Error(err)
			}
			f, err := s.Accept(context.Background(), "")
			if err != nil {
				t.Error(err)
				return
			}
			f.Dealloc()
		})
		f, err := p.Alloc(context.Background(), "svc", qos.Raw)
		if err != nil {
			t.Fatal(err)
		}
		f.Dealloc()
		// The name is destroyed meanwhile.
		time.AfterFunc(500*time.Millisecond, func() { b.DestroyName("svc") })
		start = time.Now()
		if _, err := p.Alloc(context.Background(), "svc", qos.Raw); !errors.Is(err, layer.ErrNoName) || time.Since(start) != 500*time.Millisecond {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
	})
}

func TestJoin(t *testing.T) {
	i := node(t, new(fakeNet), nil)
	id, _ := inLayer(t, i, ipcp.Broadcast, "bc")
	inLayer(t, i, ipcp.UDP4, "net")
	p := attach(t, i, 5, "obc")
	f, err := p.Join(t.Context(), "bc")
	if err != nil {
		t.Fatal(err)
	}
	if l := i.ListFlows(); f.Name() != "bc" || f.QoS() != joinQoS || l[0].IPCP != id {
		t.Errorf("flow %+v", f)
	}
	f.Dealloc()
	if _, err := p.Join(t.Context(), "net"); !errors.Is(err, layer.ErrNotSupported) {
		t.Errorf("join of an unfit layer: %v", err)
	}
	if _, err := p.Join(t.Context(), "none"); !errors.Is(err, layer.ErrIPCP) {
		t.Errorf("join of an unknown layer: %v", err)
	}
	// A broadcast layer is never asked for names.
	if _, err := p.Alloc(t.Context(), "x", qos.Raw); !errors.Is(err, layer.ErrNoName) {
		t.Errorf("alloc: %v", err)
	}
}

func TestManyAllocationsAtOnce(t *testing.T) {
	const n = 1000
	net := new(fakeNet)
	a, b := node(t, net, nil), node(t, net, nil)
	inLayer(t, a, ipcp.UDP4, "net")
	inLayer(t, b, ipcp.UDP4, "net")
	direct := serve(t, attach(t, a, 0, "server"), "direct")
	remote := serve(t, attach(t, b, 0, "server"), "remote")
	p := attach(t, a, 5, "client")
	var wg sync.WaitGroup
	errs := make(chan error, n)
	for k := range n {
		wg.Go(func() {
			name := []string{"direct", "remote"}[k%2]
			f, err := p.Alloc(t.Context(), name, qos.Raw)
			if err != nil {
				errs <- fmt.Errorf("%s: %w", name, err)
				return
			}
			f.Dealloc()
		})
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		t.Error(err)
	}
	for range n / 2 {
		(<-direct).Dealloc()
		(<-remote).Dealloc()
	}
}
