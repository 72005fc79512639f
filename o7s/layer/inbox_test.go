// SPDX-License-Identifier: BSD-3-Clause

package layer

import (
	"encoding/binary"
	"sync"
	"sync/atomic"
	"testing"

	"o7gw/o7s/packet"
)

func inboxPacket(s string) []*packet.Buffer {
	b := packet.Get(len(s))
	b.Append([]byte(s))
	return []*packet.Buffer{b}
}

// calls is a receiver of functions.
type calls struct {
	packets func([]*packet.Buffer)
	event   func(Event)
}

func (r calls) Packets(p []*packet.Buffer) { r.packets(p) }
func (r calls) Event(e Event)              { r.event(e) }

// record returns a receiver that writes down what it gets.
func record(to *string) calls {
	return calls{
		func(p []*packet.Buffer) {
			for _, b := range p {
				*to += string(b.Bytes())
			}
			packet.ReleaseBatch(p)
		},
		func(e Event) { *to += "<" + e.String() + ">" },
	}
}

func TestInboxKeepsEarlyPackets(t *testing.T) {
	var f Inbox
	f.Deliver(inboxPacket("a"))
	f.Notify(Down)
	f.Deliver(inboxPacket("b"))
	f.Notify(Up)
	f.Deliver(inboxPacket("c"))
	var got string
	f.Receive(record(&got))
	f.Deliver(inboxPacket("d"))
	f.Notify(Closed)
	f.Deliver(inboxPacket("e"))
	f.Notify(Up)
	if got != "abc<up>d<closed>" {
		t.Fatalf("got %q", got)
	}
}

func TestInboxKeepsLimitedMemory(t *testing.T) {
	var f Inbox
	for range inboxEarly + 10 {
		f.Deliver(inboxPacket("x"))
	}
	if f.Dropped() != 10 {
		t.Errorf("%d dropped early, want 10", f.Dropped())
	}
	var got string
	r := record(&got)
	first := true
	f.Receive(calls{func(p []*packet.Buffer) {
		if first { // slow: others deliver meanwhile
			first = false
			for range inboxBusy + 5 {
				f.Deliver(inboxPacket("y"))
			}
		}
		r.packets(p)
	}, r.event})
	if f.Dropped() != 15 || len(got) != inboxEarly+inboxBusy {
		t.Errorf("%d dropped, %d received", f.Dropped(), len(got))
	}
	f.Close()
	f.Close()
}

func TestInboxCloseStopsAtOnce(t *testing.T) {
	var f Inbox
	for range 3 {
		f.Deliver(inboxPacket("x"))
	}
	f.Notify(Closed)
	got := 0
	f.Receive(calls{func(p []*packet.Buffer) {
		got += len(p)
		packet.ReleaseBatch(p)
		f.Deliver(inboxPacket("y"))
		f.Close()
	}, func(e Event) { t.Errorf("event %v after Close", e) }})
	f.Deliver(inboxPacket("z"))
	if got != 3 {
		t.Errorf("%d packets, want 3", got)
	}
}

func TestInboxSecondReceiverPanics(t *testing.T) {
	var f Inbox
	var got string
	f.Receive(record(&got))
	defer func() {
		if recover() == nil {
			t.Fatal("second receiver was taken")
		}
		f.Deliver(inboxPacket("x")) // and the first still works
		if got != "x" {
			t.Fatalf("got %q", got)
		}
	}()
	f.Receive(record(&got))
}

// Two receivers that answer each other's packets, from within, also those
// kept from before, neither deadlock nor grow the stack.
func TestInboxEcho(t *testing.T) {
	var a, b Inbox
	left := 100000
	echo := func(to *Inbox) calls {
		return calls{func(p []*packet.Buffer) {
			if left -= len(p); left < 0 {
				packet.ReleaseBatch(p)
				return
			}
			to.Deliver(p)
		}, func(Event) {}}
	}
	a.Deliver(inboxPacket("x"))
	b.Receive(echo(&a))
	a.Receive(echo(&b))
	if left != -1 {
		t.Fatalf("%d left", left)
	}
}

// From several goroutines: each one's order is kept, calls do not overlap,
// what was not dropped arrives.
func TestInboxConcurrent(t *testing.T) {
	const senders, each = 4, 5000
	var f Inbox
	var inside atomic.Int32
	var next [senders]uint32
	received := 0
	f.Receive(calls{func(p []*packet.Buffer) {
		if inside.Add(1) != 1 {
			t.Error("calls overlap")
		}
		for _, b := range p {
			who, n := b.Bytes()[0], binary.BigEndian.Uint32(b.Bytes()[1:])
			if n < next[who] {
				t.Errorf("sender %d: %d after %d", who, n, next[who])
			}
			next[who] = n + 1
			received++
		}
		packet.ReleaseBatch(p)
		inside.Add(-1)
	}, func(Event) {}})
	var wg sync.WaitGroup
	for who := range byte(senders) {
		wg.Go(func() {
			for n := range uint32(each) {
				b := packet.Get(5)
				b.Append(binary.BigEndian.AppendUint32([]byte{who}, n))
				f.Deliver([]*packet.Buffer{b})
			}
		})
	}
	wg.Wait()
	if total := received + int(f.Dropped()); total != senders*each {
		t.Errorf("%d received or dropped, want %d", total, senders*each)
	}
}

func BenchmarkInbox(b *testing.B) {
	b.ReportAllocs()
	var f Inbox
	f.Receive(calls{func(p []*packet.Buffer) { packet.ReleaseBatch(p) }, func(Event) {}})
	var batch [1]*packet.Buffer
	for range b.N {
		packet.GetBatch(batch[:], 64)
		f.Deliver(batch[:])
	}
}
