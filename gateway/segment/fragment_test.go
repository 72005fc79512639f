// SPDX-License-Identifier: BSD-3-Clause

package segment

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"o7gw/o7s/packet"
)

// pack returns the packet of a frame.
func pack(f []byte, h header) *packet.Buffer {
	b := packet.Get(len(f))
	b.Append(f)
	h.typ, h.count = typeFrame, 1
	h.put(b.Prepend(headerLen))
	return b
}

// Frames come back whole from fragments in any order, some of them twice.
func TestSplitAndJoin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		mtu := rapid.IntRange(minFlow, 2000).Draw(t, "mtu")
		size := rapid.IntRange(etherLen, min(9018, (mtu-fragmentLen)*maxFragments)).Draw(t, "size")
		f := frame(host(1), host(2), size, 5)
		list, ok := split(nil, pack(f, header{seq: 9, id: 4, hops: 3}), mtu)
		if !ok {
			t.Fatal("too many")
		}
		if want := (len(f) + mtu - fragmentLen - 1) / (mtu - fragmentLen); len(list) != want && want > 1 {
			t.Fatalf("%d fragments, %d would do", len(list), want)
		}
		if len(list) == 1 {
			return // fits a packet, split is for those that do not
		}
		seed := rapid.Uint64().Draw(t, "seed")
		rng := rand.New(rand.NewPCG(seed, 0))
		rng.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
		var a assembler
		var frames []*packet.Buffer
		for i, b := range list {
			if b.Len() > mtu {
				t.Fatalf("fragment of %d bytes", b.Len())
			}
			h, n, err := parseHeader(b.Bytes())
			if err != nil || h.hops != 3 || h.seq != 9 || h.id != 4 {
				t.Fatalf("%+v, %v", h, err)
			}
			times := 1 + rng.IntN(2)
			if i == len(list)-1 {
				times = 1
			}
			for range times {
				got, ok := a.add(&h, b.Bytes()[n:], 9018)
				if !ok {
					t.Fatal("malformed")
				}
				if got != nil {
					frames = append(frames, got)
				}
			}
		}
		if len(frames) != 1 || !bytes.Equal(frames[0].Bytes(), f) {
			t.Fatalf("%d frames", len(frames))
		}
	})
}

func TestSplitRefuses(t *testing.T) {
	for _, c := range []struct{ size, mtu int }{{9000, minFlow}, {65536, 1500}, {100, fragmentLen}} {
		if list, ok := split(nil, pack(frame(host(1), host(2), c.size, 0), header{id: 1}), c.mtu); ok || len(list) > 0 {
			t.Errorf("%d bytes over %d: %d fragments", c.size, c.mtu, len(list))
		}
	}
}

// The memory of frames that never become whole is bounded, and new ones still do.
func TestIncompleteFrames(t *testing.T) {
	var a assembler
	piece := make([]byte, 500)
	for i := range 1000 {
		h := header{typ: typeFrame, count: 3, index: uint8(i % 3), seq: uint32(i), id: 1, total: 1500}
		if f, ok := a.add(&h, piece, 1518); f != nil || !ok {
			t.Fatal("whole")
		}
	}
	if a.lost != 1000-openFrames {
		t.Errorf("%d given up", a.lost)
	}
	for i := range 3 {
		h := header{typ: typeFrame, count: 3, index: uint8(i), seq: 5000, id: 1, total: 1500}
		f, ok := a.add(&h, piece, 1518)
		if !ok || (f != nil) != (i == 2) {
			t.Fatal("not whole")
		}
	}
}

func TestContradictingFragments(t *testing.T) {
	var a assembler
	ok := func(h header, n int) bool {
		h.typ, h.id = typeFrame, 1
		_, ok := a.add(&h, make([]byte, n), 1518)
		return ok
	}
	if !ok(header{count: 2, total: 1000}, 500) {
		t.Fatal("the first is fine")
	}
	for _, c := range []struct {
		h header
		n int
	}{
		{header{count: 3, index: 1, total: 1000}, 334},
		{header{count: 2, index: 1, total: 999}, 499},
		{header{count: 2, index: 1, total: 1000}, 499},
		{header{count: 2, index: 1, total: 1000}, 501},
		{header{seq: 1, count: 2, total: 1519}, 760},
		{header{seq: 1, count: 2, total: 13}, 7},
		{header{seq: 1, count: 64, total: 20}, 1},          // pieces behind the end
		{header{seq: 1, count: 9, index: 8, total: 16}, 0}, // of nothing
		{header{seq: 1, count: 64, index: 63, total: 64}, 0},
	} {
		if ok(c.h, c.n) {
			t.Errorf("%+v of %d bytes", c.h, c.n)
		}
	}
}

func FuzzAssembler(f *testing.F) {
	b := pack(frame(host(1), host(2), 1514, 5), header{seq: 9, id: 4})
	list, _ := split(nil, b, 1000)
	var seed []byte
	for _, p := range list {
		seed = append(seed, byte(p.Len()>>8), byte(p.Len()))
		seed = append(seed, p.Bytes()...)
	}
	f.Add(seed)
	f.Fuzz(func(t *testing.T, data []byte) {
		var a assembler
		for len(data) >= 2 {
			n := min(int(data[0])<<8|int(data[1]), len(data)-2)
			raw := data[2 : 2+n]
			data = data[2+n:]
			h, k, err := parseHeader(raw)
			if err != nil || h.count < 2 {
				continue
			}
			if frame, _ := a.add(&h, slices.Clone(raw[k:]), 1518); frame != nil {
				if frame.Len() != h.total {
					t.Fatalf("frame of %d bytes, want %d", frame.Len(), h.total)
				}
				frame.Release()
			}
		}
	})
}
