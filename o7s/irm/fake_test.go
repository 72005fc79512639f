// SPDX-License-Identifier: BSD-3-Clause

package irm

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"o7gw/o7s/ipcp"
	"o7gw/o7s/ipcp/local"
	"o7gw/o7s/layer"
	"o7gw/o7s/oap"
	"o7gw/o7s/qos"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeNet joins fake IPC processes of several IRMs to one layer.
type fakeNet struct {
	mu      sync.Mutex
	members []*fakeIPCP
	refused []layer.Errno
	// silent: requests are swallowed.
	silent atomic.Bool
	// unknown: queries find nobody.
	unknown atomic.Bool
	// hangs: queries get no answer.
	hangs atomic.Bool
}

// fakeIPCP is a member of a fakeNet that records what the IRM does to it.
type fakeIPCP struct {
	net   *fakeNet
	env   ipcp.Env
	typ   ipcp.Type
	layer string

	mu         sync.Mutex
	state      ipcp.State
	registered map[layer.Hash]int // how often
	queries    int
	accepts    []*capPort
	failReg    error
	// requests are the piggybacks of flow requests; to the first noAnswer of
	// them nothing comes back within noAnswerTime.
	requests [][]byte
	noAnswer int
}

func (n *fakeNet) factory(t ipcp.Type, env ipcp.Env) (ipcp.IPCP, error) {
	switch t {
	case ipcp.Local:
		return local.New(env), nil
	case ipcp.UDP4, ipcp.UDP6, ipcp.Unicast, ipcp.Broadcast:
	default:
		return nil, layer.ErrIPCPType
	}
	f := &fakeIPCP{net: n, env: env, typ: t, state: ipcp.Boot, registered: make(map[layer.Hash]int)}
	n.mu.Lock()
	n.members = append(n.members, f)
	n.mu.Unlock()
	return f, nil
}

func (f *fakeIPCP) Type() ipcp.Type { return f.typ }
func (f *fakeIPCP) State() ipcp.State {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.state
}
func (f *fakeIPCP) Info() ipcp.Info {
	return ipcp.Info{Layer: f.layer, Hash: layer.MD5, MTU: 1400, MPL: 60 * time.Second}
}
func (f *fakeIPCP) Bootstrap(_ context.Context, cfg ipcp.Config) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.layer, f.state = cfg.Layer, ipcp.Operational
	return nil
}
func (f *fakeIPCP) Enroll(_ context.Context, dst string) error {
	return f.Bootstrap(context.Background(), ipcp.Config{Layer: "of-" + dst})
}
func (f *fakeIPCP) Connect(context.Context, string, string, qos.Spec) error { return nil }
func (f *fakeIPCP) Disconnect(context.Context, string, string) error        { return layer.ErrNotSupported }
func (f *fakeIPCP) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.state = ipcp.Null
	return nil
}

func (f *fakeIPCP) Register(_ context.Context, h layer.Hash) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.failReg != nil {
		return f.failReg
	}
	f.registered[h]++
	return nil
}

func (f *fakeIPCP) Unregister(_ context.Context, h layer.Hash) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.registered, h)
	return nil
}

func (f *fakeIPCP) has(name string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.registered[layer.MD5.Sum(name)]
}

func (f *fakeIPCP) server(h layer.Hash) *fakeIPCP {
	f.net.mu.Lock()
	defer f.net.mu.Unlock()
	for _, m := range f.net.members {
		m.mu.Lock()
		n := m.registered[h]
		m.mu.Unlock()
		if n > 0 && m.layer == f.layer {
			return m
		}
	}
	return nil
}

func (f *fakeIPCP) Query(ctx context.Context, h layer.Hash) error {
	f.mu.Lock()
	f.queries++
	f.mu.Unlock()
	if f.net.hangs.Load() {
		<-ctx.Done()
		return ctx.Err()
	}
	if f.net.unknown.Load() {
		return layer.ErrNoName
	}
	return nil
}

// capPort notes what SetPeerCaps was told.
type capPort struct {
	layer.Port
	caps   atomic.Int64 // -1: not told
	closed atomic.Bool
}

func (c *capPort) SetPeerCaps(x layer.Caps) { c.caps.Store(int64(x)) }
func (c *capPort) Close() error {
	c.closed.Store(true)
	return c.Port.Close()
}

func newCapPort(p layer.Port) *capPort {
	c := &capPort{Port: p}
	c.caps.Store(-1)
	return c
}

type fakeAnswer struct {
	net  *fakeNet
	to   *fakeIPCP
	ch   chan fakeResult
	once atomic.Int32
}

type fakeResult struct {
	port layer.Port
	data []byte
	code layer.Errno
}

func (a *fakeAnswer) first() {
	if a.once.Add(1) != 1 {
		panic("request was answered twice")
	}
}

func (a *fakeAnswer) Accept(data []byte) (layer.Port, error) {
	a.first()
	x, y := layer.Pipe()
	c := newCapPort(y)
	a.to.mu.Lock()
	a.to.accepts = append(a.to.accepts, c)
	a.to.mu.Unlock()
	a.ch <- fakeResult{port: newCapPort(x), data: data}
	return c, nil
}

