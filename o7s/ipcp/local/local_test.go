// SPDX-License-Identifier: BSD-3-Clause

package local

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"o7gw/o7s/bubble"
	"o7gw/o7s/ipcp"
	"o7gw/o7s/layer"
	"o7gw/o7s/packet"
	"o7gw/o7s/qos"
)

var name = layer.SHA3_256.Sum("oping")

type upper func(*layer.Request)

func (u upper) FlowRequested(r *layer.Request) { u(r) }

// start returns an IPC process in which name is registered.
func start(t *testing.T, up upper) *IPCP {
	t.Helper()
	l := New(ipcp.Env{Name: "loc", Upper: up, Log: slog.New(slog.DiscardHandler)})
	t.Cleanup(func() { l.Close() })
	if err := l.Bootstrap(t.Context(), ipcp.Config{Type: ipcp.Local, Layer: "here", Hash: layer.SHA3_256}); err != nil {
		t.Fatal(err)
	}
	if err := l.Register(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	return l
}

// receiver writes down what it gets.
type receiver struct{ got string }

func (r *receiver) Packets(p []*packet.Buffer) {
	for _, b := range p {
		r.got += string(b.Bytes())
	}
	packet.ReleaseBatch(p)
}
func (r *receiver) Event(e layer.Event) { r.got += "<" + e.String() + ">" }

func pkt(s string) []*packet.Buffer {
	b := packet.Get(len(s))
	b.Append([]byte(s))
	return []*packet.Buffer{b}
}

func TestInfoAndNames(t *testing.T) {
	l := start(t, nil)
	if i := l.Info(); i != (ipcp.Info{Layer: "here", Hash: layer.SHA3_256, MTU: 65536, MPL: 100 * time.Millisecond}) || l.Type() != ipcp.Local {
		t.Errorf("%+v, %v", i, l.Type())
	}
	if err := l.Query(t.Context(), name); err != nil {
		t.Error(err)
	}
	l.Unregister(t.Context(), name)
	if err := l.Query(t.Context(), name); !errors.Is(err, layer.ErrNoName) {
		t.Error(err)
	}
	if _, _, err := l.Allocate(t.Context(), name, qos.Raw, nil); !errors.Is(err, layer.ErrNoName) {
		t.Error(err)
	}
	if err := l.Enroll(t.Context(), "x"); !errors.Is(err, layer.ErrNotSupported) {
		t.Error(err)
	}
	if _, err := l.Join(t.Context(), name); !errors.Is(err, layer.ErrNotSupported) {
		t.Error(err)
	}
}

func TestFlow(t *testing.T) {
	var b layer.Port
	l := start(t, func(r *layer.Request) {
		if r.Dst != name || r.QoS != qos.Voice || string(r.Data) != "request" {
			t.Errorf("request %+v", r)
		}
		var err error
		if b, err = r.Accept([]byte("answer")); err != nil {
			t.Error(err)
		}
		b.Send(pkt("early ")) // before the requester knows
		if _, err := r.Accept(nil); !errors.Is(err, layer.ErrNotAllocated) {
			t.Errorf("second answer: %v", err)
		}
		r.Refuse(layer.ErrAuth)
	})
	a, data, err := l.Allocate(t.Context(), name, qos.Voice, []byte("request"))
	if err != nil || string(data) != "answer" {
		t.Fatalf("%q, %v", data, err)
	}
	var ra, rb receiver
	a.Receive(&ra)
	b.Receive(&rb)
	a.Send(pkt("1"))
	a.Send(append(pkt("2"), append(pkt(""), pkt("3")...)...))
	b.Send(pkt("late"))
	long := packet.Get(MTU)
	long.SetLen(MTU)
	long.Extend(1)
	b.Send([]*packet.Buffer{long})

	a.Close()
	a.Close()
	b.Send(pkt("nobody there"))
	if ra.got != "early late" || rb.got != "123<closed>" {
		t.Errorf("got %q and %q", ra.got, rb.got)
	}
	if s := l.Stats(); s.Packets != 6 || s.Bytes != 13 || s.Dropped != 2 || s.Ports != 1 || s.Accepted != 1 || s.Requests != 1 || s.Refused != 0 {
		t.Errorf("%+v", s)
	}
	b.Close()
	if s := l.Stats(); s.Ports != 0 || s.Packets != 6 || s.Dropped != 2 {
		t.Errorf("%+v", s)
	}
	if rb.got != "123<closed>" {
		t.Errorf("got %q after Close", rb.got)
	}
}

// An echo from within the receiver, both ways at once, must not block.
func TestFlowEcho(t *testing.T) {
	var b layer.Port
	l := start(t, func(r *layer.Request) { b, _ = r.Accept(nil) })
	a, _, err := l.Allocate(t.Context(), name, qos.Raw, nil)
	if err != nil {
		t.Fatal(err)
	}
	left := 10000
	ra, rb := &echo{port: a, left: &left}, &echo{port: b, left: &left}
	a.Receive(ra)
	b.Receive(rb)
	a.Send(pkt("ping"))
	if left != -1 || !ra.closed && !rb.closed {
		t.Fatalf("%d left, closed %v %v", left, ra.closed, rb.closed)
	}
}

// echo sends back what it gets and at last closes, from within.
type echo struct {
	port   layer.Port
	left   *int
	closed bool
}

func (e *echo) Packets(p []*packet.Buffer) {
	if *e.left--; *e.left < 0 {
		packet.ReleaseBatch(p)
		e.port.Close()
		return
	}
	e.port.Send(p)
}
func (e *echo) Event(ev layer.Event) {
	e.closed = ev == layer.Closed
	e.port.Close()
}

func TestRefusals(t *testing.T) {
	for _, c := range []struct {
		answer func(*layer.Request)
		want   layer.Errno
	}{
		{func(r *layer.Request) { r.Refuse(layer.ErrAuth) }, layer.ErrAuth},
		{func(r *layer.Request) { r.Refuse(0) }, layer.ErrIPCP},
		{func(r *layer.Request) { r.Ignore() }, layer.ErrNoName},
		{func(r *layer.Request) { go r.Refuse(layer.ErrCrypt) }, layer.ErrCrypt},
	} {
		l := start(t, c.answer)
		if _, _, err := l.Allocate(t.Context(), name, qos.Raw, nil); !errors.Is(err, c.want) {
			t.Errorf("got %v, want %v", err, c.want)
		}
		if s := l.Stats(); s.Refused != 1 || s.Ports != 0 {
			t.Errorf("%+v", s)
		}
	}
}

// Nobody answers: the requester's time runs out, and a late answer finds
// nobody.
func TestAbandoned(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		var req *layer.Request
		l := start(t, func(r *layer.Request) { req = r })
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, _, err := l.Allocate(ctx, name, qos.Raw, nil); !errors.Is(err, layer.ErrTimedOut) {
			t.Errorf("got %v", err)
		}
		if _, err := req.Accept(nil); !errors.Is(err, layer.ErrNotAllocated) {
			t.Errorf("late answer: %v", err)
		}
		if s := l.Stats(); s.Abandoned != 1 || s.Ports != 0 {
			t.Errorf("%+v", s)
		}
	})
}

