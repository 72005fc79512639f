// SPDX-License-Identifier: BSD-3-Clause

package sim

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"o7gw/o7s/bubble"
	"o7gw/o7s/layer"
	"o7gw/o7s/packet"
)

// receiver writes down what it gets and when.
type receiver struct {
	start time.Time
	got   []string
	at    []time.Duration
}

func listen(p layer.Port) *receiver {
	r := &receiver{start: time.Now()}
	p.Receive(r)
	return r
}

func (r *receiver) note(s string) {
	r.got = append(r.got, s)
	r.at = append(r.at, time.Since(r.start))
}

func (r *receiver) Packets(p []*packet.Buffer) {
	for _, b := range p {
		r.note(string(b.Bytes()))
	}
	packet.ReleaseBatch(p)
}

func (r *receiver) Event(e layer.Event) { r.note("<" + e.String() + ">") }

func (r *receiver) String() string { return strings.Join(r.got, " ") }

func pkt(s string) []*packet.Buffer {
	b := packet.Get(len(s))
	b.Append([]byte(s))
	return []*packet.Buffer{b}
}

// inBubble runs a test on a network in fake time.
func inBubble(t *testing.T, seed uint64, test func(t *testing.T, n *Network)) {
	t.Helper()
	bubble.Test(t, func(t *testing.T) {
		n := NewNetwork(seed)
		defer n.Close()
		test(t, n)
	})
}

// settle waits until everything that is under way has arrived.
func settle() {
	time.Sleep(time.Hour)
	synctest.Wait()
}

func TestDelay(t *testing.T) {
	inBubble(t, 1, func(t *testing.T, n *Network) {
		a, b, l := n.Pair(Params{Delay: 30 * time.Millisecond})
		ra, rb := listen(a), listen(b)
		a.Send(append(pkt("1"), pkt("2")...))
		time.Sleep(time.Millisecond)
		b.Send(pkt("back"))
		settle()
		if rb.String() != "1 2" || rb.at[1] != 30*time.Millisecond || ra.String() != "back" || ra.at[0] != 31*time.Millisecond {
			t.Errorf("%v at %v, %v at %v", rb, rb.at, ra, ra.at)
		}
		if s := l.Stats(); s != (Stats{Sent: 3, Arrived: 3}) {
			t.Errorf("%+v", s)
		}
	})
}

func TestJitterKeepsOrder(t *testing.T) {
	inBubble(t, 2, func(t *testing.T, n *Network) {
		a, b, _ := n.Pair(Params{Delay: 10 * time.Millisecond, Jitter: 50 * time.Millisecond})
		r := listen(b)
		late := 0
		for i := range 200 {
			a.Send(pkt(fmt.Sprint(i)))
			time.Sleep(5 * time.Millisecond)
		}
		settle()
		for i, s := range r.got {
			wait := r.at[i] - time.Duration(i)*5*time.Millisecond
			if s != fmt.Sprint(i) || wait < 10*time.Millisecond || wait > 60*time.Millisecond {
				t.Fatalf("packet %d is %s after %v", i, s, wait)
			}
			if wait > 40*time.Millisecond {
				late++
			}
		}
		if len(r.got) != 200 || late < 20 {
			t.Errorf("%d packets, %d of them late", len(r.got), late)
		}
	})
}

