// SPDX-License-Identifier: BSD-3-Clause

package netstack

import (
	"bytes"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"

	"o7gw/o7s/packet"
)

// TestReassembly: fragments in any order, twice, and mixed with those of others
// give the packet; the checksum of the datagram is verified on the way.
func TestReassembly(t *testing.T) {
	got := make(chan Datagram, 100)
	s, d := fakeStack(t, Config{UDP: func(ds []Datagram) {
		for _, d := range ds {
			got <- d
		}
	}}, tcpip.NewStdClock())
	rnd := rand.New(rand.NewPCG(1, 2))
	for _, ends := range [][2]netip.AddrPort{{from4, to4}, {netip.AddrPortFrom(client6, 1), netip.AddrPortFrom(served6, 2)}} {
		want := map[int][]byte{}
		var all [][]byte
		for i := range 20 {
			data := make([]byte, 1500+rnd.IntN(60000))
			for j := range data {
				data[j] = byte(rnd.Uint32())
			}
			want[len(data)] = data
			p := udpPacket(ends[0], ends[1], data)
			b := packet.Get(len(p))
			b.Append(p)
			for _, f := range fragment(b, 1280, uint32(i)) {
				all = append(all, bytes.Clone(f.Bytes()))
				f.Release()
			}
		}
		for i := range 200 {
			all = append(all, all[i]) // duplicates
		}
		rnd.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		for _, p := range all {
			d.put(p)
		}
		for range want {
			g := <-got
			if !bytes.Equal(g.Buf.Bytes(), want[g.Buf.Len()]) || g.Src != ends[0] || g.Dst != ends[1] {
				t.Errorf("%d bytes from %v to %v", g.Buf.Len(), g.Src, g.Dst)
			}
			g.Buf.Release()
		}
	}
	if st := s.Stats(); st.Malformed != 0 || len(got) != 0 {
		t.Errorf("%+v", st)
	}
}

// part is a fragment of 8·n bytes.
func part(off, n int, more bool) (*ipHeader, *packet.Buffer) {
	b := packet.Get(ip4Len + n)
	b.Extend(ip4Len + n)
	return &ipHeader{src: client4, dst: served4, len: ip4Len, total: ip4Len + n, fragment: true, offset: off, more: more}, b
}

// TestContradictions: fragments that overlap or exceed the packet lose it, and
// hold nothing.
func TestContradictions(t *testing.T) {
	now := time.Unix(0, 0)
	for name, parts := range map[string][]struct {
		off, n int
		more   bool
	}{
		"overlap before":    {{16, 16, true}, {8, 16, true}},
		"overlap behind":    {{0, 16, true}, {8, 16, true}},
		"two ends":          {{16, 8, false}, {32, 8, false}},
		"behind the end":    {{16, 8, false}, {32, 8, true}},
		"end before others": {{32, 8, true}, {16, 8, false}},
		"other length":      {{0, 16, true}, {0, 8, true}},
		"odd length":        {{0, 7, true}},
		"empty":             {{8, 0, false}},
		"too long":          {{65528, 16, false}},
	} {
		var r reassembler
		for i, p := range parts {
			h, b := part(p.off, p.n, p.more)
			_, ok := r.take(h, b, now)
			if last := i == len(parts)-1; ok == last {
				t.Errorf("%s: fragment %d: %v", name, i, ok)
			}
		}
		if r.held != 0 || len(r.open) != 0 || len(r.queue) != 0 {
			t.Errorf("%s: %d bytes held", name, r.held)
		}
	}
}

// TestReassemblyBounds: what is never complete is forgotten, by time and by
// number.
func TestReassemblyBounds(t *testing.T) {
	var r reassembler
	now := time.Unix(0, 0)
	for i := range 10 * mostAssemblies {
		h, b := part(8, 1024, true)
		h.id = uint32(i)
		r.take(h, b, now)
		if len(r.queue) > mostAssemblies || r.held > mostFragmentBytes+packet.MaxPayload {
			t.Fatalf("%d packets, %d bytes", len(r.queue), r.held)
		}
	}
	h, b := part(0, 8, true)
	r.take(h, b, now.Add(fragmentTime+1))
	if len(r.queue) != 1 || len(r.open) != 1 {
		t.Errorf("%d packets left", len(r.queue))
	}
	r.close()
	if r.held != 0 || len(r.open) != 0 {
		t.Errorf("%d bytes held", r.held)
	}
}

// FuzzPacket gives the stack any packet, twice, as it may come from the device.
func FuzzPacket(f *testing.F) {
	f.Add(tcpPacket(from4, to4, 1, 0, syn, nil), uint16(0))
	f.Add(tcpPacket(netip.AddrPortFrom(client6, 1), netip.AddrPortFrom(served6, 2), 1, 0, syn, []byte("x")), uint16(0))
	f.Add(udpPacket(from4, to4, []byte("hello")), uint16(0))
	f.Add(udpPacket(netip.AddrPortFrom(client6, 1), netip.AddrPortFrom(served6, 2), []byte("hello")), uint16(20))
	big := packet.Get(3000)
	big.Append(udpPacket(netip.AddrPortFrom(client6, 1), netip.AddrPortFrom(served6, 2), make([]byte, 2500)))
	for _, p := range fragment(big, 1280, 7) {
		f.Add(bytes.Clone(p.Bytes()), uint16(0))
		p.Release()
	}
	f.Add([]byte{0x60, 0, 0, 0, 0, 8, 0, 64, 39: 1, 47: 0}, uint16(0))
	s, _ := fakeStack(f, Config{Echo: func(netip.Addr) bool { return true }}, tcpip.NewStdClock())
	f.Fuzz(func(t *testing.T, p []byte, cut uint16) {
		if len(p) > 65535 {
			return
		}
		r := &reader{Stack: s}
		defer func() {
			packet.ReleaseBatch(r.small)
			r.fragments.close()
		}()
		for _, n := range []int{len(p), int(cut)} {
			b := packet.Get(65535)
			b.Append(p[:min(n, len(p))])
			r.more = true
			if !r.packet(b) {
				if b.Len() != min(n, len(p)) || b.Headroom() != packet.Headroom {
					t.Error("changed a buffer that it did not keep")
				}
				defer b.Release()
			}
		}
		r.flush()
		for _, d := range r.datagrams {
			if d.Src.Addr().Is4() != d.Dst.Addr().Is4() || d.Buf.Headroom() < 28 {
				t.Errorf("%+v", d)
			}
		}
		r.push()
	})
}
