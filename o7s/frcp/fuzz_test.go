// SPDX-License-Identifier: BSD-3-Clause

package frcp

import (
	"bytes"
	"testing"
	"time"

	"o7gw/o7s/packet"
)

func FuzzHeader(f *testing.F) {
	f.Add([]byte("\x03\x00\x00\x00\x12\x34\x56\x78\x00\x00\x00\x00ouroboro"))
	f.Add([]byte("\x8c\x00\x01\x00\x00\x00\x00\x01\x00\x00\x00\x05\x01\x01\x00\x00\x00\x00\x00\x10\x00\x00\x00\x06\x00\x00\x00\x08"))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, n, err := ParseHeader(b)
		if (err != nil) != (len(b) < HeaderLen) {
			t.Fatal(err)
		}
		if err != nil {
			return
		}
		var out [HeaderLen]byte
		if h.Put(out[:]); !bytes.Equal(out[:], b[:n]) {
			t.Fatalf("%x encodes to %x", b[:n], out)
		}
		var room [maxBlocks]block
		r, m, err := parseReport(b[n:], room[:0])
		if err != nil {
			return
		}
		if again := r.append(nil); !bytes.Equal(again, b[n:n+m]) {
			t.Fatalf("%x encodes to %x", b[n:n+m], again)
		}
	})
}

// FuzzReceive is an Endpoint whose peer is the fuzzer: any packets, any times, with
// an application that writes and reads.
func FuzzReceive(f *testing.F) {
	f.Add(byte(3), []byte("\x00\x0c\x03\x00\x00\x00\x12\x34\x56\x78\x00\x00\x00\x00\x05\x01\x04\x06"))
	f.Add(byte(1), []byte("\x01\x01\x01\x00\x0c\x0e\x00\x01\x00\x00\x00\x00\x09\x00\x00\x10\x02\x05\x06\x02"))
	f.Add(byte(0), []byte("\x01\x02\x02\x02\x00\x0c\x0b\x00\x01\x00\x00\x00\x00\x09\x00\x00\x00\x00\x07"))
	f.Fuzz(func(t *testing.T, mode byte, ops []byte) {
		cfg := Config{Reliable: mode&1 != 0, Extended: mode&2 != 0, Lend: mode&4 != 0, Initial: 0x1000, MPL: 100 * time.Millisecond}
		if mode&8 != 0 {
			cfg.Congestion = bbr()
		}
		e := New(cfg)
		now := time.Hour
		budget := 4000
		for len(ops) > 0 && budget > 0 {
			op := ops[0]
			ops = ops[1:]
			switch op % 8 {
			case 0: // a packet of any content
				n := 0
				if len(ops) > 0 {
					n = min(int(ops[0]), len(ops)-1)
					receive(e, now, buffer(ops[1:1+n]))
					ops = ops[1+n:]
				}
			case 1:
				write(e, now, "x", "y", "z")
			case 2: // time passes
				now += time.Duration(op) * time.Millisecond
				tick(t, e, now)
			case 3:
				texts(e, now)
			case 4: // a run of data near what is expected
				if len(ops) > 1 {
					for i := range uint32(ops[0] % 32) {
						receive(e, now, raw(Header{Flags: DATA | ACK | FC | Flags(ops[1]&0x82), Seq: e.rcv.next + i*uint32(ops[1]&7), Ack: e.snd.una + i, Window: e.snd.edge + 1}, "d"))
					}
				}
			case 5:
				if at, set := e.Deadline(); set {
					now = max(now, at)
					tick(t, e, now)
				}
			case 6:
				if op > 200 {
					e.Finish(now)
				}
			case 7: // blocks near what was sent
				if len(ops) > 2 {
					r := report{blocks: []block{{e.snd.una + uint32(ops[0]), e.snd.una + uint32(ops[0]) + uint32(ops[1]) + 1}}, dups: uint16(ops[2])}
					b := raw(Header{Flags: ACK | EXT, Ack: e.snd.una}, "")
					b.Append(r.append(nil))
					receive(e, now, b)
				}
			}
			if op&0x80 != 0 {
				continue // the lower end is full
			}
			for range 20 { // drains come to an end
				var dst [8]*packet.Buffer
				n := e.Drain(now, dst[:])
				budget -= n
				if n == 0 {
					break
				}
				if !cfg.Lend {
					packet.ReleaseBatch(dst[:n])
				}
			}
			invariants(t, e)
		}
		e.Close()
	})
}

// tick also checks that the next deadline is in the future: a driver that cannot
// drain must not go round for ever.
func tick(t *testing.T, e *Endpoint, now time.Duration) {
	e.Tick(now)
	if at, set := e.Deadline(); set && at <= now {
		t.Fatalf("at %v the deadline is %v: %+v", now, at, e.Stats())
	}
}

// invariants checks what must always hold.
func invariants(t *testing.T, e *Endpoint) {
	t.Helper()
	s, r := &e.snd, &e.rcv
	if before(s.next, s.una) || before(s.end, s.next) || e.err != nil {
		if e.err == nil {
			t.Fatalf("una %d next %d end %d", s.una, s.next, s.end)
		}
		return
	}
	counts := [4]int{}
	for seq := s.una; seq != s.end; seq++ {
		counts[s.at(seq).place]++
	}
	if e.cfg.Reliable && (counts[flying] != s.flying.count || counts[lost] != s.lost.count || counts[waiting] != int(s.end-s.next)) {
		t.Fatalf("places %v, lists %d %d, %d waiting", counts, s.flying.count, s.lost.count, s.end-s.next)
	}
	if r.unread.count > int(r.window) || len(r.early) > earlyPackets || int(r.window) > max(e.cfg.MaxWindow, plainWindow) {
		t.Fatalf("%d unread, window %d", r.unread.count, r.window)
	}
	kept := 0
	for _, b := range r.apart.list {
		if !before(r.next, b.first) || before(r.edge(), b.end) {
			t.Fatalf("blocks %v outside %d..%d", r.apart.list, r.next, r.edge())
		}
		kept += int(b.end - b.first)
	}
	held, unread := r.held, r.unread.bytes
	for _, b := range r.slots {
		if b != nil {
			kept--
			held -= b.Len()
		}
	}
	for i := range r.unread.count {
		unread -= r.unread.ring[(r.unread.head+uint32(i))&uint32(len(r.unread.ring)-1)].Len()
	}
	if kept != 0 || held != 0 || unread != 0 {
		t.Fatalf("%d more numbers than packets, %d and %d more bytes", kept, held, unread)
	}
}