func TestLossDuplicationReordering(t *testing.T) {
	const sent = 10000
	inBubble(t, 3, func(t *testing.T, n *Network) {
		a, b, l := n.Pair(Params{Delay: time.Millisecond, Loss: 0.1, Duplicate: 0.05, Reorder: 0.02, Late: 10 * time.Millisecond})
		seen := make(map[uint32]int)
		highest, overtaken := uint32(0), 0
		b.Receive(funcReceiver(func(p []byte) {
			i := binary.BigEndian.Uint32(p)
			seen[i]++
			if i < highest {
				overtaken++
			}
			highest = max(highest, i)
		}))
		for i := range uint32(sent) {
			a.Send(pkt(string(binary.BigEndian.AppendUint32(nil, i))))
			time.Sleep(time.Millisecond)
		}
		settle()
		lost, twice := sent-len(seen), 0
		for _, k := range seen {
			if k > 1 {
				twice++
			}
		}
		s := l.Stats()
		t.Logf("lost %d, twice %d, overtaken %d; %+v", lost, twice, overtaken, s)
		if lost < 900 || lost > 1100 || twice < 380 || twice > 520 || overtaken < 130 || overtaken > 230 {
			t.Error("not what was asked for")
		}
		if s.Lost != uint64(lost) || s.Duplicated != uint64(twice) || s.Sent != sent || s.Arrived != s.Sent-s.Lost+s.Duplicated {
			t.Errorf("counters do not agree: %+v", s)
		}
	})
}

type funcReceiver func([]byte)

func (f funcReceiver) Packets(p []*packet.Buffer) {
	for _, b := range p {
		f(b.Bytes())
	}
	packet.ReleaseBatch(p)
}
func (funcReceiver) Event(layer.Event) {}

func TestRateAndQueue(t *testing.T) {
	inBubble(t, 4, func(t *testing.T, n *Network) {
		// 1000 bytes take a second; four of them wait.
		a, b, l := n.Pair(Params{Rate: 8000, Queue: 4000, Delay: 100 * time.Millisecond})
		r := listen(b)
		for i := range 10 {
			a.Send(pkt(fmt.Sprintf("%d%999s", i, "")))
		}
		settle()
		if len(r.got) != 4 || l.Stats().Overflow != 6 {
			t.Fatalf("%d arrived, %+v", len(r.got), l.Stats())
		}
		for i, at := range r.at {
			if want := time.Duration(i+1)*time.Second + 100*time.Millisecond; at != want || r.got[i][0] != byte('0'+i) {
				t.Errorf("packet %c at %v, want %v", r.got[i][0], at, want)
			}
		}
		a.Send(pkt("again"))
		settle()
		if len(r.got) != 5 {
			t.Error("queue did not empty")
		}
	})
}

func TestDrop(t *testing.T) {
	inBubble(t, 5, func(t *testing.T, n *Network) {
		a, b, l := n.Pair(Params{Drop: func(n uint64, p []byte) bool { return n == 2 || string(p) == "bad" }})
		r := listen(b)
		for _, s := range []string{"1", "2", "3", "bad", "5"} {
			a.Send(pkt(s))
		}
		settle()
		if r.String() != "1 3 5" || l.Stats().Lost != 2 {
			t.Errorf("%v, %+v", r, l.Stats())
		}
	})
}

func TestTooLong(t *testing.T) {
	inBubble(t, 6, func(t *testing.T, n *Network) {
		a, b, l := n.Pair(Params{MTU: 5})
		r := listen(b)
		a.Send(append(pkt("123456"), pkt("12345")...))
		settle()
		if r.String() != "12345" || l.Stats().TooLong != 1 || a.MTU() != 5 {
			t.Errorf("%v, %+v", r, l.Stats())
		}
	})
}

func TestLinkDown(t *testing.T) {
	inBubble(t, 7, func(t *testing.T, n *Network) {
		a, b, l := n.Pair(Params{Delay: time.Second})
		ra, rb := listen(a), listen(b)
		a.Send(pkt("under way"))
		time.Sleep(time.Millisecond)
		l.SetUp(false)
		l.SetUp(false)
		a.Send(pkt("lost"))
		settle()
		l.SetUp(true)
		a.Send(pkt("works"))
		settle()
		if ra.String() != "<down> <up>" || rb.String() != "<down> <up> works" {
			t.Errorf("%v and %v", ra, rb)
		}
		if s := l.Stats(); s != (Stats{Sent: 3, Arrived: 1, Cut: 2}) {
			t.Errorf("%+v", s)
		}
	})
}

