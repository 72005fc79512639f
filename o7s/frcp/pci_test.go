// SPDX-License-Identifier: BSD-3-Clause

package frcp

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"o7gw/o7s/packet"
)

// unhex reads hexadecimal bytes with spaces.
func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func buffer(p []byte) *packet.Buffer {
	b := packet.Get(len(p))
	b.Append(p)
	return b
}

// raw makes a received packet.
func raw(h Header, payload string) *packet.Buffer {
	var head [HeaderLen]byte
	h.Put(head[:])
	return buffer(append(head[:], payload...))
}

// TestHeaderVectors has the packets of spec 30 §3.14.
func TestHeaderVectors(t *testing.T) {
	for _, c := range []struct {
		wire string
		want Header
	}{
		{"03 000000 34f4a859 00000000", Header{DATA | DRF, 0, 0x34f4a859, 0}},
		{"0f f4a95a a96ff467 34f4a85a", Header{DATA | DRF | ACK | FC, 0xf4a95a, 0xa96ff467, 0x34f4a85a}},
		{"0c 6ff569 00000000 a96ff469", Header{ACK | FC, 0x6ff569, 0, 0xa96ff469}},
		{"04 000000 00000000 6822b1c1", Header{ACK, 0, 0, 0x6822b1c1}},
		{"0b e935b3 636cf8c4 00000000", Header{DATA | DRF | FC, 0xe935b3, 0x636cf8c4, 0}},
		{"0e 61c181 f1223344 d061c081", Header{DRF | ACK | FC, 0x61c181, 0xf1223344, 0xd061c081}},
		{"10 000000 00000000 00000000", Header{Flags: RDVS}},
		{"03 000000 12345678 00000000", Header{DATA | DRF, 0, 0x12345678, 0}},
	} {
		wire := unhex(t, c.wire)
		h, n, err := ParseHeader(append(wire, "ouroboro"...))
		if err != nil || n != HeaderLen || h != c.want {
			t.Errorf("%s: %+v %d %v", c.wire, h, n, err)
		}
		var out [HeaderLen]byte
		h.Put(out[:])
		if !bytes.Equal(out[:], wire) {
			t.Errorf("%s encodes to %x", c.wire, out)
		}
	}
}

func TestReportVector(t *testing.T) {
	// The example of docs/extensions.md §10.2.
	wire := unhex(t, "01 02 0003 000001f4 00000065 00000067 00000069 0000006e")
	want := report{dups: 3, delay: 500 * time.Microsecond, blocks: []block{{101, 103}, {105, 110}}}
	var room [maxBlocks]block
	r, n, err := parseReport(append(wire, 0xff), room[:0])
	if err != nil || n != len(wire) || r.dups != want.dups || r.delay != want.delay || len(r.blocks) != 2 || r.blocks[0] != want.blocks[0] || r.blocks[1] != want.blocks[1] {
		t.Fatalf("%+v %d %v", r, n, err)
	}
	if out := want.append(nil); !bytes.Equal(out, wire) {
		t.Errorf("encodes to %x", out)
	}
	// And the whole packet, from an Endpoint.
	now := time.Hour
	e := New(Config{Reliable: true, Extended: true, Initial: 7})
	data := func(seq uint32) *packet.Buffer { return raw(Header{Flags: DATA, Seq: seq}, "x") }
	receive(e, now, raw(Header{Flags: DRF, Seq: 100}, ""), data(101), data(102), data(105), data(106), data(107), data(108), data(109),
		data(101), data(102), data(109))
	got := drainAll(now+500*time.Microsecond, e)
	if len(got) != 1 || !bytes.Equal(got[0].Bytes(), unhex(t, "8e 000164 00000007 00000064  01 02 0003 000001f4  00000065 00000067  00000069 0000006e")) {
		t.Errorf("%d packets, %x", len(got), got[0].Bytes())
	}
	for name, bad := range map[string]string{
		"short":   "01 00 0000 000000",
		"version": "02 00 0000 00000000",
		"cut off": "01 01 0000 00000000 00000065 000000",
		"empty":   "01 01 0000 00000000 00000065 00000065",
		"upside":  "01 01 0000 00000000 00000067 00000065",
		"many":    "01 21 0000 00000000" + strings.Repeat("0000006500000067", 33),
	} {
		if _, _, err := parseReport(unhex(t, bad), nil); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// TestDialogue replays the dialogues of spec 30 §3.14 with ours at both ends.
func TestDialogue(t *testing.T) {
	now := time.Hour
	c, s := plain(true, 0x34f4a859), plain(true, 0xa96ff467)
	step := func(from, to *Endpoint, want string) {
		t.Helper()
		var one [1]*packet.Buffer
		one[0] = buffer([]byte("x"))
		from.Send(now, one[:])
		got := drainAll(now, from)
		if len(got) != 1 || !bytes.Equal(got[0].Bytes()[:HeaderLen], unhex(t, want)) {
			t.Fatalf("%d packets, %x, want %s", len(got), got[0].Bytes(), want)
		}
		to.Receive(now, got)
		if n := to.Read(now, one[:]); n != 1 {
			t.Fatal("not delivered")
		}
		one[0].Release()
		now += 100 * time.Microsecond
	}
	step(c, s, "03 000000 34f4a859 00000000")
	step(s, c, "0f f4a95a a96ff467 34f4a85a")
	step(c, s, "0f 6ff568 34f4a85a a96ff468")
	step(s, c, "0f f4a95b a96ff468 34f4a85b")
	now += 2 * time.Millisecond
	c.Tick(now)
	// As the prototype's 0c 6ff569 00000000 a96ff469, with the number to come (W4).
	if got := drainAll(now, c); len(got) != 1 || !bytes.Equal(got[0].Bytes(), unhex(t, "0e 6ff569 34f4a85b a96ff469")) {
		t.Fatalf("acknowledgement %x", got[0].Bytes())
	}

	c, s = plain(false, 0x8be934b1), plain(false, 0x636cf8c4)
	step(c, s, "03 000000 8be934b1 00000000")
	step(c, s, "03 000000 8be934b2 00000000")
	step(s, c, "0b e935b3 636cf8c4 00000000")
	step(c, s, "0b 6cf9c5 8be934b3 00000000")
}

// drainAll returns all packets that an Endpoint sends now.
func drainAll(now time.Duration, e *Endpoint) (all []*packet.Buffer) {
	for {
		var dst [16]*packet.Buffer
		n := e.Drain(now, dst[:])
		if n == 0 {
			return all
		}
		all = append(all, dst[:n]...)
	}
}

// headers returns the headers of what an Endpoint sends now, and releases the packets.
func headers(t testing.TB, now time.Duration, e *Endpoint) (list []Header) {
	t.Helper()
	for _, b := range drainAll(now, e) {
		h, _, err := ParseHeader(b.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, h)
		b.Release()
	}
	return list
}
