// SPDX-License-Identifier: BSD-3-Clause

//go:build linux

package tun

import (
	"bytes"
	"encoding/binary"
	"testing"

	"golang.org/x/sys/unix"

	"o7gw/gateway/ip"
	"o7gw/o7s/packet"
)

// segmentMessage is what the kernel hands over for a large segment of a payload.
func segmentMessage(v6, udp bool, size int, payload []byte) []byte {
	at, least, gso, sum := ip.IPv4Len, ip.TCPLen, byte(unix.VIRTIO_NET_HDR_GSO_TCPV4), 16
	if v6 {
		at, gso = ip.IPv6Len, unix.VIRTIO_NET_HDR_GSO_TCPV6
	}
	if udp {
		least, gso, sum = ip.UDPLen, unix.VIRTIO_NET_HDR_GSO_UDP_L4, 6
	}
	m := make([]byte, vnetLen+at+least, vnetLen+at+least+len(payload))
	m[0], m[1] = unix.VIRTIO_NET_HDR_F_NEEDS_CSUM, gso
	binary.NativeEndian.PutUint16(m[4:], uint16(size))
	binary.NativeEndian.PutUint16(m[6:], uint16(at))
	binary.NativeEndian.PutUint16(m[8:], uint16(sum))
	p := m[vnetLen:]
	proto := byte(ip.TCP)
	if udp {
		proto = ip.UDP
	}
	p[0] = 0x45
	p[9] = proto
	copy(p[12:], []byte{10, 0, 0, 1, 10, 0, 0, 2})
	if v6 {
		p[0], p[6], p[9] = 0x60, proto, 0
		clear(p[12:20])
		p[23], p[39] = 1, 2
	}
	t := p[at:]
	copy(t, []byte{1, 2, 3, 4})
	if !udp {
		binary.BigEndian.PutUint32(t[4:], 0xffffff00) // wraps
		t[12], t[13] = 5<<4, tcpACK|tcpPSH|tcpFIN
	}
	return append(m, payload...)
}

func TestUnpackSplits(t *testing.T) {
	const size = 1000
	payload := make([]byte, 3*size+17)
	for i := range payload {
		payload[i] = byte(i * 7)
	}
	for _, c := range []struct {
		name    string
		v6, udp bool
	}{{"tcp4", false, false}, {"tcp6", true, false}, {"udp4", false, true}, {"udp6", true, true}} {
		t.Run(c.name, func(t *testing.T) {
			bufs := make([]*packet.Buffer, readRoom)
			packet.GetBatch(bufs, 1500)
			defer packet.ReleaseBatch(bufs)
			n, err := unpack(segmentMessage(c.v6, c.udp, size, payload), bufs)
			if err != nil || n != 4 {
				t.Fatal(n, err)
			}
			var got []byte
			for i, b := range bufs[:n] {
				s := classify(b.Bytes(), true)
				if !c.v6 { // classify wants what must not be fragmented
					p := bytes.Clone(b.Bytes())
					if ip.Fold(ip.Sum(p[:ip.IPv4Len], 0)) != 0xffff {
						t.Errorf("packet %d: wrong checksum of the header", i)
					}
					if id := binary.BigEndian.Uint16(p[4:]); id != uint16(i) {
						t.Errorf("packet %d has identification %d", i, id)
					}
					binary.BigEndian.PutUint16(p[6:], 0x4000)
					s = classify(p, true)
				}
				if !c.udp && i == n-1 {
					// The only one with FIN, which classify does not take.
					p := bytes.Clone(b.Bytes())
					if p[s.ipLenOf()+13] != tcpACK|tcpPSH|tcpFIN {
						t.Errorf("flags %#x of the last packet", p[s.ipLenOf()+13])
					}
					got = append(got, p[s.ipLenOf()+ip.TCPLen:]...)
					continue
				}
				if s.kind == single || !s.valid() {
					t.Fatalf("packet %d is not in order", i)
				}
				if !c.udp {
					h := b.Bytes()[s.ipLen:]
					if seq := binary.BigEndian.Uint32(h[4:]); seq != 0xffffff00+uint32(i*size) || h[13] != tcpACK {
						t.Errorf("packet %d: sequence %d, flags %#x", i, seq, h[13])
					}
				}
				got = append(got, s.p[s.hdrLen:]...)
			}
			if !bytes.Equal(got, payload) {
				t.Error("payload changed")
			}
		})
	}
}

// ipLenOf is the length of the IP header, also of what is not joined.
func (s *segment) ipLenOf() int {
	if s.p[0]>>4 == 6 {
		return ip.IPv6Len
	}
	return ip.IPv4Len
}

func FuzzUnpack(f *testing.F) {
	payload := make([]byte, 120)
	for i := range 4 {
		f.Add(segmentMessage(i&1 > 0, i&2 > 0, 50, payload))
	}
	plain := segmentMessage(false, true, 0, payload)
	plain[1] = unix.VIRTIO_NET_HDR_GSO_NONE
	f.Add(plain)
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, m []byte) {
		bufs := make([]*packet.Buffer, readRoom)
		packet.GetBatch(bufs, 1500)
		defer packet.ReleaseBatch(bufs)
		n, err := unpack(bytes.Clone(m), bufs)
		if err != nil {
			if n != 0 {
				t.Errorf("%d packets with error %v", n, err)
			}
			return
		}
		total := 0
		for _, b := range bufs[:n] {
			total += b.Len()
		}
		if total < len(m)-vnetLen {
			t.Errorf("%d bytes of %d", total, len(m)-vnetLen)
		}
	})
}
