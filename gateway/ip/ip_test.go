// SPDX-License-Identifier: BSD-3-Clause

package ip

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
	"net/netip"
	"testing"

	"pgregory.net/rapid"
)

// slowSum is RFC 1071 word for word.
func slowSum(b []byte) uint16 {
	var s uint32
	for i := 0; i < len(b); i += 2 {
		w := uint32(b[i]) << 8
		if i+1 < len(b) {
			w |= uint32(b[i+1])
		}
		s += w
		s = s>>16 + s&0xffff
	}
	return uint16(s)
}

func TestSumAgainstOracle(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := rapid.SliceOfN(rapid.Byte(), 0, 700).Draw(t, "bytes")
		cut := rapid.IntRange(0, len(b)/2).Draw(t, "cut") * 2
		got := Fold(Sum(b[cut:], Sum(b[:cut], 0)))
		if want := slowSum(b); got != want && (got%0xffff != 0 || want%0xffff != 0) {
			t.Fatalf("sum of %d bytes = %04x, want %04x", len(b), got, want)
		}
	})
}

// tcpPacket makes a segment with right checksums.
func tcpPacket(v6 bool, flags byte, options, payload []byte) []byte {
	t := make([]byte, TCPLen, TCPLen+len(options)+len(payload))
	t[12], t[13] = byte((TCPLen+len(options))/4)<<4, flags
	binary.BigEndian.PutUint16(t[0:], 4000)
	binary.BigEndian.PutUint16(t[2:], 80)
	t = append(append(t, options...), payload...)
	return finish(v6, TCP, 16, t)
}

// finish puts an IP header in front of an upper-layer packet whose checksum
// stands at sumAt.
func finish(v6 bool, proto byte, sumAt int, t []byte) []byte {
	var p []byte
	if v6 {
		p = make([]byte, IPv6Len)
		p[0], p[6], p[7] = 0x60, proto, 64
		binary.BigEndian.PutUint16(p[4:], uint16(len(t)))
		copy(p[8:], netip.MustParseAddr("fd00:77::1").AsSlice())
		copy(p[24:], netip.MustParseAddr("fd00:77::2").AsSlice())
	} else {
		p = make([]byte, IPv4Len)
		p[0], p[6], p[8], p[9] = 0x45, 0x40, 64, proto
		binary.BigEndian.PutUint16(p[2:], uint16(len(p)+len(t)))
		copy(p[12:], []byte{10, 77, 0, 1, 10, 77, 0, 2})
		binary.BigEndian.PutUint16(p[10:], ^slowSum(p))
	}
	p = append(p, t...)
	u := p[len(p)-len(t):]
	binary.BigEndian.PutUint16(u[sumAt:], ^Fold(Sum(u, PseudoSum(Addrs(p), proto, len(u)))))
	return p
}

// good verifies all checksums of a packet.
func good(t *testing.T, p []byte) {
	t.Helper()
	h, err := Parse(p)
	if err != nil {
		t.Fatal(err)
	}
	if h.Version == 4 && slowSum(p[:h.Len]) != 0xffff {
		t.Errorf("IPv4 header checksum is wrong: %x", p[:h.Len])
	}
	u := p[h.Len:h.Total]
	sum := PseudoSum(Addrs(p), h.Proto, len(u))
	if h.Proto == ICMP {
		sum = 0
	}
	if Fold(Sum(u, sum)) != 0xffff {
		t.Errorf("checksum of the payload is wrong: %x", p)
	}
}

func mss(v int) []byte { return []byte{2, 4, byte(v >> 8), byte(v)} }

