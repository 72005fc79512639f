// SPDX-License-Identifier: BSD-3-Clause

package netstack

import (
	"encoding/binary"
	"sync"
	"testing"

	"o7gw/o7s/packet"
)

// gate is a Writer that waits for leave, and remembers what it was given.
type gate struct {
	leave chan struct{}
	mu    sync.Mutex
	last  [4]uint32 // per sender: the latest number
	all   int
	most  int // packets in a batch
	t     *testing.T
}

func (g *gate) Write(pkts []*packet.Buffer) {
	<-g.leave
	if !g.mu.TryLock() {
		g.t.Error("two goroutines write at once")
		g.mu.Lock()
	}
	defer g.mu.Unlock()
	for _, b := range pkts {
		p := b.Bytes()
		who, n := p[0], binary.BigEndian.Uint32(p[1:])
		if n != g.last[who]+1 {
			g.t.Errorf("sender %d: packet %d behind %d", who, n, g.last[who])
		}
		g.last[who] = n
		g.all++
	}
	g.most = max(g.most, len(pkts))
	packet.ReleaseBatch(pkts)
}

func numbered(who byte, n, size int) *packet.Buffer {
	b := packet.Get(size)
	p := b.Extend(size)
	p[0] = who
	binary.BigEndian.PutUint32(p[1:], uint32(n))
	return b
}

// TestOutput: what several senders send arrives once and in each one's order,
// though those who write for others leave at some time.
func TestOutput(t *testing.T) {
	g := &gate{t: t, leave: make(chan struct{})}
	close(g.leave)
	o := newOutput(g)
	const each = 20000
	var senders sync.WaitGroup
	for who := range byte(4) {
		senders.Go(func() {
			for n := 1; n <= each; n++ {
				o.send([]*packet.Buffer{numbered(who, n, 1000)}, false, true)
			}
		})
	}
	senders.Wait()
	o.close() // the goroutine ends what it was handed
	if g.all != 4*each || o.queued != 0 || o.packets.Load() != 4*each || o.dropped.Load() != 0 {
		t.Errorf("%d of %d packets, %d bytes left", g.all, 4*each, o.queued)
	}
}

// TestOutputFull: behind a device that takes nothing, some senders drop and
// others wait; a busy device gets batches.
func TestOutputFull(t *testing.T) {
	g := &gate{t: t, leave: make(chan struct{})}
	o := newOutput(g)
	var senders sync.WaitGroup
	senders.Go(func() { o.send([]*packet.Buffer{numbered(0, 1, 60000)}, false, true) })
	g.leave <- struct{}{} // it writes
	senders.Wait()

	senders.Go(func() { o.send([]*packet.Buffer{numbered(0, 2, 60000)}, false, true) })
	for held := false; !held; {
		o.mu.Lock()
		held = o.writing && !o.waitsLocked()
		o.mu.Unlock()
	}
	n := 3
	for o.dropped.Load() == 0 {
		o.send([]*packet.Buffer{numbered(0, n, 60000)}, false, false)
		n++
	}
	n-- // the dropped one
	if o.queued < queueMost || o.queued > queueMost+60000 {
		t.Errorf("%d bytes wait", o.queued)
	}
	senders.Go(func() { o.send([]*packet.Buffer{numbered(0, n, 60000)}, false, true) })
	close(g.leave)
	senders.Wait()
	o.close()
	if g.all != n || g.most < queueMost/60000 {
		t.Errorf("%d of %d packets, at most %d at once", g.all, n, g.most)
	}
}
