// SPDX-License-Identifier: BSD-3-Clause

package flow

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"o7gw/o7s/layer"
	"o7gw/o7s/packet"
	"o7gw/o7s/qos"
)

// sink is a receiver that notes what it gets.
type sink struct {
	mu     sync.Mutex
	got    []string
	closed chan struct{}
	do     func(pkts []*packet.Buffer)
}

func newSink() *sink { return &sink{closed: make(chan struct{})} }

func (s *sink) Packets(pkts []*packet.Buffer) {
	s.mu.Lock()
	for _, p := range pkts {
		s.got = append(s.got, string(p.Bytes()))
	}
	s.mu.Unlock()
	if s.do != nil {
		s.do(pkts)
		return
	}
	packet.ReleaseBatch(pkts)
}

func (s *sink) Event(e layer.Event) {
	s.mu.Lock()
	s.got = append(s.got, e.String())
	s.mu.Unlock()
	if e == layer.Closed {
		close(s.closed)
	}
}

func (s *sink) wait(t *testing.T) []string {
	t.Helper()
	select {
	case <-s.closed:
	case <-time.After(10 * time.Second):
		t.Fatal("no end")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.got
}

func TestPush(t *testing.T) {
	onEach(t, func(t *testing.T, a, b *Flow) {
		a.Write([]byte("early"))
		a.Write(nil)
		s := newSink()
		if err := b.Receive(s); err != nil {
			t.Fatal(err)
		}
		for i := range 1000 {
			a.Write(fmt.Append(nil, i))
			if i%100 == 0 {
				a.Write(nil)
			}
		}
		if _, err := b.Read(make([]byte, 1)); !errors.Is(err, ErrPushed) {
			t.Errorf("read in push mode: %v", err)
		}
		if err := b.Receive(s); !errors.Is(err, ErrPushed) {
			t.Errorf("second receiver: %v", err)
		}
		a.Close()
		got := s.wait(t)
		if len(got) != 1002 || got[0] != "early" || got[1001] != "closed" {
			t.Fatalf("%d entries, first %q, last %q", len(got), got[0], got[len(got)-1])
		}
		for i := range 1000 {
			if got[1+i] != fmt.Sprint(i) {
				t.Fatalf("packet %d: %q", i, got[1+i])
			}
		}
	})
}

// A receiver may close its flow, and write to it.
func TestPushEchoAndCloseWithin(t *testing.T) {
	onEach(t, func(t *testing.T, a, b *Flow) {
		s := newSink()
		s.do = func(pkts []*packet.Buffer) {
			last := string(pkts[len(pkts)-1].Bytes()) == "end"
			if err := b.WriteBatch(pkts); err != nil {
				t.Errorf("echo: %v", err)
			}
			if last {
				b.Close()
			}
		}
		if err := b.Receive(s); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 10)
		a.SetDeadlineForTest()
		for _, w := range []string{"a", "b", "end"} {
			if err := a.Write([]byte(w)); err != nil {
				t.Fatal(err)
			}
			if n, err := a.Read(buf); string(buf[:n]) != w || err != nil {
				t.Fatalf("%q %v", buf[:n], err)
			}
		}
		if _, err := a.Read(buf); err == nil {
			t.Error("flow goes on")
		}
	})
}

func TestPushEvents(t *testing.T) {
	a, b := pair(t, "ring", qos.Raw)
	s := newSink()
	b.Receive(s)
	has := func(want string) func() bool {
		return func() bool {
			s.mu.Lock()
			defer s.mu.Unlock()
			return len(s.got) > 0 && s.got[len(s.got)-1] == want
		}
	}
	wait := func(ok func() bool) {
		for end := time.Now().Add(10 * time.Second); !ok(); time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("got %v", s.got)
			}
		}
	}
	a.SetDown(true)
	wait(has("down"))
	a.SetDown(false)
	wait(has("up"))
	a.Close()
	s.wait(t)
}

func TestPushPeerTimeout(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			qs := qos.Raw
			qs.Timeout = 50
			aa, ab := attachments(t, kind, qs)
			h := NewHost()
			f, err := New(aa, h)
			if err != nil {
				t.Fatal(err)
			}
			s := newSink()
			f.Receive(s)
			if got := s.wait(t); len(got) != 1 {
				t.Errorf("got %v", got)
			}
			f.Close()
			ab.close()
			h.Close()
		})
	}
}

func TestNoAllocationPerPacket(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			a, b := pair(t, kind, qos.Raw)
			count := make(chan int, 1)
			r := &counting{done: count}
			if err := b.Receive(r); err != nil {
				t.Fatal(err)
			}
			var batch [packet.BatchSize]*packet.Buffer
			one := make([]byte, 64)
			if n := testing.AllocsPerRun(200, func() {
				packet.GetBatch(batch[:], 64)
				for _, p := range batch {
					p.SetLen(64)
				}
				r.need.Store(int32(len(batch) + 1))
				if err := a.WriteBatch(batch[:]); err != nil {
					t.Error(err)
				}
				if err := a.Write(one); err != nil {
					t.Error(err)
				}
				<-count
			}); n >= 1 {
				t.Errorf("%v allocations per batch", n)
			}
		})
	}
}

// counting tells when as many packets have come as are needed.
type counting struct {
	need atomic.Int32
	done chan int
}

func (c *counting) Packets(pkts []*packet.Buffer) {
	left := c.need.Add(-int32(len(pkts)))
	packet.ReleaseBatch(pkts)
	if left == 0 {
		c.done <- 0
	}
}

func (c *counting) Event(layer.Event) {}
