// SPDX-License-Identifier: BSD-3-Clause

package crypt

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"testing"

	"o7gw/o7s/oap/cipher"
	"o7gw/o7s/packet"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// testKey is k₀ of the vectors.
func testKey() []byte {
	k := make([]byte, KeyLen)
	for i := range k {
		k[i] = byte(i)
	}
	return k
}

func buffer(p []byte) *packet.Buffer {
	b := packet.Get(len(p))
	b.Append(p)
	return b
}

// The key chain of spec 30 §5.6.
func TestChain(t *testing.T) {
	c, err := newChain(AES256GCM, testKey())
	if err != nil {
		t.Fatal(err)
	}
	if want := "630dcd2966c4336691125448bbb25b4ff412a49c732db2c8abc1b8581bd710dd"; hex.EncodeToString(c.salt) != want {
		t.Errorf("salt %x", c.salt)
	}
	for i, want := range []string{
		"cf95b6c68e77b8713cdfd62033f2bea52f621b894e197be6934c6ff99735d1a5",
		"4c3544057ff00629fb982b8c17201efcbee072bc377c0496131bc840903559b9",
	} {
		if hex.EncodeToString(c.secret) != want {
			t.Errorf("k%d = %x", i+1, c.secret)
		}
		if c, err = c.rotated(); err != nil {
			t.Fatal(err)
		}
	}
}

// Packets of the prototype (spec 30 §5.6) are opened, in every epoch.
func TestVectors(t *testing.T) {
	const frct = "030000001234567800000000" + "6f75726f626f726f"
	for _, c := range []struct {
		name    string
		cipher  uint16
		plain   string
		packets []string
	}{
		{"three epochs", AES256GCM, "70696e67", []string{
			"20a1a2a3a4a5a6a7a8a9aaab" + "228c889a" + "6bf6c50e9e7110af831a8bb73a885ad3",
			"a0a1a2a3a4a5a6a7a8a9aaab" + "516ad277" + "6475fcbe2e4c231aa3a9a883053c3a63",
			"20a1a2a3a4a5a6a7a8a9aaab" + "fa738115" + "d756b1a9ab825bdf36f6e40e3a70886b",
		}},
		{"aes-256-gcm", AES256GCM, frct, []string{"20a1a2a3a4a5a6a7a8a9aaab51e5e6fdde5a39244d481aa7d442da3f39a4a03e5ef8078c57bf76c4cd6d614ca9d86570"}},
		{"aes-128-gcm", AES128GCM, frct, []string{"20a1a2a3a4a5a6a7a8a9aaaba10b0e11f4863ce82453619d50695c0822bb4e1ff75f5008640863ae5e7cdc090cd29224"}},
		{"chacha20-poly1305", ChaCha20Poly1305, frct, []string{"20a1a2a3a4a5a6a7a8a9aaab5b61b410d4fe8bca123e9b9278754fff95f00c18b1437b71536198d26bb2ece39d71c0e5"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBox(t, Config{Cipher: c.cipher})
			for i, p := range c.packets {
				got := b.Open([]*packet.Buffer{buffer(unhex(t, p))})
				if len(got) != 1 || !bytes.Equal(got[0].Bytes(), unhex(t, c.plain)) {
					t.Fatalf("packet %d: %d opened, %+v", i, len(got), b.Stats())
				}
				got[0].Release()
			}
			if s := b.Stats(); s.Rotations != uint64(len(c.packets)-1) {
				t.Errorf("%+v", s)
			}
		})
	}
}

func newBox(t testing.TB, cfg Config) *Box {
	t.Helper()
	if cfg.Key == nil {
		cfg.Key = testKey()
	}
	if cfg.Random == nil {
		cfg.Random = rand.Reader
	}
	b, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// ends returns both ends of a flow.
func ends(t testing.TB, number uint16, sequenced bool, epoch uint64) (client, server *Box) {
	client = newBox(t, Config{Cipher: number, Sequenced: sequenced, Epoch: epoch})
	server = newBox(t, Config{Cipher: number, Sequenced: sequenced, Epoch: epoch, Server: true})
	return client, server
}

func TestBothWays(t *testing.T) {
	for number := range keyBytes {
		for _, sequenced := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s,%v", cipher.Name(number), sequenced), func(t *testing.T) {
				a, b := ends(t, number, sequenced, 16)
				for i := range 500 {
					from, to := a, b
					if i%3 == 0 {
						from, to = b, a
					}
					want := bytes.Repeat([]byte{byte(i)}, i%200)
					batch := []*packet.Buffer{buffer(want), buffer([]byte("x"))}
					from.Seal(batch)
					if batch[0].Len() != len(want)+Overhead || bytes.Contains(batch[0].Bytes(), want) && len(want) > 8 {
						t.Fatalf("packet %d is not sealed", i)
					}
					got := to.Open(batch)
					if len(got) != 2 || !bytes.Equal(got[0].Bytes(), want) || string(got[1].Bytes()) != "x" {
						t.Fatalf("packet %d: %d opened, %+v", i, len(got), to.Stats())
					}
					packet.ReleaseBatch(got)
				}
				if s := a.Stats(); s.Rotations < 5 || s.Opened == 0 || s.Sealed == 0 || s.Forged != 0 {
					t.Errorf("%+v", s)
				}
			})
		}
	}
}

