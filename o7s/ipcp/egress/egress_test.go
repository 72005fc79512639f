// SPDX-License-Identifier: BSD-3-Clause

package egress

import (
	"encoding/binary"
	"slices"
	"sync"
	"testing"

	"o7gw/o7s/packet"
	"o7gw/o7s/qos"
)

// wire is an Outlet that carries as many packets as it was given room for, and
// notes the number in each.
type wire struct {
	mu    sync.Mutex
	more  sync.Cond // room, or ended
	room  int
	ended bool
	got   []uint32
}

func newWire(room int) *wire {
	w := &wire{room: room}
	w.more.L = &w.mu
	return w
}

func (w *wire) Send(items []Item[int]) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := min(len(items), w.room)
	w.room -= n
	for _, it := range items[:n] {
		w.got = append(w.got, binary.BigEndian.Uint32(it.Buf.Bytes()))
		*it.To++
	}
	Release(items[:n])
	return n
}

func (w *wire) Wait() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.room == 0 && !w.ended {
		w.more.Wait()
	}
	return w.room > 0
}

// widen gives room for n packets more.
func (w *wire) widen(n int) {
	w.mu.Lock()
	w.room += n
	w.mu.Unlock()
	w.more.Broadcast()
}

// end lets nobody wait any more, as a shim does before it closes its egress.
func (w *wire) end() {
	w.mu.Lock()
	w.ended = true
	w.mu.Unlock()
	w.more.Broadcast()
}

// numbers makes n packets with numbers from first on, all with a mark.
func numbers(mark uint8, first, n int) []*packet.Buffer {
	pkts := make([]*packet.Buffer, n)
	packet.GetBatch(pkts, 4)
	for i, b := range pkts {
		b.Append(binary.BigEndian.AppendUint32(nil, uint32(first+i)))
		b.SetCube(mark)
	}
	return pkts
}

func TestIdleEgressSendsAtOnce(t *testing.T) {
	w := newWire(1000)
	var d Drops
	e := New(w, &d)
	to := 0
	e.Enqueue(&to, qos.BestEffort, numbers(0, 0, 300))
	if to != 300 || !slices.IsSorted(w.got) || e.Queued(qos.BestEffort) != 0 {
		t.Errorf("%d of 300 packets sent, %d wait", to, e.Queued(qos.BestEffort))
	}
	w.end()
	e.Close()
	e.Enqueue(&to, qos.BestEffort, numbers(0, 0, 3))
	if d.Full.Load() != 3 || to != 300 {
		t.Errorf("%d dropped, %d sent after the end", d.Full.Load(), to-300)
	}
}

// blocked makes an egress whose goroutine waits for room with one packet, in a
// batch of its own, so that all others queue. finish gives room for more, and
// closes.
func blocked(t *testing.T) (e *Egress[int], d *Drops, finish func(room int) (sent []uint32)) {
	t.Helper()
	w, d := newWire(0), new(Drops)
	e = New(w, d)
	finish = func(room int) []uint32 {
		w.widen(room)
		w.end()
		e.Close()
		return w.got
	}
	e.Enqueue(new(int), qos.BestEffort, numbers(0, 9999, 1))
	return e, d, finish
}

func TestFullQueueDropsAndCounts(t *testing.T) {
	e, d, finish := blocked(t)
	defer finish(0)
	to := 0
	e.Enqueue(&to, qos.BestEffort, numbers(0, 0, Limit+500))
	if d.Full.Load() != 500 {
		t.Errorf("%d dropped, want 500", d.Full.Load())
	}
	e.Manage(&to, qos.BestEffort, numbers(0, 0, 1)[0]) // there is room for such
	if d.Full.Load() != 500 {
		t.Error("a management message was dropped")
	}
	for range manageRoom {
		e.Manage(&to, qos.BestEffort, numbers(0, 0, 1)[0])
	}
	if d.Full.Load() != 501 {
		t.Errorf("%d dropped, want 501", d.Full.Load())
	}
}

// Of a batch with several marks each queue takes what it has room for.
func TestFullQueueOfOneCube(t *testing.T) {
	e, d, finish := blocked(t)
	to := 0
	e.Enqueue(&to, qos.VideoCube, numbers(0, 0, Limit-1))
	e.Enqueue(&to, qos.BestEffort, slices.Concat(
		numbers(1, 5000, 3), numbers(0, 6000, 2), numbers(1, 7000, 2), numbers(2, 8000, 1)))
	if d.Full.Load() != 4 {
		t.Errorf("%d dropped, want 4", d.Full.Load())
	}
	got := finish(5000)
	if to != Limit+3 || len(got) != Limit+4 {
		t.Errorf("%d packets sent, want %d", to, Limit+3)
	}
	for _, n := range []uint32{5000, 6000, 6001, 8000} {
		if !slices.Contains(got, n) {
			t.Errorf("packet %d is missing", n)
		}
	}
}

