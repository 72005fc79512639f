// SPDX-License-Identifier: BSD-3-Clause

package kex

import (
	"bytes"
	"math/big"
	"testing"

	"o7gw/o7s/oap/digest"
)

// RFC 7919 defines the primes by the digits of e.
func TestPrimes(t *testing.T) {
	for _, c := range []struct {
		f    *finiteField
		bits uint
		x    int64
	}{{&ffdhe2048, 2048, 560316}, {&ffdhe3072, 3072, 2625351}, {&ffdhe4096, 4096, 5736041}} {
		one := big.NewInt(1)
		// e = 1/0! + 1/1! + 1/2! + …, in fixed point with 200 bits to spare.
		e, term := new(big.Int), new(big.Int).Lsh(one, c.bits+200)
		for k := int64(1); term.Sign() > 0; k++ {
			e.Add(e, term)
			term.Quo(term, big.NewInt(k))
		}
		e.Rsh(e, 330) // floor(2^(bits-130) · e)
		want := new(big.Int).Lsh(one, c.bits)
		want.Sub(want, new(big.Int).Lsh(one, c.bits-64))
		want.Add(want, e.Lsh(e.Add(e, big.NewInt(c.x)), 64))
		want.Sub(want, one)
		p := c.f.values().p
		if p.Cmp(want) != 0 {
			t.Errorf("prime of %d bits is %x", c.bits, p)
		}
		if !p.ProbablyPrime(0) || !new(big.Int).Rsh(p, 1).ProbablyPrime(0) {
			t.Errorf("%d bits: no safe prime", c.bits)
		}
	}
}

// A secret that begins with zero bytes is used without them.
func TestFFDHELeadingZero(t *testing.T) {
	// Found by trying; want is the length of the secret in bytes.
	for seed, want := range map[uint32]int{266: 255, 497: 255, 51965: 254} {
		client, server := bytes.NewReader(privateFrom(seed, 0)), bytes.NewReader(privateFrom(seed, 1))
		_, _, here, there := exchange(t, FFDHE2048, client, server)
		if len(here.secret) != want || len(there.secret) != want || here.secret[0] == 0 {
			t.Fatalf("seed %d: secrets of %d and %d bytes, want %d", seed, len(here.secret), len(there.secret), want)
		}
		a, err := here.Key(digest.SHA256)
		if err != nil {
			t.Fatal(err)
		}
		if b, err := there.Key(digest.SHA256); err != nil || !bytes.Equal(a, b) {
			t.Errorf("seed %d: keys %x and %x, %v", seed, a, b, err)
		}
	}
}

func privateFrom(seed, end uint32) []byte {
	return digest32(byte(end), byte(seed>>16), byte(seed>>8), byte(seed))
}

func digest32(b ...byte) []byte {
	h := digest.New(digest.SHA256)
	h.Write(b)
	return h.Sum(nil)
}