// What was changed, cut, repeated, or sent back is not opened, and is counted.
func TestRefused(t *testing.T) {
	a, b := ends(t, AES256GCM, true, 0)
	seal := func(from *Box) *packet.Buffer {
		p := []*packet.Buffer{buffer([]byte("attack at dawn"))}
		from.Seal(p)
		return p[0]
	}
	good := seal(a)
	refused := func(to *Box, p []byte) {
		t.Helper()
		if got := to.Open([]*packet.Buffer{buffer(p)}); len(got) != 0 {
			t.Fatalf("opened %x", p)
		}
	}
	for i := range good.Bytes() {
		for bit := range 8 {
			p := bytes.Clone(good.Bytes())
			p[i] ^= 1 << bit
			refused(b, p)
		}
	}
	for n := range good.Len() {
		refused(b, good.Bytes()[:n])
	}
	refused(a, good.Bytes())
	copied := bytes.Clone(good.Bytes())
	if got := b.Open([]*packet.Buffer{good}); len(got) != 1 {
		t.Fatal("the packet itself is refused")
	} else {
		got[0].Release()
	}
	refused(b, copied)
	s := b.Stats()
	if s.Opened != 1 || s.Replayed != 1 || s.Short == 0 || s.Reflected == 0 || s.Forged == 0 || a.Stats().Reflected != 1 || s.Rotations != 0 {
		t.Errorf("%+v, sender %+v", s, a.Stats())
	}
}

func TestNoAllocation(t *testing.T) {
	for number := range keyBytes {
		for _, sequenced := range []bool{false, true} {
			a, b := ends(t, number, sequenced, 0)
			batch := make([]*packet.Buffer, 16)
			if n := testing.AllocsPerRun(100, func() {
				packet.GetBatch(batch, 1400)
				for _, p := range batch {
					p.SetLen(1400)
				}
				a.Seal(batch)
				if got := b.Open(batch); len(got) != len(batch) {
					t.Fatalf("opened %d", len(got))
				}
				packet.ReleaseBatch(batch)
			}); n != 0 {
				t.Errorf("%s, sequenced %v: %v allocations per batch", cipher.Name(number), sequenced, n)
			}
		}
	}
}

// The IV says the phase and the direction, and counts.
func TestIV(t *testing.T) {
	for _, server := range []bool{false, true} {
		b := newBox(t, Config{Cipher: AES256GCM, Server: server})
		var prefix uint32
		var count uint64
		for i := range 4 {
			batch := []*packet.Buffer{buffer([]byte("a")), buffer([]byte("b"))}
			b.Seal(batch)
			for j, p := range batch {
				first, n := binary.BigEndian.Uint32(p.Bytes()), binary.BigEndian.Uint64(p.Bytes()[4:])
				if phase := first >> 31; phase != uint32(i%2) {
					t.Errorf("epoch %d: phase %d", i, phase)
				}
				if accepted := first>>30&1 == 1; accepted != server {
					t.Errorf("server %v: IV %x", server, p.Bytes()[:IVLen])
				}
				if i == 0 && j == 0 {
					prefix, count = first, n
					if count >= 1<<48 {
						t.Errorf("counter begins at %#x", count)
					}
				}
				if (first^prefix)<<1 != 0 || n != count {
					t.Errorf("IV %x, want %x and counter %#x", p.Bytes()[:IVLen], prefix, count)
				}
				count++
			}
			packet.ReleaseBatch(batch)
			b.rotate(b.chain.Load())
		}
	}
}

// A packet without room in its buffer, and one as long as can be, are moved.
func TestRoom(t *testing.T) {
	a, b := ends(t, AES256GCM, true, 0)
	tight := packet.Get(10)
	n := tight.Headroom() + tight.Tailroom()
	tight.Prepend(tight.Headroom())
	tight.Extend(tight.Tailroom())
	long := packet.Get(packet.MaxPayload)
	long.SetLen(packet.MaxPayload)
	batch := []*packet.Buffer{tight, long, buffer(nil)}
	tight.SetCube(2)
	for i := range tight.Bytes() {
		tight.Bytes()[i] = byte(i)
	}
	want := bytes.Clone(tight.Bytes())
	a.Seal(batch)
	AppendCRC(batch)
	got := b.Open(CheckCRC(batch))
	if len(got) != 3 || !bytes.Equal(got[0].Bytes(), want) || len(want) != n || got[1].Len() != packet.MaxPayload || got[2].Len() != 0 || got[0].Cube() != 2 {
		t.Fatalf("%d opened, %+v", len(got), b.Stats())
	}
	packet.ReleaseBatch(got)
	a.Seal(nil)
	if len(b.Open(nil)) != 0 {
		t.Error("opened nothing, and got something")
	}
}

func TestNew(t *testing.T) {
	for _, cfg := range []Config{
		{Cipher: 906, Key: testKey()}, // CTR
		{Cipher: 0, Key: testKey()},
		{Cipher: AES256GCM, Key: testKey()[:31]},
		{Cipher: AES256GCM},
	} {
		cfg.Random = rand.Reader
		if _, err := New(cfg); err == nil {
			t.Errorf("%+v was taken", cfg.Cipher)
		}
	}
	if _, err := New(Config{Cipher: AES256GCM, Key: testKey(), Random: bytes.NewReader(nil)}); err == nil {
		t.Error("no randomness, and no error")
	}
	for _, number := range []uint16{0, 904, 905, 906, 672} {
		if Supported(number) {
			t.Errorf("cipher %d is supported", number)
		}
	}
}