func TestClosePort(t *testing.T) {
	inBubble(t, 8, func(t *testing.T, n *Network) {
		a, b, l := n.Pair(Params{Delay: time.Second})
		ra, rb := listen(a), listen(b)
		b.Send(pkt("too late"))
		a.Send(pkt("last"))
		a.Close()
		a.Close()
		a.Send(pkt("stray"))
		settle()
		b.Send(pkt("to nobody"))
		b.Close()
		settle()
		if ra.String() != "" || rb.String() != "last <closed>" || l.Stats().Stray != 1 {
			t.Errorf("%v and %v, %+v", ra, rb, l.Stats())
		}
	})
}

// The same seed gives the same history, another seed another; traffic in
// another direction or on another link changes nothing.
func TestDeterminism(t *testing.T) {
	history := func(seed uint64, noise bool) (h string) {
		inBubble(t, seed, func(t *testing.T, n *Network) {
			p := Params{Delay: 3 * time.Millisecond, Jitter: 20 * time.Millisecond, Loss: 0.2, Duplicate: 0.1,
				Reorder: 0.1, Late: 7 * time.Millisecond, Rate: 1e6, Queue: 3000}
			a, b, _ := n.Pair(p)
			c, d, _ := n.Pair(p)
			r := listen(b)
			listen(a)
			listen(d)
			for i := range 300 {
				a.Send(append(pkt(fmt.Sprint(i)), pkt(fmt.Sprint(i, "b"))...))
				if noise {
					b.Send(pkt("back"))
					c.Send(pkt("elsewhere"))
				}
				time.Sleep(time.Duration(i%7) * time.Millisecond)
			}
			settle()
			h = fmt.Sprint(r.got, r.at)
		})
		return h
	}
	first := history(9, false)
	if history(9, false) != first || history(9, true) != first {
		t.Error("seed 9 gave two histories")
	}
	if history(10, false) == first {
		t.Error("seed has no effect")
	}
}

// Echoing receivers run in the dispatcher itself, also when time does not
// pass, and Close in the middle of it ends them.
func TestEchoAndCloseMidway(t *testing.T) {
	inBubble(t, 11, func(t *testing.T, n *Network) {
		a, b, l := n.Pair(Params{Delay: time.Microsecond})
		a.Receive(&echo{a})
		b.Receive(&echo{b})
		a.Send(pkt("ping"))
		time.Sleep(10 * time.Millisecond)
		synctest.Wait()
		if s := l.Stats(); s.Arrived < 9990 {
			t.Errorf("%+v", s)
		}
		n.Close()
		before := l.Stats()
		a.Send(pkt("after"))
		settle()
		if l.Stats().Arrived != before.Arrived {
			t.Error("something arrived after Close")
		}
	})
}

type echo struct{ port layer.Port }

func (e *echo) Packets(p []*packet.Buffer) { e.port.Send(p) }
func (e *echo) Event(layer.Event)          {}

// Without a bubble time is real.
func TestRealTime(t *testing.T) {
	n := NewNetwork(12)
	defer n.Close()
	a, b, _ := n.Pair(Params{Delay: time.Millisecond})
	done := make(chan string)
	b.Receive(funcReceiver(func(p []byte) { done <- string(p) }))
	begin := time.Now()
	a.Send(pkt("x"))
	if got := <-done; got != "x" || time.Since(begin) < time.Millisecond {
		t.Errorf("%q after %v", got, time.Since(begin))
	}
}

func BenchmarkPair(b *testing.B) {
	b.ReportAllocs()
	n := NewNetwork(1)
	defer n.Close()
	x, y, _ := n.Pair(Params{})
	arrived := make(chan struct{}, 1)
	left := b.N * packet.BatchSize
	y.Receive(funcReceiver(func([]byte) {
		if left--; left%packet.BatchSize == 0 {
			arrived <- struct{}{}
		}
	}))
	var batch [packet.BatchSize]*packet.Buffer
	for range b.N {
		packet.GetBatch(batch[:], 64)
		x.Send(batch[:])
		<-arrived
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/packet.BatchSize, "ns/packet")
}
