// SPDX-License-Identifier: BSD-3-Clause

package session

import (
	"bytes"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var begin = time.Unix(1e9, 0)

// fragments splits a datagram as a sender does.
func fragments(t rapid.TB, h DatagramHeader, data []byte, mtu int) (packets [][]byte) {
	count, size := Fragments(h, len(data), mtu)
	if count == 0 {
		t.Fatalf("%d bytes cannot be sent with an MTU of %d", len(data), mtu)
	}
	h.Last = uint8(count - 1)
	for i := range count {
		h.Index = uint8(i)
		p := make([]byte, h.Len())
		h.Put(p)
		p = append(p, data[min(i*size, len(data)):min((i+1)*size, len(data))]...)
		if len(p) > mtu {
			t.Fatalf("packet of %d bytes, MTU %d", len(p), mtu)
		}
		packets = append(packets, p)
	}
	return packets
}

func TestGoldenDatagrams(t *testing.T) {
	for _, g := range []struct {
		h     DatagramHeader
		bytes string
	}{
		{DatagramHeader{}, "20"},
		{DatagramHeader{Addr: netip.MustParseAddrPort("192.0.2.1:53")}, "21 c0000201 0035"},
		{DatagramHeader{Addr: netip.MustParseAddrPort("[2001:db8::1]:53")}, "22 20010db8000000000000000000000001 0035"},
		{DatagramHeader{ID: 0x1234, Index: 1, Last: 2}, "24 1234 01 02"},
		{DatagramHeader{Addr: netip.MustParseAddrPort("192.0.2.1:53"), ID: 7, Index: 0, Last: 255}, "25 c0000201 0035 0007 00 ff"},
	} {
		want := unhex(t, g.bytes)
		got := make([]byte, g.h.Len())
		g.h.Put(got)
		if !bytes.Equal(got, want) {
			t.Errorf("%+v is %x, want %x", g.h, got, want)
		}
		h, n, err := ParseDatagram(append(want, "payload"...))
		if err != nil || n != len(want) || h != g.h {
			t.Errorf("%s is %+v of %d bytes, %v", g.bytes, h, n, err)
		}
		for n := range want {
			if n == 1 && len(want) > 1 || n > 1 {
				if h, _, err := ParseDatagram(want[:n]); err == nil {
					t.Errorf("%x, cut off, is %+v", want[:n], h)
				}
			}
		}
	}
	mapped := DatagramHeader{Addr: netip.MustParseAddrPort("[::ffff:192.0.2.1]:53")}
	got := make([]byte, mapped.Len())
	mapped.Put(got)
	if !bytes.Equal(got, unhex(t, "21 c0000201 0035")) {
		t.Errorf("mapped address: %x", got)
	}
}

func TestDatagramRefused(t *testing.T) {
	for _, p := range []string{
		"",
		"23 00000000000000000000000000000000 0000 00000000", // two addresses
		"22 00000000000000000000ffffc0000201 0035",          // IPv4 in IPv6 form
		"24 0001 00 00", // one fragment is none
		"24 0001 03 02",
		"28", // a flag of the future
	} {
		if h, _, err := ParseDatagram(unhex(t, p)); err == nil {
			t.Errorf("%s: %+v", p, h)
		}
	}
}

// TestDatagramsArrive: datagrams of all sizes arrive over any MTU, whatever
// the order of their packets, and however often they come.
func TestDatagramsArrive(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var h DatagramHeader
		if rapid.Bool().Draw(t, "with address") {
			h.Addr = netip.AddrPortFrom(addrs(t), rapid.Uint16().Draw(t, "port"))
		}
		mtu := rapid.IntRange(300, 9000).Draw(t, "mtu")
		data := make([]byte, rapid.IntRange(0, MaxDatagram).Draw(t, "size"))
		for i := range data {
			data[i] = byte(i * 7 >> 3)
		}
		h.ID = rapid.Uint16().Draw(t, "id")
		// Two datagrams at once, mixed.
		first, second := h, h
		second.ID++
		packets := append(fragments(t, first, data, mtu), fragments(t, second, data, mtu)...)
		packets = append(packets, packets[rapid.IntRange(0, len(packets)-1).Draw(t, "twice")])
		packets = rapid.Permutation(packets).Draw(t, "order")
		d, got, fragmented := new(Datagrams), 0, false
		for _, p := range packets {
			taken := d.Take(begin, p)
			if len(data) > 0 && taken.Payload == nil {
				continue
			}
			if !bytes.Equal(taken.Payload, data) || taken.Addr != h.Addr {
				t.Fatalf("%d bytes, want %d; address %v", len(taken.Payload), len(data), taken.Addr)
			}
			fragmented = taken.Whole
			got++
		}
		want := 2
		if !fragmented {
			want = 3 // that one is repeated, as UDP would
		}
		if got != want {
			t.Fatalf("%d datagrams of %d bytes, want %d (dropped %d)", got, len(data), want, d.Dropped())
		}
	})
}