func TestCloseEndsEverything(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		var ports []layer.Port
		var req *layer.Request
		l := start(t, func(r *layer.Request) {
			if len(ports) == 0 {
				b, _ := r.Accept(nil)
				ports = append(ports, b)
				return
			}
			req = r
		})
		a, _, err := l.Allocate(t.Context(), name, qos.Raw, nil)
		if err != nil {
			t.Fatal(err)
		}
		var ra, rb receiver
		a.Receive(&ra)
		ports[0].Receive(&rb)
		waiting := make(chan error)
		go func() {
			_, _, err := l.Allocate(t.Context(), name, qos.Raw, nil)
			waiting <- err
		}()
		synctest.Wait()
		go l.Close()
		if err := <-waiting; err == nil {
			t.Error("allocation succeeded")
		}
		synctest.Wait()
		if _, err := req.Accept(nil); err == nil {
			t.Error("late answer was taken")
		}
		a.Send(pkt("x"))
		a.Close()
		ports[0].Close()
		if ra.got != "<closed>" || rb.got != "<closed>" || l.State() != ipcp.Null {
			t.Errorf("got %q, %q, %v", ra.got, rb.got, l.State())
		}
	})
}

func TestNoAllocation(t *testing.T) {
	var b layer.Port
	l := start(t, func(r *layer.Request) { b, _ = r.Accept(nil) })
	a, _, err := l.Allocate(t.Context(), name, qos.Raw, nil)
	if err != nil {
		t.Fatal(err)
	}
	b.Receive(sink{})
	var batch [packet.BatchSize]*packet.Buffer
	if n := testing.AllocsPerRun(100, func() {
		packet.GetBatch(batch[:], 64)
		a.Send(batch[:])
	}); n != 0 {
		t.Errorf("%v allocations per batch", n)
	}
}

type sink struct{}

func (sink) Packets(p []*packet.Buffer) { packet.ReleaseBatch(p) }
func (sink) Event(layer.Event)          {}

func BenchmarkFlow(b *testing.B) {
	b.ReportAllocs()
	var there layer.Port
	l := New(ipcp.Env{Upper: upper(func(r *layer.Request) { there, _ = r.Accept(nil) }), Log: slog.New(slog.DiscardHandler)})
	defer l.Close()
	ctx := context.Background()
	if err := errors.Join(l.Bootstrap(ctx, ipcp.Config{Type: ipcp.Local, Layer: "here"}), l.Register(ctx, layer.SHA3_224.Sum("x"))); err != nil {
		b.Fatal(err)
	}
	here, _, err := l.Allocate(ctx, layer.SHA3_224.Sum("x"), qos.Raw, nil)
	if err != nil {
		b.Fatal(err)
	}
	there.Receive(sink{})
	var batch [packet.BatchSize]*packet.Buffer
	for range b.N {
		packet.GetBatch(batch[:], 64)
		here.Send(batch[:])
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/packet.BatchSize, "ns/packet")
}
