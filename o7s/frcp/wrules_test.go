// SPDX-License-Identifier: BSD-3-Clause

package frcp

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"o7gw/o7s/packet"
)

// The rules of spec 30 §3.13, one test each, toward a prototype.

func receive(e *Endpoint, now time.Duration, pkts ...*packet.Buffer) { e.Receive(now, pkts) }

// texts reads everything and returns the payloads.
func texts(e *Endpoint, now time.Duration) (list []string) {
	var dst [16]*packet.Buffer
	for {
		n := e.Read(now, dst[:])
		if n == 0 {
			return list
		}
		for _, b := range dst[:n] {
			list = append(list, string(b.Bytes()))
			b.Release()
		}
	}
}

func want(t *testing.T, got, want any) {
	t.Helper()
	if g, w := fmt.Sprintf("%+v", got), fmt.Sprintf("%+v", want); g != w {
		t.Fatalf("got %s, want %s", g, w)
	}
}

func write(e *Endpoint, now time.Duration, payload ...string) int {
	var pkts []*packet.Buffer
	for _, s := range payload {
		pkts = append(pkts, buffer([]byte(s)))
	}
	n := e.Send(now, pkts)
	for _, b := range pkts[n:] {
		b.Release()
	}
	return n
}

func TestW1ShortPacketsAndUnknownFlags(t *testing.T) {
	e := plain(true, 1)
	for n := range HeaderLen {
		receive(e, time.Hour, buffer(bytes.Repeat([]byte{0xff}, n)))
	}
	want(t, e.Stats().Malformed, HeaderLen-1) // an empty one is a keepalive
	const unknown = EXT | MFGM | FFGM
	receive(e, time.Hour, raw(Header{Flags: DATA | DRF | unknown, Seq: 7}, "a"), raw(Header{Flags: ACK | FC | unknown}, "junk"),
		raw(Header{Flags: DATA | unknown, Seq: 8}, "b"), raw(Header{Flags: DATA, Seq: 9}, ""))
	want(t, texts(e, time.Hour), []string{"a", "b", ""})
	want(t, e.EOF(), false)
}

func TestW2ControlDoesNotOpenTheRun(t *testing.T) {
	e := plain(true, 1)
	receive(e, time.Hour, raw(Header{Flags: ACK | FC, Ack: 1, Window: 300}, ""), raw(Header{Flags: ACK, Ack: 1}, ""), raw(Header{Flags: FC, Window: 300}, ""))
	want(t, len(drainAll(time.Hour, e)), 0)
	receive(e, time.Hour, raw(Header{Flags: DATA | DRF, Seq: 0x80000000}, "a"))
	want(t, texts(e, time.Hour), []string{"a"})
}

func TestW3NoWindowBeforeTheRunIsOpen(t *testing.T) {
	for _, reliable := range []bool{true, false} {
		e := plain(reliable, 5)
		write(e, time.Hour, "a")
		want(t, headers(t, time.Hour, e), []Header{{Flags: DATA | DRF, Seq: 5}})
		receive(e, time.Hour, raw(Header{Flags: RDVS}, ""))
		want(t, headers(t, time.Hour, e), []Header{})
	}
}

