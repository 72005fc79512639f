// SPDX-License-Identifier: BSD-3-Clause

package crypt

import (
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"math/rand/v2"
	"testing"

	"o7gw/o7s/packet"
)

// end is one end of an encrypted flow.
type end interface {
	seal(p []byte) []byte
	open(p []byte) (plain []byte, ok bool)
}

// prototype is an end as spec 30 §5.4 describes it, written without the code
// under test. AES-256-GCM only.
type prototype struct {
	random      *rand.Rand
	n           uint32 // packets of an epoch, a power of two
	cntr, age   uint32
	phase       bool
	secret      []byte
	salt        []byte
	cur, prev   cipher.AEAD
	rotations   int
	gap         uint32 // age at the last rotation
	makesCipher func(secret []byte) cipher.AEAD
}

func newPrototype(t testing.TB, random *rand.Rand, n uint32) *prototype {
	p := &prototype{random: random, n: n, secret: testKey()}
	salt := sha256.Sum256(p.secret)
	p.salt = salt[:]
	p.makesCipher = func(secret []byte) cipher.AEAD {
		a, err := newAEAD(AES256GCM, secret)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	p.cur = p.makesCipher(p.secret)
	return p
}

func (p *prototype) rotate() {
	secret, err := hkdf.Key(sha256.New, p.secret, p.salt, "o7s-key-rotation", 32)
	if err != nil {
		panic(err)
	}
	p.secret = secret
	p.prev, p.cur = p.cur, p.makesCipher(secret)
	p.gap, p.age, p.phase = p.age, 0, !p.phase
	p.rotations++
}

func (p *prototype) seal(plain []byte) []byte {
	iv := make([]byte, 12, 12+len(plain)+16)
	for i := range iv {
		iv[i] = byte(p.random.Uint32())
	}
	iv[0] &^= 0x80
	bit := p.cntr & p.n
	if bit != 0 {
		iv[0] |= 0x80
	}
	out := p.cur.Seal(iv, iv, plain, nil)
	p.cntr++
	p.age++
	if p.cntr&p.n != bit {
		p.rotate()
	}
	if p.prev != nil && p.age >= p.n/2 {
		p.prev = nil
	}
	return out
}

func (p *prototype) open(b []byte) ([]byte, bool) {
	if len(b) < 28 {
		return nil, false
	}
	if (b[0]&0x80 != 0) != p.phase && p.age >= p.n/4*3 {
		p.rotate()
	}
	p.cntr++
	p.age++
	if plain, err := p.cur.Open(nil, b[:12], b[12:], nil); err == nil {
		return plain, true
	}
	if p.prev == nil {
		return nil, false
	}
	plain, err := p.prev.Open(nil, b[:12], b[12:], nil)
	return plain, err == nil
}

// hurried reports whether it rotated twice within the last n packets. Then it has
// forgotten the key of packets that are late by no more than that, and nothing
// that its peer does can help: it rotates both when told to and when its counter says so.
func (p *prototype) hurried(n int) bool { return p.rotations > 1 && int(p.gap+p.age) <= n }

// boxEnd is a Box as an end.
type boxEnd struct{ *Box }

func (e boxEnd) seal(plain []byte) []byte {
	batch := []*packet.Buffer{buffer(plain)}
	e.Seal(batch)
	sealed := append([]byte(nil), batch[0].Bytes()...)
	packet.ReleaseBatch(batch)
	return sealed
}

func (e boxEnd) open(sealed []byte) ([]byte, bool) {
	got := e.Open([]*packet.Buffer{buffer(sealed)})
	if len(got) == 0 {
		return nil, false
	}
	plain := append([]byte(nil), got[0].Bytes()...)
	packet.ReleaseBatch(got)
	return plain, true
}
