// SPDX-License-Identifier: BSD-3-Clause

package eth

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"os"
	"strings"
	"testing"

	"o7gw/o7s/layer"
	"o7gw/o7s/qos"
)

var (
	dix = framing{ethertype: 0xA000}
	llc = framing{llc: true}
)

// frames reads the frames of one framing from a capture file: pcap,
// little-endian, Ethernet.
func frames(t *testing.T, f framing, name string) [][]byte {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	if len(b) < 24 || binary.LittleEndian.Uint32(b) != 0xa1b2c3d4 {
		t.Fatal("no pcap file")
	}
	var all [][]byte
	for b = b[24:]; len(b) > 0; {
		n := binary.LittleEndian.Uint32(b[8:])
		frame := b[16 : 16+n]
		b = b[16+n:]
		if e := binary.BigEndian.Uint16(frame[12:]); !f.llc && e == f.ethertype || f.llc && e <= maxLength {
			all = append(all, frame)
		}
	}
	return all
}

// parse takes a whole frame apart. The message is nil in a frame with data.
func parse(t *testing.T, f framing, frame []byte, hashLen int) (d decoded, payload []byte, m message) {
	t.Helper()
	n := f.headerLen()
	d, ok := f.decode(frame[:n], len(frame)-n)
	if !ok {
		t.Fatalf("cannot decode % x", frame)
	}
	payload = frame[n : n+d.n]
	if d.dst == f.manageID() {
		var err error
		if m, err = f.parseManagement(payload, hashLen); err != nil {
			t.Fatalf("%v: % x", err, frame)
		}
	}
	return d, payload, m
}

// build makes a whole frame.
func build(f framing, to, from mac, dst, src uint16, payload []byte) []byte {
	h := make([]byte, f.headerLen())
	f.head(h, to, from, dst, src)
	f.setLen(h, len(payload))
	return append(h, payload...)
}

func buildMessage(f framing, to, from mac, m message) []byte {
	return build(f, to, from, f.manageID(), f.manageID(), m.append(f, nil))
}

// Every frame of every capture is understood, and made again bit for bit.
func TestCapture(t *testing.T) {
	sha224 := layer.SHA3_224.Sum("op")
	for _, c := range []struct {
		file              string
		f                 framing
		op                layer.Hash
		qos               qos.Spec
		frames            int
		request, response int // piggybacks, bytes
	}{
		{"eth-dix.pcap", dix, op, qos.Raw, 14, 36, 84},
		{"eth-llc.pcap", llc, op, qos.Raw, 14, 36, 84},
		{"eth-dix-sha3-224.pcap", framing{ethertype: 0xA007}, sha224, qos.Raw, 10, 36, 84},
		{"eth-dix-best.pcap", dix, op, qos.Best, 47, 36, 84},
		{"eth-dix-voice.pcap", dix, op, qos.Voice, 17, 36, 84},
		{"eth-dix-data.pcap", dix, op, qos.Data, 60, 36, 84},
		{"eth-dix-best-loss5.pcap", dix, op, qos.Best, 122, 36, 84},
		{"eth-dix-data-loss5.pcap", dix, op, qos.Data, 425, 36, 84},
		{"eth-dix-data-enc.pcap", dix, op, qos.Data, 33, 80, 112},
		{"eth-dix-enc-x25519.pcap", dix, op, qos.Raw, 14, 80, 112},
		{"eth-dix-auth.pcap", dix, op, qos.Raw, 14, 36, 473},
		{"eth-dix-auth-enc.pcap", dix, op, qos.Raw, 14, 80, 502},
	} {
		first, _ := c.f.ids()
		var requests, replies, queries, answers, data int
		all := frames(t, c.f, c.file)
		for _, frame := range all {
			d, payload, m := parse(t, c.f, frame, len(c.op))
			if m == nil {
				data++
				if got := build(c.f, d.to, d.from, d.dst, d.src, payload); !bytes.Equal(got, frame) || d.dst != first {
					t.Errorf("%s: encoded\n% x, captured\n% x", c.file, got, frame)
				}
				continue
			}
			if got := buildMessage(c.f, d.to, d.from, m); !bytes.Equal(got, frame) {
				t.Errorf("%s: encoded\n% x, captured\n% x", c.file, got, frame)
			}
			ok := false
			switch m := m.(type) {
			case query:
				queries++
				ok = m.name == c.op && d.to == broadcast
			case queryReply:
				answers++
				ok = m.name == c.op && d.to != broadcast
			case request:
				requests++
				ok = m.dst == c.op && m.qos == c.qos && m.eid == first && len(m.data) == c.request
			case reply:
				replies++
				ok = m.eid == first && m.peerEID == first && m.response == 0 && len(m.data) == c.response
			}
			if !ok {
				t.Errorf("%s: %+v", c.file, m)
			}
		}
		if len(all) != c.frames || requests != 1 || replies != 1 || queries != 1 || answers != 1 || data != c.frames-4 {
			t.Errorf("%s: %d frames, %d queries, %d answers, %d requests, %d replies, %d data packets", c.file,
				len(all), queries, answers, requests, replies, data)
		}
	}
}