func TestClampMSS(t *testing.T) {
	wscale := []byte{3, 3, 7}
	for _, c := range []struct {
		name    string
		v6      bool
		flags   byte
		options []byte
		mtu     int
		want    []byte // options afterwards
	}{
		{"first option", false, 0x02, mss(1460), 1400, mss(1360)},
		{"IPv6", true, 0x02, mss(1440), 1400, mss(1340)},
		{"SYN-ACK, even offset", false, 0x12, append([]byte{1, 1}, append(mss(1460), 0, 0)...), 1400, append([]byte{1, 1}, append(mss(1360), 0, 0)...)},
		{"odd offset", false, 0x02, append(append([]byte{}, wscale...), append(mss(1460), 0)...), 1281, append(append([]byte{}, wscale...), append(mss(1241), 0)...)},
		{"fits", false, 0x02, mss(1300), 1400, mss(1300)},
		{"no SYN", false, 0x10, mss(1460), 1400, mss(1460)},
		{"no option", false, 0x02, []byte{1, 1, 1, 0}, 1400, []byte{1, 1, 1, 0}},
		{"option of length 0", false, 0x02, []byte{3, 0, 2, 4}, 1400, []byte{3, 0, 2, 4}},
		{"option beyond the header", false, 0x02, []byte{1, 1, 1, 2}, 1400, []byte{1, 1, 1, 2}},
		{"behind the end", false, 0x02, append([]byte{0, 0, 0, 0}, mss(1460)...), 1400, append([]byte{0, 0, 0, 0}, mss(1460)...)},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := tcpPacket(c.v6, c.flags, c.options, nil)
			before := bytes.Clone(p)
			h, err := Parse(p)
			if err != nil {
				t.Fatal(err)
			}
			changed := ClampMSS(p, h, c.mtu)
			if changed == bytes.Equal(p, before) {
				t.Errorf("reports %v", changed)
			}
			if got := p[h.Len+TCPLen:]; !bytes.Equal(got, c.want) {
				t.Errorf("options %x, want %x", got, c.want)
			}
			good(t, p)
		})
	}
}

