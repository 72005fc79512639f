// SPDX-License-Identifier: BSD-3-Clause

package udp

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"os"
	"strings"
	"testing"

	"o7gw/o7s/ipcp"
	"o7gw/o7s/layer"
	"o7gw/o7s/qos"
)

// captured is one UDP datagram of a capture.
type captured struct {
	src, dst [4]byte
	payload  []byte
}

// capture reads the datagrams of port 3435 from a capture file: pcap,
// little-endian, Ethernet, IPv4 without options.
func capture(t *testing.T, name string) []captured {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	if len(b) < 24 || binary.LittleEndian.Uint32(b) != 0xa1b2c3d4 {
		t.Fatal("no pcap file")
	}
	var all []captured
	for b = b[24:]; len(b) > 0; {
		n := binary.LittleEndian.Uint32(b[8:])
		f := b[16 : 16+n]
		b = b[16+n:]
		if len(f) < 14+20+8 || binary.BigEndian.Uint16(f[12:]) != 0x0800 || f[14] != 0x45 || f[14+9] != 17 {
			continue
		}
		ip := f[14 : 14+binary.BigEndian.Uint16(f[16:])]
		if ip[6]&0x40 == 0 {
			t.Error("a datagram without DF")
		}
		udp := ip[20:]
		if binary.BigEndian.Uint16(udp[2:]) != ipcp.DefaultUDPPort || int(binary.BigEndian.Uint16(udp[4:])) != len(udp) {
			t.Fatalf("unexpected datagram % x", udp[:8])
		}
		all = append(all, captured{[4]byte(ip[12:]), [4]byte(ip[16:]), udp[8:]})
	}
	return all
}

// encode is the inverse of parseManagement.
func encode(t *testing.T, m any) []byte {
	t.Helper()
	switch m := m.(type) {
	case request:
		return m.append(nil)
	case reply:
		return m.append(nil)
	case teardown:
		return m.append(nil)
	}
	t.Fatalf("cannot encode %T", m)
	return nil
}

func TestCapture(t *testing.T) {
	for _, c := range []struct {
		file              string
		request, response int // piggybacks, bytes
	}{{"udp4.pcap", 36, 84}, {"udp4-enc-x25519.pcap", 80, 112}} {
		var requests, replies, data int
		for _, d := range capture(t, c.file) {
			if binary.BigEndian.Uint32(d.payload) != manageEID {
				data++
				if d.payload[3] != 64 {
					t.Errorf("%s: EID %x", c.file, d.payload[:4])
				}
				continue
			}
			m, err := parseManagement(d.payload)
			if err != nil {
				t.Fatalf("%s: %v: % x", c.file, err, d.payload)
			}
			if got := encode(t, m); !bytes.Equal(got, d.payload) {
				t.Errorf("%s: encoded\n% x, captured\n% x", c.file, got, d.payload)
			}
			switch m := m.(type) {
			case request:
				requests++
				if m.dst != op || m.qos != qos.Raw || m.eid != 64 || len(m.data) != c.request {
					t.Errorf("%s: %+v", c.file, m)
				}
			case reply:
				replies++
				if m.eid != 64 || m.peerEID != 64 || m.response != 0 || len(m.data) != c.response {
					t.Errorf("%s: %+v", c.file, m)
				}
			default:
				t.Errorf("%s: %T", c.file, m)
			}
		}
		if requests != 1 || replies != 1 || data != 10 {
			t.Errorf("%s: %d requests, %d replies, %d data packets", c.file, requests, replies, data)
		}
	}
}

// The session of each capture replayed by a real socket in the place of the C
// client: what a flow of ours receives, and sends, is what was captured.
func TestCaptureReplayed(t *testing.T) {
	for _, file := range []string{"udp4.pcap", "udp4-enc-x25519.pcap"} {
		t.Run(file, func(t *testing.T) { replay(t, capture(t, file)) })
	}
}

func replay(t *testing.T, all []captured) {
	u, ports := acceptor(0)
	server := start(t, "127.0.0.2", u, nil)
	server.Register(t.Context(), op)
	c := dial(t, "127.0.0.1", testPort, server)
	var port layer.Port
	var in *sink
	var eid uint32
	packets := 0
	for _, d := range all {
		fromClient := d.src == [4]byte{10, 7, 0, 2}
		switch {
		case fromClient && port == nil:
			c.send(d.payload)
			m, err := parseManagement(c.recv())
			if err != nil {
				t.Fatal(err)
			}
			r := m.(reply)
			if r.eid != 64 || r.response != 0 {
				t.Fatalf("%+v", r)
			}
			eid = r.peerEID
			port = <-ports
			in = newSink(port)
		case fromClient:
			packets++
			c.send(binary.BigEndian.AppendUint32(nil, eid), d.payload[eidLen:])
			if got := in.packets(t, packets); !bytes.Equal(got[packets-1], d.payload[eidLen:]) {
				t.Errorf("received % x", got[packets-1])
			}
		case binary.BigEndian.Uint32(d.payload) != manageEID:
			port.Send(buffers(d.payload[eidLen:]))
			if got := c.recv(); !bytes.Equal(got, d.payload) {
				t.Errorf("sent % x, captured % x", got, d.payload)
			}
		}
	}
	if packets != 5 {
		t.Errorf("%d packets", packets)
	}
}

