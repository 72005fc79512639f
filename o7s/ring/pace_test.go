// SPDX-License-Identifier: BSD-3-Clause

package ring

import (
	"errors"
	"sync"
	"testing"
	"time"

	"o7gw/o7s/layer"
	"o7gw/o7s/packet"
)

// valve is a pacer that a test opens and shuts.
type valve struct {
	mu     sync.Mutex
	open   bool
	resume func()
	asked  chan struct{} // has room for one
}

func (v *valve) Paused(resume func()) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.resume = resume
	select {
	case v.asked <- struct{}{}:
	default:
	}
	return !v.open
}

func (v *valve) turn() {
	v.mu.Lock()
	v.open = true
	resume := v.resume
	v.mu.Unlock()
	resume()
}

// collector counts what it receives.
type collector struct{ n chan int }

func (c collector) Packets(pkts []*packet.Buffer) {
	n := len(pkts)
	packet.ReleaseBatch(pkts)
	c.n <- n
}
func (c collector) Event(layer.Event) {}

// While the pacer is paused packets stay in the ring, whose writer then finds
// it full; all of them come when it is resumed.
func TestPacedPort(t *testing.T) {
	a, b := pair(t, Config{})
	p, err := NewPoller()
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	q := NewPort(b, p)
	v := &valve{asked: make(chan struct{}, 1)}
	c := collector{make(chan int, 1024)}
	q.Pace(v)
	q.Receive(c)
	defer q.Close()
	written := 0
	for {
		err := a.Write(make([]byte, 100), NoWait)
		if errors.Is(err, ErrWouldBlock) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		written++
	}
	<-v.asked
	if written < 10 || len(c.n) != 0 {
		t.Fatalf("%d packets fit into the ring, %d batches came through", written, len(c.n))
	}
	v.turn()
	limit := time.After(10 * time.Second)
	for got := 0; got < written; {
		select {
		case n := <-c.n:
			got += n
		case <-limit:
			t.Fatalf("%d of %d packets came", got, written)
		}
	}
}