func (a *fakeAnswer) Refuse(code layer.Errno) {
	a.first()
	a.net.mu.Lock()
	a.net.refused = append(a.net.refused, code)
	a.net.mu.Unlock()
	a.ch <- fakeResult{code: code}
}

func (a *fakeAnswer) Ignore() { a.first() }

// stripped returns the OAP message without its data, as a C node sends it.
func stripped(t *testing.T, msg []byte, hashLen int) []byte {
	h, err := oap.Parse(msg, hashLen)
	if err != nil {
		t.Errorf("IRM sent bad OAP: %v", err)
		return msg
	}
	h.Data = nil
	return h.Append(nil)
}

// noAnswerTime is how long a fake layer waits for an answer.
const noAnswerTime = time.Second

func (f *fakeIPCP) Allocate(ctx context.Context, h layer.Hash, qs qos.Spec, data []byte) (layer.Port, []byte, error) {
	f.mu.Lock()
	f.requests = append(f.requests, data)
	lost := len(f.requests) <= f.noAnswer
	f.mu.Unlock()
	if lost {
		select {
		case <-time.After(noAnswerTime):
			return nil, nil, layer.ErrNoAnswer
		case <-ctx.Done():
			return nil, nil, ctx.Err()
		}
	}
	if f.net.silent.Load() {
		<-ctx.Done()
		return nil, nil, ctx.Err()
	}
	to := f.server(h)
	if to == nil {
		// As a shim without directory: whoever is there gets the request.
		f.net.mu.Lock()
		for _, m := range f.net.members {
			if m != f && m.layer == f.layer {
				to = m
			}
		}
		f.net.mu.Unlock()
	}
	if to == nil {
		return nil, nil, layer.ErrNoName
	}
	a := &fakeAnswer{net: f.net, to: to, ch: make(chan fakeResult, 1)}
	to.env.Upper.FlowRequested(&layer.Request{Dst: h, QoS: qs, Data: data, Answerer: a})
	select {
	case r := <-a.ch:
		if r.code != 0 {
			return nil, nil, r.code
		}
		return r.port, r.data, nil
	case <-ctx.Done():
		return nil, nil, ctx.Err()
	}
}

func (f *fakeIPCP) Join(_ context.Context, h layer.Hash) (layer.Port, error) {
	if f.typ != ipcp.Broadcast {
		return nil, layer.ErrNotSupported
	}
	if h != f.Info().Hash.Sum(f.layer) {
		return nil, layer.ErrInvalid
	}
	x, _ := layer.Pipe()
	return x, nil
}

// node is an IRM that ends with the test.
func node(t testing.TB, n *fakeNet, spawn SpawnFunc) *IRM {
	return nodeWith(t, Options{Factory: n.factory, Spawn: spawn})
}

func nodeWith(t testing.TB, o Options) *IRM {
	i := New(o)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := i.Close(ctx); err != nil {
			t.Errorf("close: %v", err)
		}
		if l := i.ListFlows(); len(l) != 0 {
			t.Errorf("flows left: %+v", l)
		}
		if l := i.ListProcesses(); len(l) != 0 {
			t.Errorf("processes left: %+v", l)
		}
	})
	return i
}

// inLayer gives the node an IPC process in a layer.
func inLayer(t testing.TB, i *IRM, typ ipcp.Type, layerName string) (id int, f *fakeIPCP) {
	t.Helper()
	id, err := i.CreateIPCP(typ, layerName+"-"+typ.String())
	if err != nil {
		t.Fatal(err)
	}
	if err := i.Bootstrap(t.Context(), id, ipcp.Config{Type: typ, Layer: layerName}); err != nil {
		t.Fatal(err)
	}
	m, err := i.member(id)
	if err != nil {
		t.Fatal(err)
	}
	f, _ = m.ipcp.(*fakeIPCP)
	return id, f
}

var lastPID atomic.Int32

// attach makes a process of a user; uid 0 is an administrator.
func attach(t testing.TB, i *IRM, uid uint32, program string) *Process {
	t.Helper()
	pid := int(lastPID.Add(1)) + 1000
	p, err := i.Attach(ProcInfo{
		PID: pid, Program: program,
		Creds: Creds{UID: uid, GID: uid, PID: pid, Admin: uid == 0},
	})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// serve accepts flows for a name until the test ends and gives them to the
// channel.
func serve(t testing.TB, p *Process, name string) <-chan *Flow {
	t.Helper()
	stop, err := p.Listen(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	flows := make(chan *Flow, 2000)
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			f, err := p.Accept(ctx, name)
			if err != nil {
				return
			}
			flows <- f
		}
	})
	t.Cleanup(func() {
		cancel()
		wg.Wait()
		stop()
	})
	return flows
}

// settle waits until the condition holds; the state changes in another
// goroutine and is only observed here.
func settle(t testing.TB, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(5 * time.Second); !cond(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("still not: %s", what)
		}
	}
}

// waiting returns how many accept calls wait for the name.
func waiting(i *IRM, name string) int {
	i.mu.Lock()
	defer i.mu.Unlock()
	if n := i.names[name]; n != nil {
		return n.active.Len()
	}
	return 0
}