// Closing does not wait for a wire that never has room.
func TestCloseWithoutRoom(t *testing.T) {
	e, d, finish := blocked(t)
	e.Enqueue(new(int), qos.VoiceCube, numbers(0, 0, 200))
	if got := finish(0); d.Abandoned.Load() != 201 || len(got) != 0 {
		t.Errorf("%d abandoned, %d sent", d.Abandoned.Load(), len(got))
	}
}

func TestPriorityAndShares(t *testing.T) {
	e, _, finish := blocked(t)
	to := 0
	e.Enqueue(&to, qos.BestEffort, numbers(0, 0, 500))
	e.Enqueue(&to, qos.VideoCube, numbers(0, 1000, 500))
	e.Enqueue(&to, qos.VoiceCube, numbers(0, 2000, 500))
	got := finish(5000)
	if to != 1500 {
		t.Fatalf("%d packets sent", to)
	}
	var order [5][3]int // batch, cube
	for i := range order {
		last := uint32(3000)
		for _, n := range got[1+i*Batch:][:Batch] {
			order[i][n/1000]++
			if n/1000 > last/1000 {
				t.Fatal("a lower cube went first")
			}
			last = n
		}
	}
	// Voice leaves the others their share; when it is used up, video does.
	want := [5][3]int{{8, 8, 112}, {8, 8, 112}, {8, 8, 112}, {8, 8, 112}, {8, 68, 52}}
	if order != want {
		t.Errorf("got %v, want %v", order, want)
	}
}

// The mark of a packet raises it above the cube of its flow, never below; what
// is no cube is no mark. Order is kept in each cube.
func TestMarks(t *testing.T) {
	e, _, finish := blocked(t)
	to := 0
	mixed := slices.Concat(numbers(0, 0, 2), numbers(2, 100, 2), numbers(1, 200, 2), numbers(0, 2, 1), numbers(2, 102, 1), numbers(3, 3, 1))
	e.Enqueue(&to, qos.BestEffort, mixed)
	e.Enqueue(&to, qos.VideoCube, slices.Concat(numbers(0, 300, 1), numbers(2, 400, 1), numbers(1, 301, 1), numbers(255, 302, 1)))
	for c, want := range []int{14, 10, 5} { // one waits outside the queues
		if n := e.Queued(qos.Cube(c)); n != want {
			t.Errorf("%d packets wait in front of cube %d, want %d", n, c, want)
		}
	}
	got := finish(100)
	want := []uint32{9999, 100, 101, 102, 400, 200, 201, 300, 301, 302, 0, 1, 2, 3}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if n := e.Queued(qos.BestEffort); n != 0 {
		t.Errorf("%d wait in an idle egress", n)
	}
}

// Many goroutines send; each sees its packets leave in order, and none is
// lost or counted twice.
func TestManySenders(t *testing.T) {
	w, d := newWire(0), new(Drops)
	e := New(w, d)
	const senders, each = 4, 1000
	var sending, widening sync.WaitGroup
	stop := make(chan struct{})
	widening.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				w.widen(7)
			}
		}
	})
	for s := range senders {
		sending.Go(func() {
			to := new(int)
			for i := range each / 10 {
				e.Enqueue(to, qos.Cube(s%qos.Cubes), numbers(0, s*each+10*i, 10))
			}
		})
	}
	sending.Wait()
	w.widen(senders * each)
	close(stop)
	widening.Wait()
	w.end()
	e.Close()
	if total := len(w.got) + int(d.Full.Load()+d.Abandoned.Load()); total != senders*each {
		t.Errorf("%d packets sent or dropped of %d", total, senders*each)
	}
	var next [senders]uint32
	for _, n := range w.got {
		s := n / each
		if n < next[s] {
			t.Fatalf("packet %d of sender %d came after %d", n%each, s, next[s]%each)
		}
		next[s] = n + 1
	}
}

// sink releases everything.
type sink struct{}

func (sink) Send(items []Item[int]) int {
	Release(items)
	return len(items)
}

func (sink) Wait() bool { return false }

func TestNoAllocation(t *testing.T) {
	e := New(sink{}, new(Drops))
	defer e.Close()
	to := 0
	var batch [Batch]*packet.Buffer
	if n := testing.AllocsPerRun(200, func() {
		packet.GetBatch(batch[:], 64)
		batch[5].SetCube(1)
		e.Enqueue(&to, qos.BestEffort, batch[:])
	}); n != 0 {
		t.Errorf("%v allocations per batch", n)
	}
}

func BenchmarkEnqueue(b *testing.B) {
	for _, c := range []struct {
		name string
		mark func(i int) uint8
	}{{"plain", func(int) uint8 { return 0 }}, {"marked", func(int) uint8 { return 2 }}, {"mixed", func(i int) uint8 { return uint8(i & 1) }}} {
		b.Run(c.name, func(b *testing.B) {
			e := New(sink{}, new(Drops))
			defer e.Close()
			to := 0
			var batch [Batch]*packet.Buffer
			b.ReportAllocs()
			for i := 0; i < b.N; i += Batch {
				packet.GetBatch(batch[:], 64)
				for j, p := range batch {
					p.SetCube(c.mark(j))
				}
				e.Enqueue(&to, qos.BestEffort, batch[:])
			}
		})
	}
}