func TestW4ControlCarriesTheNumberToCome(t *testing.T) {
	now := time.Hour
	e := plain(true, 0xf1223344)
	receive(e, now, raw(Header{Flags: DATA | DRF, Seq: 0xd061c080}, "request"))
	want(t, texts(e, now), []string{"request"})
	now += ackDelay
	e.Tick(now)
	got := drainAll(now, e)
	if len(got) != 1 || !bytes.Equal(got[0].Bytes(), unhex(t, "0e 61c181 f1223344 d061c081")) {
		t.Fatalf("%d packets, %x", len(got), got[0].Bytes())
	}
	write(e, now, "answer")
	want(t, headers(t, now, e), []Header{{Flags: DATA | DRF | ACK | FC, Window: 0x61c181, Seq: 0xf1223344, Ack: 0xd061c081}})

	// While the first data is outstanding, perhaps lost, its number: the run must begin there.
	receive(e, now, raw(Header{Flags: RDVS}, ""))
	want(t, headers(t, now, e), []Header{{Flags: DRF | ACK | FC, Window: 0x61c181, Seq: 0xf1223344, Ack: 0xd061c081}})

	// And the receiver's side of it.
	r := plain(true, 1)
	receive(r, now, raw(Header{Flags: DRF | ACK | FC, Seq: 0xf1223344, Ack: 1, Window: 257}, ""), raw(Header{Flags: DATA, Seq: 0xf1223344}, "answer"))
	want(t, texts(r, now), []string{"answer"})
	// A later one changes nothing.
	receive(r, now, raw(Header{Flags: DRF | ACK, Seq: 99, Ack: 1}, ""), raw(Header{Flags: DATA, Seq: 0xf1223345}, "more"))
	want(t, texts(r, now), []string{"more"})
}

func TestW5NumbersGoOn(t *testing.T) {
	now := time.Hour
	e := plain(true, 0xffffffff)
	for i := range uint32(3) {
		write(e, now, "a")
		want(t, headers(t, now, e), []Header{{Flags: DATA | DRF, Seq: 0xffffffff + i}})
		receive(e, now, raw(Header{Flags: ACK, Ack: i}, ""))
		now += time.Duration(1+i) * 150 * time.Second
		e.Tick(now)
	}
	want(t, e.Err(), nil)
}

func TestW6NewRunAfterSilenceOfData(t *testing.T) {
	for _, seq := range []uint32{900000, 0x80000100, 50, 0xfffff000} { // far ahead, opposite, behind
		for _, silence := range []time.Duration{20 * time.Second, 132 * time.Second} {
			now := time.Hour
			e := plain(true, 1)
			receive(e, now, raw(Header{Flags: DATA | DRF, Seq: 100}, "a"), raw(Header{Flags: DATA, Seq: 102}, "lost with the run"))
			for range 10 { // it only acknowledges, which is no data
				now += silence / 10
				receive(e, now, raw(Header{Flags: ACK, Ack: 1}, ""))
			}
			receive(e, now, raw(Header{Flags: DATA, Seq: seq + 1}, "c")) // overtook the one with DRF
			receive(e, now, raw(Header{Flags: DATA | DRF, Seq: seq}, "b"), raw(Header{Flags: DATA, Seq: seq + 1}, "c"))
			if silence > 131*time.Second {
				want(t, texts(e, now), []string{"a", "b", "c"})
			} else {
				want(t, texts(e, now), []string{"a"})
			}
		}
	}
}

func TestW7QuickAcknowledgements(t *testing.T) {
	now := time.Hour
	e := plain(true, 1)
	receive(e, now, raw(Header{Flags: DATA | DRF, Seq: 100}, "a"))
	want(t, len(drainAll(now, e)), 0) // may still leave with an answer
	at, set := e.Deadline()
	if !set || at > now+2*time.Millisecond {
		t.Fatalf("acknowledges after %v", at-now)
	}
	now = at
	e.Tick(now)
	// By what was received, the window by what was read: nothing.
	want(t, headers(t, now, e), []Header{{Flags: ACK | FC | DRF, Window: 100 + 256, Seq: 1, Ack: 101}})
	// Every second packet at once; a gap does not move it.
	receive(e, now, raw(Header{Flags: DATA, Seq: 101}, "b"), raw(Header{Flags: DATA, Seq: 103}, "d"))
	want(t, headers(t, now, e), []Header{{Flags: ACK | FC | DRF, Window: 356, Seq: 1, Ack: 102}})
	want(t, texts(e, now), []string{"a", "b"})
	receive(e, now, raw(Header{Flags: DATA, Seq: 102}, "c"), raw(Header{Flags: DATA, Seq: 104}, "e"))
	want(t, headers(t, now, e), []Header{{Flags: ACK | FC | DRF, Window: 358, Seq: 1, Ack: 105}})
	// A copy says that our acknowledgement was lost.
	receive(e, now, raw(Header{Flags: DATA, Seq: 104}, "e"))
	want(t, headers(t, now, e), []Header{{Flags: ACK | FC | DRF, Window: 358, Seq: 1, Ack: 105}})
	// Never a wider window than 256 toward a prototype.
	for seq := uint32(105); seq < 20000; seq++ {
		receive(e, now, raw(Header{Flags: DATA, Seq: seq}, "x"))
		texts(e, now)
		for _, h := range headers(t, now, e) {
			if h.Window > h.Ack+256 {
				t.Fatalf("window %d, acknowledged %d", h.Window, h.Ack)
			}
		}
	}
}