func TestFragmentsLimits(t *testing.T) {
	h := DatagramHeader{}
	for _, c := range []struct{ n, mtu, count int }{
		{0, 1, 1}, {1, 1, 0}, {9, 10, 1}, {10, 10, 2}, {MaxDatagram, 262, 255},
		{MaxDatagram, 260, 0}, {MaxDatagram + 1, 70000, 0}, {MaxDatagram + 1, 1400, 0},
	} {
		if count, _ := Fragments(h, c.n, c.mtu); count != c.count {
			t.Errorf("%d bytes, MTU %d: %d fragments, want %d", c.n, c.mtu, count, c.count)
		}
	}
}

// TestMaxDatagramOver: what is promised can be sent.
func TestMaxDatagramOver(t *testing.T) {
	h := DatagramHeader{Addr: netip.MustParseAddrPort("[2001:db8::1]:53")}
	for _, mtu := range []int{1, 23, 24, 100, 279, 280, 1467, 65000, 70000} {
		n := MaxDatagramOver(mtu)
		if count, _ := Fragments(h, n, mtu); n > 0 && (count == 0 || count > maxFragments) {
			t.Errorf("MTU %d: %d bytes are %d fragments", mtu, n, count)
		}
	}
	if n := MaxDatagramOver(1467); n != MaxDatagram {
		t.Errorf("%d bytes over an MTU of 1467", n)
	}
}

// weight is what a Reassembler holds.
func (r *Reassembler) weight() (partials, bytes int) {
	for _, p := range r.partials {
		for _, piece := range p.pieces {
			bytes += len(piece)
		}
	}
	return len(r.partials), bytes
}

// TestReassemblyBounded: whatever fragments come, memory is bounded in size and
// in time, and the account of it is right.
func TestReassemblyBounded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var r Reassembler
		now := begin
		for range rapid.IntRange(1, 300).Draw(t, "fragments") {
			last := rapid.Uint8().Draw(t, "last")
			h := DatagramHeader{ID: rapid.Uint16Range(0, 20).Draw(t, "id"), Index: rapid.Uint8().Draw(t, "index"), Last: last}
			payload := make([]byte, rapid.SampledFrom([]int{0, 1, 1000, 30000, 70000}).Draw(t, "size"))
			now = now.Add(time.Duration(rapid.IntRange(0, 1000).Draw(t, "ms")) * time.Millisecond)
			if whole, ok := r.Take(now, &h, payload); ok && len(whole) > MaxDatagram {
				t.Fatalf("a datagram of %d bytes", len(whole))
			}
			n, bytes := r.weight()
			if n > partialsMost || bytes > partialsBytes || bytes != r.bytes {
				t.Fatalf("%d datagrams with %d bytes, counted %d", n, bytes, r.bytes)
			}
			if at, ok := r.Deadline(); ok != (n > 0) || ok && at.Before(now) {
				t.Fatalf("deadline %v, %v with %d datagrams", at.Sub(now), ok, n)
			}
		}
		r.Expire(now.Add(partialAge))
		if n, bytes := r.weight(); n != 0 || bytes != 0 || r.bytes != 0 {
			t.Fatalf("%d datagrams with %d bytes are left", n, bytes)
		}
	})
}

// TestDatagramsOthers: packets that are no datagrams.
func TestDatagramsOthers(t *testing.T) {
	requester, acceptor := new(Datagrams), Answered()
	request := (&Request{Proto: UDP}).Append(nil)
	if got := acceptor.Take(begin, request); !bytes.Equal(got.Reply, OK.Append(nil)) {
		t.Errorf("the request again is answered with %x", got.Reply)
	}
	for _, d := range []*Datagrams{requester, acceptor} {
		for k := range 256 {
			p := []byte{byte(k)}
			before := d.Dropped()
			got := d.Take(begin, p)
			dropped := d.Dropped() - before
			known := Kind(k) == KindStatus || Kind(k) == KindKeepalive || k == 0x20 || k >= 0x80 ||
				Kind(k) == KindRequest && d == acceptor
			if (dropped == 0) != known || (got.Payload != nil) != (k == 0x20) {
				t.Errorf("kind %#x: %+v, %d dropped", k, got, dropped)
			}
		}
		if got := d.Take(begin, nil); got.Payload != nil || got.Reply != nil {
			t.Errorf("a keepalive is %+v", got)
		}
	}
}

func ExampleFragments() {
	fmt.Println(Fragments(DatagramHeader{}, 3000, 1467))
	// Output: 3 1462
}