// unhex decodes the hex dumps of spec 10 §2.10.
func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.NewReplacer(" ", "", "\n", "", "\t", "").Replace(s))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestWorkedExamples(t *testing.T) {
	zeros := strings.Repeat("00 ", 28)
	probe := qos.Spec{Bandwidth: 0x1112131415161718, Delay: 0x01020304, Loss: 0x31323334, BER: 0x41424344,
		MaxGap: 0x61626364, Timeout: 0x71727374, Availability: 0x21, InOrder: 0x51}
	piggyback := []byte{0xaa, 0xbb, 0xcc}
	oping := layer.MD5.Sum("oping")
	for _, c := range []struct {
		name string
		hex  string
		m    interface{ append([]byte) []byte }
	}{
		{"request", `00 00 00 00 00 00 00 40 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00
			ff ff ff ff 00 00 00 01 00 00 00 01 ff ff ff ff 00 01 d4 c0 01 00 00
			78 62 c6 fe c5 ec ae f4 aa 2e 39 34 72 5e 23 b3 aa bb cc`,
			request{eid: 64, qos: qos.Raw, dst: oping, data: piggyback}},
		{"field order", `00 00 00 00 0a 0b 0c 0d 00 00 00 00 00 00 00 00 11 12 13 14 15 16 17 18
			01 02 03 04 31 32 33 34 41 42 43 44 61 62 63 64 71 72 73 74 01 21 51
			78 62 c6 fe c5 ec ae f4 aa 2e 39 34 72 5e 23 b3 aa bb cc`,
			request{eid: 0x0a0b0c0d, qos: probe, dst: oping, data: piggyback}},
		{"accept", "00 00 00 00 00 00 00 40 00 00 00 41 00 00 00 00" + zeros + "02 00 00 aa bb cc",
			reply{eid: 64, peerEID: 65, data: piggyback}},
		{"refusal", "00 00 00 00 00 00 00 40 00 00 00 41 ff ff fc 10" + zeros + "02 00 00",
			reply{eid: 64, peerEID: 65, response: -int32(layer.ErrCrypt)}},
		{"teardown", "00 00 00 00 00 00 00 41 00 00 00 40 00 00 00 00" + zeros + "03 00 00",
			teardown{peerEID: 65, eid: 64}},
	} {
		want := unhex(t, c.hex)
		if got := c.m.append(nil); !bytes.Equal(got, want) {
			t.Errorf("%s: encoded\n% x, want\n% x", c.name, got, want)
		}
		m, err := parseManagement(want)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
		} else if got := encode(t, m); !bytes.Equal(got, want) {
			t.Errorf("%s: decoded to %+v", c.name, m)
		}
	}
}

// FuzzManagement: what parses encodes to something that parses to the same.
func FuzzManagement(f *testing.F) {
	f.Add(request{eid: 64, qos: qos.Voice, dst: op, data: []byte("data")}.append(nil))
	f.Add(reply{eid: 64, peerEID: 65, data: []byte("data")}.append(nil))
	f.Add(reply{eid: 64, response: -1007}.append(nil))
	f.Add(teardown{64, 65}.append(nil))
	f.Add(header{code: 9}.append(nil))
	f.Add([]byte{0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := parseManagement(b)
		if err != nil {
			return
		}
		again, err := parseManagement(encode(t, m))
		if err != nil {
			t.Fatalf("%+v: %v", m, err)
		}
		if a, b := encode(t, m), encode(t, again); !bytes.Equal(a, b) {
			t.Fatalf("%x, then %x", a, b)
		}
	})
}

func FuzzHosts(f *testing.F) {
	f.Add([]byte("192.0.2.10 7862c6fec5ecaef4aa2e3934725e23b3 # oping\n::1\tlocalhost 7862C6FEC5ECAEF4AA2E3934725E23B3"))
	f.Fuzz(func(t *testing.T, b []byte) {
		for hash, addrs := range parseHosts(b) {
			if len(hash) != hashLen || len(addrs) == 0 {
				t.Fatalf("%x: %v", hash, addrs)
			}
		}
	})
}