func TestW8OrderedOnlyReceiverTellsItsWindow(t *testing.T) {
	now := time.Hour
	e := plain(false, 1)
	edge := uint32(0x8be934b1 + startWindow)
	for i := range uint32(5000) {
		seq := 0x8be934b1 + i + i/10 // one in ten is lost
		receive(e, now, raw(Header{Flags: DATA | DRF, Seq: seq}, "x"))
		texts(e, now)
		for _, h := range headers(t, now, e) {
			want(t, h, Header{Flags: FC | DRF, Seq: 1, Window: (seq + 1 + 256) & 0xffffff})
			edge = seq + 1 + 256
		}
		if !before(seq+10, edge) {
			t.Fatalf("after %d packets the window is nearly closed", i+1)
		}
	}
	// A slow reader closes it.
	for i := range uint32(256) {
		receive(e, now, raw(Header{Flags: DATA | DRF, Seq: 0x8be934b1 + 5555 + i}, "x"))
	}
	headers(t, now, e)
	receive(e, now, raw(Header{Flags: RDVS}, ""))
	want(t, headers(t, now, e), []Header{{Flags: FC | DRF, Seq: 1, Window: (0x8be934b1 + 5555 + 256) & 0xffffff}})
}

func TestW9WindowsAndAcknowledgementsAreChecked(t *testing.T) {
	now := time.Hour
	edge := func(initial uint32, windows ...uint32) uint32 {
		e := plain(true, initial)
		write(e, now, "a")
		drainAll(now, e)
		for _, w := range windows {
			receive(e, now, raw(Header{Flags: FC, Window: w}, ""))
		}
		return e.snd.edge
	}
	want(t, edge(1), 65)
	want(t, edge(1, 257), 257)
	want(t, edge(1, 257, 100), 257)                         // never back
	want(t, edge(1, 0), 65)                                 // edge 0 of FR-1
	want(t, edge(1, 1<<23), 65)                             // too far
	want(t, edge(1, 1<<17), 65)                             // more than anybody has
	want(t, edge(0x12fffff0, 0x0000f0), uint32(0x130000f0)) // across 24 bits
	want(t, edge(0x12fffff0, 0x0000f0, 0xfffff8), uint32(0x130000f0))
	want(t, edge(0xfffffff0, 0x000080), 0x80) // across 32 bits

	e := plain(true, 1000)
	write(e, now, "a", "b", "c")
	drainAll(now, e)
	for _, ack := range []uint32{0, 999, 1000, 1004, 0x80000000, 0xffffffff} {
		receive(e, now, raw(Header{Flags: ACK, Ack: ack}, ""))
		want(t, e.snd.una, 1000)
	}
	receive(e, now, raw(Header{Flags: ACK, Ack: 1002}, ""))
	want(t, e.snd.una, 1002)
}

