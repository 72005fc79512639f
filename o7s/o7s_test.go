// SPDX-License-Identifier: BSD-3-Clause

package o7s_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/net/nettest"

	"o7gw/o7s"
	"o7gw/o7s/flow"
	"o7gw/o7s/layer"
	"o7gw/o7s/qos"
	"o7gw/o7s/ring"
)

func TestMain(m *testing.M) {
	if os.Getenv("O7S_TEST_CHILD") != "" {
		child()
		return
	}
	code := m.Run()
	stack.Close() // of the examples
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// exchange is a resource manager for tests: names served in this process, on
// rings or pipes.
type exchange struct {
	rings  bool
	change func(*flow.Attachment) // of both ends; may be nil

	mu    sync.Mutex
	names map[string]chan *flow.Attachment
	open  int // flows not deallocated
	last  int // flow id
}

func newExchange(rings bool) *exchange {
	return &exchange{rings: rings, names: map[string]chan *flow.Attachment{}}
}

// party is the access of one process to an exchange.
type party struct {
	x      *exchange
	closed bool
}

func (x *exchange) stack() *o7s.Stack { return o7s.NewStack(&party{x: x}) }

func (x *exchange) queue(name string) chan *flow.Attachment {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.names[name]
}

// attach makes the two ends of a flow.
func (x *exchange) attach(name string, qs qos.Spec) (a, b *flow.Attachment, err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	dealloc := func() error {
		x.mu.Lock()
		defer x.mu.Unlock()
		x.open--
		return nil
	}
	x.last += 2
	x.open += 2
	a = &flow.Attachment{ID: x.last, Name: name, QoS: qs, MPL: time.Millisecond, Dealloc: dealloc}
	if x.change != nil {
		x.change(a)
	}
	c := *a
	b = &c
	b.ID++
	b.Server = true
	if !x.rings {
		a.Port, b.Port = layer.Pipe()
		return a, b, nil
	}
	fa, fb, err := ring.New(ring.Config{})
	if err != nil {
		return nil, nil, err
	}
	if a.Ring, err = ring.Open(fa); err != nil {
		return nil, nil, err
	}
	b.Ring, err = ring.Open(fb)
	return a, b, err
}

func (p *party) Query(_ context.Context, name string) error {
	if p.x.queue(name) == nil {
		return layer.ErrNoName
	}
	return nil
}

func (p *party) Alloc(ctx context.Context, name string, qs qos.Spec) (*flow.Attachment, error) {
	q := p.x.queue(name)
	if q == nil {
		return nil, layer.ErrNoName
	}
	a, b, err := p.x.attach(name, qs)
	if err != nil {
		return nil, err
	}
	select {
	case q <- b:
		return a, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (p *party) Accept(ctx context.Context, name string) (*flow.Attachment, error) {
	select {
	case a := <-p.x.queue(name):
		return a, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (p *party) Join(ctx context.Context, name string) (*flow.Attachment, error) {
	return p.Alloc(ctx, name, qos.Raw)
}

func (p *party) Listen(_ context.Context, name string) (func(), error) {
	p.x.mu.Lock()
	defer p.x.mu.Unlock()
	if p.x.names[name] != nil {
		return nil, layer.ErrPermission
	}
	p.x.names[name] = make(chan *flow.Attachment, 16)
	return func() {
		p.x.mu.Lock()
		defer p.x.mu.Unlock()
		delete(p.x.names, name)
	}, nil
}

func (p *party) Close() error { p.closed = true; return nil }

// flows returns both ends of a flow.
func flows(t testing.TB, rings bool) (a, b *o7s.Flow) {
	t.Helper()
	x := newExchange(rings)
	client, server := x.stack(), x.stack()
	t.Cleanup(func() {
		client.Close()
		server.Close()
		if x.open != 0 {
			t.Errorf("%d ends were not deallocated", x.open)
		}
	})
	ctx := context.Background()
	l, err := server.Listen(ctx, "echo")
	if err != nil {
		t.Fatal(err)
	}
	if a, err = client.Dial(ctx, "echo"); err != nil {
		t.Fatal(err)
	}
	if b, err = l.AcceptFlow(ctx); err != nil {
		t.Fatal(err)
	}
	return a, b
}

// A flow passes the tests that the Go project has for a net.Conn. (One on a
// layer in this process does not: they expect that nothing is dropped.)
func TestConn(t *testing.T) {
	nettest.TestConn(t, func() (a, b net.Conn, stop func(), err error) {
		fa, fb := flows(t, true)
		return fa, fb, func() { fa.Close(); fb.Close() }, nil
	})
}

func TestDialAndListen(t *testing.T) {
	x := newExchange(true)
	s := x.stack()
	defer s.Close()
	ctx := context.Background()
	if _, err := s.Dial(ctx, "nobody"); !errors.Is(err, layer.ErrNoName) {
		t.Errorf("no server: %v", err)
	}
	l, err := s.Listen(ctx, "svc")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Listen(ctx, "svc"); !errors.Is(err, layer.ErrPermission) {
		t.Errorf("name taken: %v", err)
	}
	if l.Addr().String() != "svc" || l.Addr().Network() != "o7s" {
		t.Errorf("address %v", l.Addr())
	}
	qs := qos.Raw
	qs.Timeout = 5000
	f, err := s.Dial(ctx, "svc", o7s.WithQoS(qs))
	if err != nil {
		t.Fatal(err)
	}
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	g := c.(*o7s.Flow)
	if f.QoS() != qs || g.QoS() != qs || f.Name() != "svc" || g.ID() == f.ID() || f.MTU() != ring.MaxPacket || f.MPL() == 0 {
		t.Errorf("%v %v %v", f, g, f.MTU())
	}
	canceled, cancel := context.WithCancel(ctx)
	time.AfterFunc(time.Millisecond, cancel)
	if _, err := l.AcceptFlow(canceled); !errors.Is(err, context.Canceled) {
		t.Errorf("accept with context: %v", err)
	}
	time.AfterFunc(time.Millisecond, func() { l.Close() })
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("accept, then close: %v", err)
	}
	l.Close() // waits for the one under way
	if _, err := s.Dial(ctx, "svc"); !errors.Is(err, layer.ErrNoName) {
		t.Errorf("after close: %v", err)
	}
	// Flows outlive the listener, but not the stack.
	if err := f.WritePacket([]byte("x")); err != nil {
		t.Error(err)
	}
	s.Close()
	if _, err := g.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("after the stack was closed: %v", err)
	}
	if _, err := s.Dial(ctx, "svc"); err == nil {
		t.Error("dial on a closed stack")
	}
	if x.open != 0 {
		t.Errorf("%d ends open", x.open)
	}
}

func TestErrorsTellOperationAndName(t *testing.T) {
	a, b := flows(t, true)
	_, err := a.Write(make([]byte, ring.MaxPacket+1))
	var op *net.OpError
	if !errors.As(err, &op) || op.Op != "write" || op.Addr.String() != "echo" || !errors.Is(err, syscall.EMSGSIZE) {
		t.Errorf("got %v", err)
	}
	a.SetNonblock(true)
	if _, _, err := a.ReadPacket(nil); !errors.Is(err, syscall.EAGAIN) {
		t.Errorf("got %v", err)
	}
	a.SetNonblock(false)
	b.SetDown(true)
	if _, err := a.Read(make([]byte, 1)); !errors.Is(err, layer.ErrFlowDown) {
		t.Errorf("got %v", err)
	}
	b.SetDown(false)
	b.Close()
	if _, err := a.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("got %v", err)
	}
	if err := a.SetDeadline(time.Time{}); err != nil {
		t.Error(err)
	}
	a.Close()
	if err := a.SetDeadline(time.Time{}); !errors.Is(err, net.ErrClosed) {
		t.Errorf("got %v", err)
	}
}

func TestDefaultRunDir(t *testing.T) {
	t.Setenv("XDG_RUNTIME_DIR", "/run/user/7")
	t.Setenv("O7S_RUN_DIR", "")
	want := "/run/user/7/ouroboros"
	if os.Geteuid() == 0 {
		want = "/run/ouroboros"
	}
	if got := o7s.DefaultRunDir(); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	t.Setenv("O7S_RUN_DIR", "/x")
	if got := o7s.DefaultRunDir(); got != "/x" {
		t.Errorf("got %q", got)
	}
	if _, err := o7s.Connect(context.Background(), t.TempDir()); err == nil {
		t.Error("connected to nothing")
	}
}