// unhex decodes the hex dumps of spec 10 §3.8.
func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.NewReplacer(" ", "", "\n", "", "\t", "").Replace(s))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestWorkedExamples(t *testing.T) {
	local, peer := mac{2, 0, 0, 0, 0, 1}, mac{2, 0, 0, 0, 0, 2}
	zeros := func(n int) string { return strings.Repeat("00 ", n) }
	piggyback := []byte{0xaa, 0xbb, 0xcc}
	oping := layer.SHA3_256.Sum("oping")
	const hash = `42 de e3 b0 41 5b 4f 69 0f d9 1c bd 99 87 6f 1e 9b d8 d9 74 5e f7 fa 32 b1 42 77 3a f0 34 9d 54`
	const out = "02 00 00 00 00 02 02 00 00 00 00 01"
	const all = "ff ff ff ff ff ff 02 00 00 00 00 01"
	probe := qos.Spec{Bandwidth: 0x1112131415161718, Delay: 0x01020304, Loss: 0x31323334, BER: 0x41424344,
		MaxGap: 0x61626364, Timeout: 0x71727374, Availability: 0x21, InOrder: 0x51}
	for _, c := range []struct {
		name string
		f    framing
		hex  string
		m    message
	}{
		{"dix request", dix, out + `a0 00 00 00 00 4a 00 40 00 00 00 00 00 01 00 00 00 00 00 00 00 00 00 00 00 01 ff ff ff ff ff ff ff ff
			00 01 d4 c0 00 00 00 00 00 00 00` + hash + "aa bb cc", request{eid: 64, qos: qos.Raw, dst: oping, data: piggyback}},
		{"dix field order", dix, out + `a0 00 00 00 00 4a 0a 0b 00 00 31 32 33 34 11 12 13 14 15 16 17 18 41 42 43 44 61 62 63 64
			01 02 03 04 71 72 73 74 00 00 00 00 51 00 21` + hash + "aa bb cc", request{eid: 0x0a0b, qos: probe, dst: oping, data: piggyback}},
		{"dix accept", dix, out + "a0 00 00 00 00 2a 00 41 00 40" + zeros(33) + "01 00 aa bb cc", reply{eid: 64, peerEID: 65, data: piggyback}},
		{"dix refusal", dix, out + "a0 00 00 00 00 27 00 41 00 40" + zeros(28) + "ff ff fc 10 00 01 00", reply{eid: 64, peerEID: 65, response: -1008}},
		{"dix query", dix, all + "a0 00 00 00 00 47" + zeros(37) + "02 00" + hash, query{oping}},
		{"dix query reply", dix, out + "a0 00 00 00 00 47" + zeros(37) + "03 00" + hash, queryReply{oping}},
		{"dix teardown", dix, out + "a0 00 00 00 00 27 00 41 00 40" + zeros(33) + "04 00", teardown{peerEID: 65, eid: 64}},
		{"llc request", llc, out + `00 4b 80 80 03 02 00 00 00 00 00 00 01 00 00 00 00 00 00 00 00 00 00 00 01 ff ff ff ff ff ff ff ff
			00 01 d4 c0 00 00 00 00 00` + hash + "aa bb cc", request{eid: 2, qos: qos.Raw, dst: oping, data: piggyback}},
		{"llc accept", llc, out + "00 2b 80 80 03 03 02 01 00" + zeros(33) + "aa bb cc", reply{eid: 2, peerEID: 3, data: piggyback}},
		{"llc query", llc, all + "00 48 80 80 03 00 00 02 00" + zeros(33) + hash, query{oping}},
		{"llc teardown", llc, out + "00 28 80 80 03 03 02 04 00" + zeros(33), teardown{peerEID: 3, eid: 2}},
	} {
		want := unhex(t, c.hex)
		to := peer
		if want[0] == 0xff {
			to = broadcast
		}
		if got := buildMessage(c.f, to, local, c.m); !bytes.Equal(got, want) {
			t.Errorf("%s: encoded\n% x, want\n% x", c.name, got, want)
		}
		if _, _, m := parse(t, c.f, want, len(oping)); !bytes.Equal(m.append(c.f, nil), want[c.f.headerLen():]) {
			t.Errorf("%s: decoded to %+v", c.name, m)
		}
	}
	for _, c := range []struct {
		name, hex string
		got       []byte
	}{
		{"dix data", out + "a0 00 00 41 00 02 de ad", build(dix, peer, local, 65, 0, []byte{0xde, 0xad})},
		{"dix keepalive", out + "a0 00 00 41 00 00", build(dix, peer, local, 65, 0, nil)},
		{"llc data", out + "00 05 c0 40 03 de ad", build(llc, peer, local, 3, 2, []byte{0xde, 0xad})},
	} {
		if want := unhex(t, c.hex); !bytes.Equal(c.got, want) {
			t.Errorf("%s: % x, want % x", c.name, c.got, want)
		}
	}
}

