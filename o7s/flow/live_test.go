// SPDX-License-Identifier: BSD-3-Clause

package flow

import (
	"errors"
	"sync"
	"testing"
	"time"

	"o7gw/o7s/bubble"
	"o7gw/o7s/layer"
	"o7gw/o7s/packet"
	"o7gw/o7s/qos"
)

const timeout = 800 * time.Millisecond

func withTimeout() qos.Spec {
	qs := qos.Raw
	qs.Timeout = uint32(timeout / time.Millisecond)
	return qs
}

// ear is the bare other end of a flow: it notes when keepalives come.
type ear struct {
	mu    sync.Mutex
	empty int
	last  time.Time
	gap   time.Duration
}

func (e *ear) heard() (empty int, gap time.Duration) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.empty, e.gap
}

func (e *ear) Packets(pkts []*packet.Buffer) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, p := range pkts {
		if p.Len() == 0 {
			e.empty++
		}
	}
	now := time.Now()
	e.gap = max(e.gap, now.Sub(e.last))
	e.last = now
	packet.ReleaseBatch(pkts)
}

func (e *ear) Event(layer.Event) {}

// alone returns a flow whose peer is a bare port.
func alone(t *testing.T, qs qos.Spec) (*Flow, *Host, layer.Port) {
	p, q := layer.Pipe()
	h := NewHost()
	f, err := New(&Attachment{QoS: qs, Port: p}, h)
	if err != nil {
		t.Fatal(err)
	}
	return f, h, q
}

func TestKeepalives(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		f, h, q := alone(t, withTimeout())
		e := &ear{last: time.Now()}
		q.Receive(e)
		time.Sleep(10 * timeout)
		n, gap := e.heard()
		if gap > timeout/4 {
			t.Errorf("silent for %v", gap)
		}
		// Also after the peer was declared dead; and not much too often.
		if n < 39 || n > 60 {
			t.Errorf("%d keepalives in 10 timeouts", n)
		}
		if !f.PeerDead() {
			t.Error("peer lives")
		}
		f.Close()
		h.Close()
		q.Close()
	})
}

func TestTrafficReplacesKeepalives(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		f, h, q := alone(t, withTimeout())
		e := &ear{last: time.Now()}
		q.Receive(e)
		for range 100 {
			time.Sleep(timeout / 10)
			if err := f.Write([]byte("x")); err != nil {
				t.Fatal(err)
			}
		}
		if n, _ := e.heard(); n != 0 {
			t.Errorf("%d keepalives", n)
		}
		f.Close()
		h.Close()
		q.Close()
	})
}

// A reader that does not read is not a dead peer; a silent peer is, after
// what it sent was read.
func TestPeerTimeout(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		f, h, q := alone(t, withTimeout())
		one := func() { q.Send([]*packet.Buffer{buffer([]byte("x"))}) }
		for range 50 { // five timeouts, nobody reads
			time.Sleep(timeout / 10)
			one()
		}
		if f.PeerDead() {
			t.Fatal("dead although packets arrive")
		}
		silent := time.Now()
		buf := make([]byte, 1)
		var err error
		n := 0
		for ; err == nil; n++ {
			_, err = f.Read(buf)
		}
		if !errors.Is(err, layer.ErrFlowPeer) || n != 51 {
			t.Errorf("%d packets, then %v", n-1, err)
		}
		if d := time.Since(silent); d < timeout || d > timeout+timeout/8 {
			t.Errorf("dead after %v", d)
		}
		if err := f.Write(buf); err != nil {
			t.Errorf("write to a dead peer: %v", err)
		}
		one() // not dead after all: what arrives is read
		if _, err := f.Read(buf); err != nil {
			t.Errorf("late packet: %v", err)
		}
		f.Close()
		h.Close()
		q.Close()
	})
}

func TestNoTimeoutNoKeepalive(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		qs := qos.Raw
		qs.Timeout = 0
		f, h, q := alone(t, qs)
		e := &ear{last: time.Now()}
		q.Receive(e)
		time.Sleep(24 * time.Hour)
		if n, _ := e.heard(); n != 0 || f.PeerDead() {
			t.Errorf("%d keepalives, dead %v", n, f.PeerDead())
		}
		f.Close()
		h.Close()
		q.Close()
	})
}

// Two flows of the library keep each other alive, with different timeouts
// beside each other on one host.
func TestIdleFlowsStayAlive(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		h := NewHost()
		var flows []*Flow
		for _, ms := range []uint32{120000, 800, 50} {
			qs := qos.Raw
			qs.Timeout = ms
			p, q := layer.Pipe()
			for _, port := range []layer.Port{p, q} {
				f, err := New(&Attachment{QoS: qs, Port: port}, h)
				if err != nil {
					t.Fatal(err)
				}
				flows = append(flows, f)
			}
		}
		time.Sleep(5 * time.Minute)
		for _, f := range flows {
			if f.PeerDead() {
				t.Errorf("timeout %d ms: dead", f.QoS().Timeout)
			}
			f.Close()
		}
		h.Close()
	})
}

// The same on a ring, in real time.
func TestRingPeerTimeout(t *testing.T) {
	qs := qos.Raw
	qs.Timeout = 50
	a, b := attachments(t, "ring", qs)
	h := NewHost()
	f, err := New(a, h)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Read(make([]byte, 1)); !errors.Is(err, layer.ErrFlowPeer) {
		t.Errorf("got %v", err)
	}
	if n, _, err := b.Ring.Read(make([]byte, 1), nil); n != 0 || err != nil {
		t.Errorf("keepalive: %d %v", n, err)
	}
	f.Close()
	b.close()
	h.Close()
}
