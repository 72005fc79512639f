// SPDX-License-Identifier: BSD-3-Clause

package ring

import (
	"encoding/binary"
	"errors"
	"io"
	"testing"

	"o7gw/o7s/packet"
)

// hostile is the other side of a ring: it changes the shared memory as the
// bytes of the fuzzer say.
type hostile struct {
	mem []byte
	in  []byte
}

func (h *hostile) u8() (v uint8) {
	if len(h.in) > 0 {
		v, h.in = h.in[0], h.in[1:]
	}
	return v
}

func (h *hostile) u16() uint16 { return uint16(h.u8()) | uint16(h.u8())<<8 }

// poke changes one of the words that both sides use: to any value, or to one
// near the present one.
func (h *hostile) poke() {
	words := []int{
		offDir + offHead, offDir + offJump, offDir + offTail, offDir + offRSleep, offDir + offWSleep,
		offDir + dirBytes + offHead, offDir + dirBytes + offJump, offDir + dirBytes + offTail,
		offDir + dirBytes + offRSleep, offDir + dirBytes + offWSleep,
		offState, offState + stateGap, offMagic, offSize,
	}
	at := words[int(h.u8())%len(words)]
	w := word64(h.mem, at)
	if h.u8()&1 == 0 {
		w.Store(w.Load() + uint64(int64(int16(h.u16()))*8))
		return
	}
	var v [8]byte
	for i := range v {
		v[i] = h.u8()
	}
	w.Store(binary.LittleEndian.Uint64(v[:]))
}

// scribble changes bytes of the rings.
func (h *hostile) scribble() {
	at := int(h.u16()) * 8
	for range h.u8() % 32 {
		h.mem[offData+at%(len(h.mem)-offData)] = h.u8()
		at++
	}
}

func FuzzHostileMemory(f *testing.F) {
	f.Add([]byte{0, 10, 0, 1, 3, 4, 2, 0, 0, 5, 0})
	f.Add([]byte{6, 5, 7, 1, 1, 200, 1, 200, 2, 9, 3})
	f.Add([]byte{5, 5, 1, 255, 255, 255, 255, 255, 255, 255, 127, 1, 4, 2, 3, 0, 1, 1})
	f.Fuzz(func(t *testing.T, in []byte) {
		a, b := pair(t, Config{Size: MinSize})
		defer a.Close()
		defer b.Close()
		h := &hostile{mem: b.mem, in: in}
		buf := make([]byte, MaxPacket)
		bufs := make([]*packet.Buffer, 16)
		for len(h.in) > 0 {
			var n int
			var err error
			switch h.u8() % 8 {
			case 0:
				err = a.Write(buf[:h.u16()], NoWait)
			case 1:
				n, _, err = a.Read(buf[:h.u16()], NoWait)
			case 2:
				n, _, err = a.ReadPart(buf[:h.u8()], NoWait)
			case 3:
				n, err = a.ReadBatch(bufs, NoWait)
				for _, p := range bufs[:n] {
					if p.Len() > MaxPacket {
						t.Fatalf("packet of %d bytes", p.Len())
					}
				}
				packet.ReleaseBatch(bufs[:n])
			case 4:
				h.scribble()
			case 5:
				h.poke()
			case 6:
				err = b.Write(buf[:h.u16()], NoWait)
			case 7:
				a.Readable()
				a.Unread()
				a.Down()
				a.PeerClosed()
				a.PeerFinished()
				if n := a.Room(100, 2, 64); n < 0 || n > 64 {
					t.Fatalf("room for %d packets", n)
				}
				if s := a.Stats(); s.QueuedIn > MinSize || s.QueuedOut > MinSize || s.QueuedIn < 0 || s.QueuedOut < 0 {
					t.Fatalf("%+v", s)
				}
			}
			if n > len(buf) {
				t.Fatalf("%d bytes", n)
			}
			for _, known := range []error{nil, io.EOF, ErrWouldBlock, ErrCorrupt, ErrDown, ErrPeerClosed} {
				if errors.Is(err, known) {
					err = nil
					break
				}
			}
			if err != nil {
				t.Fatalf("unexpected error: %v", err)
			}
		}
	})
}

// Nothing that the other side writes keeps a Set busy: once the End is
// corrupt it is left alone.
func TestCorruptEndIsLeftAlone(t *testing.T) {
	for name, spoil := range map[string]func(b *End){
		"head backwards": func(b *End) { b.out.sh.head.Store(^uint64(7)) },
		"head odd":       func(b *End) { b.out.sh.head.Store(3) },
		"head too far":   func(b *End) { b.out.sh.head.Store(4 * DefaultSize) },
		"length": func(b *End) {
			b.Write([]byte("x"), nil)
			*lengthAt(b.out.data, 0) = MaxPacket + 1
		},
		"length beyond head": func(b *End) {
			b.Write([]byte("x"), nil)
			*lengthAt(b.out.data, 0) = 100
		},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := pair(t, Config{})
			spoil(b)
			s, err := NewSet()
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			calls := 0
			var got error
			s.Add(a, func() bool {
				calls++
				if _, _, err := a.Read(make([]byte, 10), NoWait); !errors.Is(err, ErrWouldBlock) {
					got = err
				}
				return true
			})
			for range 20 {
				s.Turn(false)
			}
			if !errors.Is(got, ErrCorrupt) {
				t.Errorf("error %v", got)
			}
			if calls > 5 {
				t.Errorf("called %d times", calls)
			}
			if _, _, err := b.Read(make([]byte, 1), nil); err != io.EOF {
				t.Errorf("the other side: %v", err)
			}
		})
	}
}

// A consumer that lies about its position must not make us overwrite or wait
// for ever without saying so.
func TestCorruptTail(t *testing.T) {
	a, b := pair(t, Config{Size: MinSize})
	b.in.sh.tail.Store(1 << 40)
	var err error
	for err == nil {
		err = a.Write(make([]byte, 1000), NoWait)
	}
	if !errors.Is(err, ErrCorrupt) {
		t.Fatal(err)
	}
	if _, _, err := a.Read(nil, nil); !errors.Is(err, ErrCorrupt) {
		t.Fatalf("read after that: %v", err)
	}
}
