// SPDX-License-Identifier: BSD-3-Clause

package crypt

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"

	"o7gw/o7s/oap/cipher"
	"o7gw/o7s/packet"
)

// hostilePackets returns how many packets the test makes: O7S_CRYPT_PACKETS if
// set.
func hostilePackets(t *testing.T) int {
	s := os.Getenv("O7S_CRYPT_PACKETS")
	if s == "" {
		return 200_000
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatalf("O7S_CRYPT_PACKETS: %v", err)
	}
	return n
}

// attacker holds what it has seen of a flow and makes packets of it.
type attacker struct {
	random         *rand.Rand
	toPeer, toSelf [][]byte // sealed by the peer of the victim, and by the victim
	replays        bool     // the victim ought to find replayed and reflected packets
	used           [4]uint64
}

// appendPacket appends a hostile packet to b.
func (a *attacker) appendPacket(b *packet.Buffer) {
	kinds := 2
	if a.replays {
		kinds = 4
	}
	kind := a.random.IntN(kinds)
	a.used[kind]++
	p := a.toPeer[a.random.IntN(len(a.toPeer))]
	switch kind {
	case 0: // cut short
		b.Append(p[:a.random.IntN(len(p))])
	case 1: // some bits changed, those of the IV more often
		b.Append(p)
		n := len(p)
		if a.random.IntN(2) == 0 {
			n = IVLen
		}
		// Changes of one bit more each, so that no two undo each other.
		for i, at := 0, a.random.IntN(n); i <= a.random.IntN(3) && at < n; i, at = i+1, at+1 {
			b.Bytes()[at] ^= 1 << a.random.IntN(8)
		}
	case 2: // again
		b.Append(p)
	case 3: // back to who sent it
		b.Append(a.toSelf[a.random.IntN(len(a.toSelf))])
	}
}

// Whatever an attacker makes of the packets that it saw is refused and counted, and
// moves nothing on: not the key, nor its age, nor the replay window.
func TestHostile(t *testing.T) {
	for number := range keyBytes {
		for _, sequenced := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s/sequenced %v", cipher.Name(number), sequenced), func(t *testing.T) {
				total := hostilePackets(t) / len(keyBytes) / 2
				random := rand.New(rand.NewPCG(uint64(number), 1))
				peer, victim := ends(t, number, sequenced, 1<<12)
				a := &attacker{random: random, replays: sequenced}
				for range 300 {
					p := boxEnd{peer}.seal(make([]byte, random.IntN(100)))
					a.toPeer = append(a.toPeer, p)
					if _, ok := (boxEnd{victim}).open(p); !ok {
						t.Fatal("good packet refused")
					}
					a.toSelf = append(a.toSelf, boxEnd{victim}.seal([]byte("answer")))
				}
				late := boxEnd{peer}.seal([]byte("late"))
				before := victim.Stats()
				c, age, heard, last := victim.chain.Load(), victim.age.Load(), victim.heard.Load(), victim.window.last

				batch := make([]*packet.Buffer, packet.BatchSize)
				for sent := 0; sent < total; sent += len(batch) {
					packet.GetBatch(batch, 200)
					for _, b := range batch {
						a.appendPacket(b)
					}
					if got := victim.Open(batch); len(got) != 0 {
						t.Fatalf("opened %x", got[0].Bytes())
					}
				}

				if victim.chain.Load() != c || victim.age.Load() != age || victim.heard.Load() != heard || victim.window.last != last {
					t.Error("refused packets moved the key, its age or the window on")
				}
				s := victim.Stats()
				refused := s.Short + s.Forged + s.Replayed + s.Reflected
				if made := a.used[0] + a.used[1] + a.used[2] + a.used[3]; refused != made {
					t.Errorf("%d of %d are counted: %+v", refused, made, s)
				}
				if s.Reflected < a.used[3] || s.Replayed < a.used[2] || s.Short == 0 || s.Forged == 0 {
					t.Errorf("made %v, counted %+v", a.used, s)
				}
				if s.Opened != before.Opened || s.Rotations != before.Rotations {
					t.Errorf("before %+v, after %+v", before, s)
				}
				if plain, ok := (boxEnd{victim}).open(late); !ok || string(plain) != "late" {
					t.Error("a good packet is refused afterwards")
				}
				if victim.misses != 0 {
					t.Errorf("%d misses are remembered", victim.misses)
				}
			})
		}
	}
}

// A CRC is no protection against attackers; but packets that were cut or changed in up to
// three places never pass (CRC-32 finds them up to some thousands of bits).
func TestHostileCRC(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	batch := make([]*packet.Buffer, packet.BatchSize)
	for range hostilePackets(t) / 20 / len(batch) {
		packet.GetBatch(batch, 200)
		for _, b := range batch {
			b.SetLen(1 + random.IntN(150))
		}
		AppendCRC(batch)
		for _, b := range batch {
			at := random.IntN(b.Len() * 8)
			b.Bytes()[at/8] ^= 1 << (at % 8)
			if also := random.IntN(b.Len() * 8); also != at {
				b.Bytes()[also/8] ^= 1 << (also % 8)
			}
		}
		if got := CheckCRC(batch); len(got) != 0 {
			t.Fatalf("%x passed", got[0].Bytes())
		}
	}
}