func TestW10RendezvousAsLongAsItTakes(t *testing.T) {
	for _, reliable := range []bool{true, false} {
		now := time.Hour
		e := plain(reliable, 1000)
		for range 70 {
			write(e, now, "a")
		}
		want(t, len(headers(t, now, e)) >= startWindow, true)
		receive(e, now, raw(Header{Flags: ACK, Ack: 1000 + startWindow}, ""))
		asked, last := 0, now
		for range 3000 { // five minutes
			at, set := e.Deadline()
			if !set {
				t.Fatal("gives up")
			}
			now = at
			receive(e, now, buffer(nil)) // it lives, and that is all
			e.Tick(now)
			for _, h := range headers(t, now, e) {
				want(t, h, Header{Flags: RDVS | DRF, Seq: 1000 + startWindow})
				if now-last > rendezvousEvery {
					t.Fatalf("asks after %v", now-last)
				}
				last = now
				asked++
			}
		}
		if asked < 2900 {
			t.Errorf("asked only %d times", asked)
		}
		receive(e, now, raw(Header{Flags: FC, Window: 1000 + 256}, ""))
		want(t, len(headers(t, now, e)), 6)

		// It stops only when nothing at all has come for R.
		for range 300 {
			write(e, now, "a")
			headers(t, now, e)
		}
		receive(e, now, raw(Header{Flags: ACK, Ack: 1000 + 256}, ""))
		headers(t, now, e)
		blocked := now
		for e.Err() == nil {
			now, _ = e.Deadline()
			e.Tick(now)
			headers(t, now, e)
		}
		if now-blocked < retransmitLimit || now-blocked > retransmitLimit+time.Second {
			t.Errorf("gives up after %v", now-blocked)
		}

		// The other side answers at once.
		r := plain(reliable, 1)
		receive(r, now, raw(Header{Flags: DATA | DRF, Seq: 7}, "x"))
		texts(r, now)
		headers(t, now, r)
		receive(r, now, raw(Header{Flags: RDVS}, "junk"))
		got := headers(t, now, r)
		if len(got) != 1 || got[0].Flags&FC == 0 || got[0].Window != 8+256 {
			t.Errorf("answer %+v", got)
		}
	}
}

// The driver encrypts and checksums all packets alike, in place: that must
// not harm the retransmission.
func TestW11RetransmissionsAreFreshCopies(t *testing.T) {
	now := time.Hour
	e := plain(true, 1000)
	write(e, now, "payload")
	first := drainAll(now, e)
	before := string(first[0].Bytes())
	clear(first[0].Bytes()) // sealed in place
	first[0].Prepend(12)
	first[0].Release()
	now, _ = e.Deadline()
	e.Tick(now)
	again := drainAll(now, e)
	if len(again) != 1 || string(again[0].Bytes()) != before {
		t.Fatalf("%d packets, %q, want %q", len(again), again[0].Bytes(), before)
	}
}

func TestW12SpuriousCopies(t *testing.T) {
	now := time.Hour
	e := plain(true, 1)
	for i := range uint32(40) {
		for range 6 {
			flags := DATA
			if i == 0 {
				flags |= DRF
			}
			receive(e, now, raw(Header{Flags: flags, Seq: 100 + i}, "x"))
			if i > 0 {
				receive(e, now, raw(Header{Flags: DATA, Seq: 99 + i}, "x"))
			}
		}
		drainAll(now, e)
	}
	want(t, len(texts(e, now)), 40)
}

func TestW13TimeoutLeavesTimeForTheAcknowledgement(t *testing.T) {
	now := time.Hour
	e := plain(true, 1000)
	const rtt = 300 * time.Microsecond
	for i := range uint32(200) {
		write(e, now, "a")
		drainAll(now, e)
		now += rtt
		receive(e, now, raw(Header{Flags: ACK, Ack: 1001 + i}, ""))
	}
	if rto := e.Stats().RTO; rto < 15*time.Millisecond+rtt {
		t.Errorf("timeout %v", rto)
	}
	write(e, now, "a")
	drainAll(now, e)
	if at, _ := e.Deadline(); at < now+15*time.Millisecond+rtt {
		t.Errorf("sends again after %v", at-now)
	}
}