// The bytes come from a separate implementation of RFC 792, 1191 and 4443.
func TestTooBigGolden(t *testing.T) {
	udp := make([]byte, 12)
	copy(udp, []byte{0x12, 0x34, 0x00, 0x50, 0, 12, 0, 0, 'd', 'a', 't', 'a'})
	for _, c := range []struct {
		name string
		v6   bool
		src  string
		want string
	}{
		{"IPv4", false, "10.77.0.9", "45c0003c000000004001655e0a4d00090a4d000103040c3e00000578" + // ICMP error
			"4500002000004000401126310a4d00010a4d000212340050000cfff264617461"},
		{"IPv6", true, "fd00:77::9", "6c000000003c3a40fd000077000000000000000000000009fd00007700000000000000000000000102008be800000578" +
			"60000000000c1140fd000077000000000000000000000001fd00007700000000000000000000000212340050000c199d64617461"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := finish(c.v6, UDP, 6, bytes.Clone(udp))
			h, err := Parse(p)
			if err != nil {
				t.Fatal(err)
			}
			e := AppendError([]byte("x"), p, h, TooBig, netip.MustParseAddr(c.src), 1400)[1:]
			good(t, e)
			if got := hex.EncodeToString(e); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestErrorQuotesNoMoreThanFits(t *testing.T) {
	for _, v6 := range []bool{false, true} {
		p := tcpPacket(v6, 0x10, nil, make([]byte, 3000))
		h, err := Parse(p)
		if err != nil {
			t.Fatal(err)
		}
		src, want := netip.MustParseAddr("10.0.0.1"), 576
		if v6 {
			src, want = netip.MustParseAddr("fd00::1"), MinMTU6
		}
		e := AppendError(nil, p, h, NoRoute, src, 0)
		good(t, e)
		if len(e) != want {
			t.Errorf("error of %d bytes, want %d", len(e), want)
		}
	}
}

func TestNoErrorAboutErrors(t *testing.T) {
	v4, v6 := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("fd00::1")
	echo4 := finish(false, ICMP, 2, []byte{8, 0, 0, 0, 1, 2, 3, 4})
	dead4 := finish(false, ICMP, 2, []byte{3, 1, 0, 0, 0, 0, 0, 0})
	echo6 := finish(true, ICMPv6, 2, []byte{128, 0, 0, 0, 1, 2, 3, 4})
	dead6 := finish(true, ICMPv6, 2, []byte{1, 0, 0, 0, 0, 0, 0, 0})
	multicast := bytes.Clone(echo6)
	multicast[24] = 0xff
	fragment := tcpPacket(false, 0x10, nil, make([]byte, 8))
	fragment[6], fragment[7] = 0, 5
	for _, c := range []struct {
		name string
		p    []byte
		src  netip.Addr
		want bool
	}{
		{"echo request", echo4, v4, true}, {"unreachable", dead4, v4, false},
		{"echo request 6", echo6, v6, true}, {"unreachable 6", dead6, v6, false},
		{"multicast", multicast, v6, false}, {"later fragment", fragment, v4, false},
		{"no address of the family", echo6, v4, false}, {"no address", echo6, netip.Addr{}, false},
	} {
		h, err := Parse(c.p)
		if err != nil {
			t.Fatal(err)
		}
		if got := len(AppendError(nil, c.p, h, NoRoute, c.src, 0)) > 0; got != c.want {
			t.Errorf("%s: answered %v, want %v", c.name, got, c.want)
		}
	}
}

func TestFragmentsReassemble(t *testing.T) {
	payload := make([]byte, 3001)
	for i := range payload {
		payload[i] = byte(rand.Uint32())
	}
	p := tcpPacket(false, 0x10, nil, payload)
	p[6] = 0
	p[10], p[11] = 0, 0
	binary.BigEndian.PutUint16(p[10:], ^slowSum(p[:IPv4Len]))
	h, err := Parse(p)
	if err != nil {
		t.Fatal(err)
	}
	got := bytes.Clone(p[:h.Len])
	n := 0
	ok := Fragment(p, h, 1006, func(f []byte) {
		fh, err := Parse(f)
		if err != nil || fh.Total != len(f) || len(f) > 1006 || slowSum(f[:fh.Len]) != 0xffff {
			t.Fatalf("fragment %d: %v, %+v", n, err, fh)
		}
		word := binary.BigEndian.Uint16(f[6:])
		if int(word&0x1fff)*8 != len(got)-h.Len {
			t.Errorf("fragment %d has offset %d", n, word&0x1fff)
		}
		got = append(got, f[fh.Len:]...)
		if more := word&0x2000 != 0; more != (len(got) < len(p)) {
			t.Errorf("fragment %d: more = %v", n, more)
		}
		n++
	})
	if !ok || n != 4 || !bytes.Equal(got[h.Len:], p[h.Len:]) {
		t.Errorf("%v, %d fragments, payload equal %v", ok, n, bytes.Equal(got[h.Len:], p[h.Len:]))
	}
	if Fragment(p, h, 27, func([]byte) { t.Error("emitted") }) {
		t.Error("fragmented to less than eight bytes")
	}
}

func TestDecrementHop(t *testing.T) {
	for _, v6 := range []bool{false, true} {
		p := tcpPacket(v6, 0x10, nil, nil)
		hops := 0
		for DecrementHop(p) {
			hops++
			good(t, p)
		}
		if hops != 63 {
			t.Errorf("%d hops, want 63", hops)
		}
	}
}

// FuzzPacket feeds hostile bytes to everything that looks at packets.
func FuzzPacket(f *testing.F) {
	f.Add(tcpPacket(false, 0x02, mss(1460), []byte("x")))
	f.Add(tcpPacket(true, 0x02, []byte{1, 1, 1, 1, 3, 3, 7, 2, 4, 5, 0xb4, 0}, nil))
	f.Add(append([]byte{0x4f, 0, 0, 70, 0, 0, 0, 0, 2, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, 0x83, 3, 4, 0x44, 0}, make([]byte, 45)...))
	f.Fuzz(func(t *testing.T, p []byte) {
		h, err := Parse(p)
		if err != nil {
			return
		}
		Src(p)
		Dst(p)
		ClampMSS(p, h, 1400)
		AppendError(nil, p, h, TooBig, netip.MustParseAddr("10.0.0.1"), 1400)
		AppendError(nil, p, h, NoRoute, netip.MustParseAddr("fd00::1"), 1400)
		if h.Version == 4 {
			total := 0
			Fragment(p, h, 100, func(b []byte) {
				fh, err := Parse(b)
				if err != nil || len(b) > 100 {
					t.Fatalf("bad fragment %x: %v", b, err)
				}
				total += fh.Total - fh.Len
			})
			if total != 0 && total != h.Total-h.Len {
				t.Fatalf("%d of %d bytes in fragments", total, h.Total-h.Len)
			}
		}
		DecrementHop(p)
	})
}

func BenchmarkSum(b *testing.B) {
	p := make([]byte, 1448)
	b.SetBytes(int64(len(p)))
	for b.Loop() {
		Sum(p, 0)
	}
}
