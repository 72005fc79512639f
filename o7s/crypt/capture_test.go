// SPDX-License-Identifier: BSD-3-Clause

package crypt

import (
	"encoding/binary"
	"maps"
	"os"
	"testing"

	"o7gw/o7s/ipcp/capture"
	"o7gw/o7s/packet"
)

// loadPackets returns the packets of the flows in a recording of a shim.
func loadPackets(t *testing.T, name string) (pkts []capture.Packet) {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name + ".pcap")
	if err != nil {
		t.Fatal(err)
	}
	var frames []capture.Frame
	for b = b[24:]; len(b) >= 16; {
		n := binary.LittleEndian.Uint32(b[8:])
		frames = append(frames, capture.Frame{Data: b[16 : 16+n]})
		b = b[16+n:]
	}
	for _, f := range capture.Flows(frames) {
		pkts = append(pkts, f.Packets...)
	}
	return pkts
}

// What prototypes sent on encrypted flows is framed as spec 30 §5.2 says. Its keys
// are not known: with another, every packet is refused, and none makes the key
// rotate.
func TestCapture(t *testing.T) {
	for name, want := range map[string]map[int]int{ // packets by length
		"eth-dix-enc-x25519": {Overhead + 64: 10},
		"udp4-enc-x25519":    {Overhead + 64: 10},
		"eth-dix-auth-enc":   {Overhead + 64: 10},
		"eth-dix-data-enc":   {Overhead + 12 + 64: 20, Overhead + 12: 9},
	} {
		t.Run(name, func(t *testing.T) {
			lengths := map[int]int{}
			ivs := map[[IVLen]byte]bool{}
			directions := map[byte]bool{}
			box := newBox(t, Config{Cipher: AES256GCM})
			for i, p := range loadPackets(t, name) {
				lengths[len(p.Data)]++
				if len(p.Data) < Overhead {
					t.Fatalf("packet %d: %d bytes", i, len(p.Data))
				}
				if p.Data[0]&0x80 != 0 {
					t.Errorf("packet %d: phase 1 in the first epoch", i)
				}
				directions[p.Data[0]&0x40] = true
				ivs[[IVLen]byte(p.Data)] = true
				if got := box.Open([]*packet.Buffer{buffer(p.Data)}); len(got) != 0 {
					t.Errorf("packet %d opened with a key that is not its own", i)
				}
			}
			if !maps.Equal(lengths, want) {
				t.Errorf("lengths %v, want %v", lengths, want)
			}
			total := 0
			for _, n := range want {
				total += n
			}
			if len(ivs) != total || len(directions) != 2 {
				t.Errorf("%d IVs for %d packets; bits of direction %v", len(ivs), total, directions)
			}
			if s := box.Stats(); s != (Stats{Forged: uint64(total)}) {
				t.Errorf("%+v", s)
			}
		})
	}
}