// The limits of spec 10 §3.5.
func TestSizes(t *testing.T) {
	for _, c := range []struct {
		f                         framing
		device, hash              int
		packet, request, response int
	}{
		{dix, 1500, 28, 1496, 1429, 1457}, {dix, 1500, 32, 1496, 1425, 1457}, {dix, 1500, 48, 1496, 1409, 1457}, {dix, 1500, 64, 1496, 1393, 1457},
		{llc, 1500, 28, 1497, 1432, 1460}, {llc, 1500, 32, 1497, 1428, 1460}, {llc, 1500, 48, 1497, 1412, 1460}, {llc, 1500, 64, 1497, 1396, 1460},
		{llc, 9000, 32, 1497, 1428, 1460}, {dix, 9000, 32, 8996, 8911, 8943}, {dix, 1 << 20, 32, 65531, 8911, 8943},
	} {
		mtu, manage := c.f.sizes(c.device)
		if mtu != c.packet || manage-c.f.fixedLen()-c.hash != c.request || manage-c.f.fixedLen() != c.response {
			t.Errorf("%+v: MTU %d, messages of %d", c, mtu, manage)
		}
	}
}

// FuzzFrame: what decodes encodes to something that decodes to the same, and
// nothing points outside the frame.
func FuzzFrame(f *testing.F) {
	for _, fr := range []framing{dix, llc} {
		to, from := mac{2, 1}, mac{2, 2}
		for _, m := range []message{
			request{eid: 64, qos: qos.Voice, dst: op, data: []byte("data")}, reply{eid: 2, peerEID: 3, data: []byte("data")},
			reply{eid: 64, response: -1007}, query{op}, queryReply{op}, teardown{64, 65}, header{code: 9},
		} {
			f.Add(fr.llc, buildMessage(fr, to, from, m))
		}
		f.Add(fr.llc, build(fr, to, from, 60, 2, []byte("data")))
	}
	f.Add(true, make([]byte, 60))
	f.Fuzz(func(t *testing.T, isLLC bool, frame []byte) {
		fr := dix
		if isLLC {
			fr = llc
		}
		n := fr.headerLen()
		if len(frame) < n {
			return
		}
		d, ok := fr.decode(frame[:n], len(frame)-n)
		if !ok {
			return
		}
		payload := frame[n:][:d.n] // panics if d.n is out of range
		if again := build(fr, d.to, d.from, d.dst, d.src, payload); !bytes.Equal(again, frame[:n+d.n]) {
			t.Fatalf("% x, then % x", frame, again)
		}
		m, err := fr.parseManagement(payload, 32)
		if err != nil {
			return
		}
		b := m.append(fr, nil)
		m2, err := fr.parseManagement(b, 32)
		if err != nil {
			t.Fatalf("%+v: %v", m, err)
		}
		if b2 := m2.append(fr, nil); !bytes.Equal(b, b2) {
			t.Fatalf("%x, then %x", b, b2)
		}
	})
}
