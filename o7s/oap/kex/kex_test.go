// SPDX-License-Identifier: BSD-3-Clause

package kex

import (
	"bytes"
	"crypto/ecdh"
	"crypto/mlkem"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"o7gw/o7s/oap/digest"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// count returns n bytes that count from first.
func count(first byte, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = first + byte(i)
	}
	return b
}

// seeded gives the same bytes for the same seed.
func seeded(seed byte) io.Reader { return rand.NewChaCha8([32]byte{seed}) }

// exchange runs one exchange with given random bytes.
func exchange(t testing.TB, a Algorithm, client, server io.Reader) (offer, answer []byte, here, there *Secret) {
	t.Helper()
	k, err := Generate(a, client)
	if err != nil {
		t.Fatal(err)
	}
	offer = k.Public()
	p, err := ParsePublic(offer, a.Hybrid())
	if err != nil || p.Algorithm != a {
		t.Fatalf("%v became %+v, %v", a, p, err)
	}
	answer, there, err = p.Respond(server)
	if err != nil {
		t.Fatal(err)
	}
	if here, err = k.Finish(answer); err != nil {
		t.Fatal(err)
	}
	return offer, answer, here, there
}

// Spec 30 §6.13 (b) and (c).
func TestVectors(t *testing.T) {
	for _, v := range []struct {
		a                           Algorithm
		offer, answer, secret, salt string
		keys                        map[uint16]string
	}{
		{X25519,
			"302a300506032b656e032100 8f40c5adb68f25624ae5b214ea767a6ec94d829d3d7b5e1ad1ba6f3e2138285f",
			"302a300506032b656e032100 358072d6365880d1aeea329adf9121383851ed21a28e3b75e965d0d2cd166254",
			"9663aa1da97e848a914a436d04163dfbb89178f107f1b5b77ed3854203382854",
			"9f448cca6b44dc1fe3823fcf805e9b1f45fae83eab08fd85e7facaf600ca0372",
			map[uint16]string{digest.SHA256: "c77e955e944159145ec71d335c2eab23331f44417a2061cc76ce5e2241d1d330"}},
		{Prime256v1,
			`3059301306072a8648ce3d020106082a8648ce3d03010703420004 7a593180860c4037c83c12749845c8ee1424dd297fadcb895e358255d2c7d2b2
				a8ca25580f2626fe579062ff1b99ff91c24a0da06fb32b5be20148c9249f5650`,
			`3059301306072a8648ce3d020106082a8648ce3d03010703420004 c6559d416dfb56af714f146d917c24abf818b2fb121604129649848230a2d258
				b2a6d82dc6c6734cf092ffaa9fc012f10f7008d3952a08d5797e85feaba5d977`,
			"3bf93df2bbc3bbfc82a8afc49bf6025f85a9619bb95617a7f63f72c67306a77c",
			"8e9bca31912ba1d16d5923e1d3a1c646c77e12bd1b6cbcdb36f38ab354d4db5d",
			map[uint16]string{
				digest.SHA256:   "22e6e8749fd4912d25d145b42a244fc58b2dc3116cd56490933842509f85c1e3",
				digest.SHA512:   "67c778057716b686a25ee8cdc5ca2712e5ffc6277036cc54053880a1e444dc03",
				digest.SHA3_512: "92fa9430bc49e092946c8b0783e7c20b9529d1809426319706b27093915584c9",
			}},
	} {
		for kdf, want := range v.keys {
			offer, answer, here, there := exchange(t, v.a, bytes.NewReader(count(0, 32)), bytes.NewReader(count(0x20, 32)))
			if !bytes.Equal(offer, unhex(t, v.offer)) || !bytes.Equal(answer, unhex(t, v.answer)) {
				t.Fatalf("%v: offer %x, answer %x", v.a, offer, answer)
			}
			for _, s := range []*Secret{here, there} {
				if !bytes.Equal(s.secret, unhex(t, v.secret)) || !bytes.Equal(s.salt[:], unhex(t, v.salt)) {
					t.Errorf("%v: secret %x, salt %x", v.a, s.secret, s.salt)
				}
				raw := s.secret
				key, err := s.Key(kdf)
				if err != nil || !bytes.Equal(key, unhex(t, want)) {
					t.Errorf("%v, %s: key %x, %v", v.a, digest.Name(kdf), key, err)
				}
				if !bytes.Equal(raw, make([]byte, len(raw))) {
					t.Errorf("%v: the secret was not wiped", v.a)
				}
				if key, err := s.Key(kdf); err == nil {
					t.Errorf("%v: second key %x", v.a, key)
				}
			}
		}
	}
}

// Lengths of spec 30 §6.3 and §6.4: those on the wire, and of the secret.
func TestLengths(t *testing.T) {
	for i, c := range []struct {
		number                Algorithm
		name                  string
		offer, answer, secret int
		slack                 int // bytes that may lack
	}{
		{1126, "ffdhe2048", 553, 553, 256, 2},
		{415, "prime256v1", 91, 91, 32, 0},
		{1034, "X25519", 44, 44, 32, 0},
		{1127, "ffdhe3072", 809, 809, 384, 2},
		{715, "secp384r1", 120, 120, 48, 0},
		{1128, "ffdhe4096", 1065, 1065, 512, 2},
		{1035, "X448", 68, 68, 56, 0},
		{716, "secp521r1", 158, 158, 66, 0},
		{1454, "ML-KEM-512", 822, 768, 32, 0},
		{1455, "ML-KEM-768", 1206, 1088, 32, 0},
		{1456, "ML-KEM-1024", 1590, 1568, 32, 0},
		{2053, "X25519MLKEM768", 1216, 1120, 64, 0},
		{2054, "X448MLKEM1024", 1624, 1624, 88, 0},
	} {
		offer, answer, here, there := exchange(t, c.number, seeded(1), seeded(2))
		short := func(got, want int) bool { return got > want || got < want-c.slack }
		if short(len(offer), c.offer) || short(len(answer), c.answer) || short(len(here.secret), c.secret) {
			t.Errorf("%s: offer %d, answer %d, secret %d bytes", c.name, len(offer), len(answer), len(here.secret))
		}
		if !bytes.Equal(here.secret, there.secret) || here.salt != there.salt || here.info != there.info {
			t.Errorf("%s: %+v and %+v", c.name, here, there)
		}
		if kem := i >= 8; c.number.KEM() != kem || here.info != map[bool]string{false: infoDH, true: infoKEM}[kem] {
			t.Errorf("%s: KEM %v, info %q", c.name, c.number.KEM(), here.info)
		}
		if a, ok := ByName(c.name); !ok || a != c.number || a.String() != c.name || a.Rank() != i+1 || Names()[i] != c.name {
			t.Errorf("%s: %v, rank %d", c.name, a, a.Rank())
		}
		// The same random bytes give the same exchange.
		offer2, answer2, _, _ := exchange(t, c.number, seeded(1), seeded(2))
		if !bytes.Equal(offer, offer2) || !bytes.Equal(answer, answer2) {
			t.Errorf("%s is not deterministic", c.name)
		}
	}
	if len(Names()) != 13 {
		t.Errorf("%d algorithms", len(Names()))
	}
}

// The encoding is that of other libraries.
func TestEncodingAgrees(t *testing.T) {
	for a, c := range map[Algorithm]ecdh.Curve{
		Prime256v1: ecdh.P256(), X25519: ecdh.X25519(), Secp384r1: ecdh.P384(), Secp521r1: ecdh.P521(),
	} {
		k, err := Generate(a, seeded(3))
		if err != nil {
			t.Fatal(err)
		}
		public, err := x509.ParsePKIXPublicKey(k.Public())
		if err != nil {
			t.Fatalf("%v: %v", a, err)
		}
		if a != X25519 {
			public, err = public.(interface {
				ECDH() (*ecdh.PublicKey, error)
			}).ECDH()
			if err != nil {
				t.Fatal(err)
			}
		}
		if p := public.(*ecdh.PublicKey); p.Curve() != c || !p.Equal(k.key.(curveKey).private.PublicKey()) {
			t.Errorf("%v: %v", a, p)
		}
	}
}

// The standard library has two of the three ML-KEM sizes.
func TestMLKEMAgrees(t *testing.T) {
	seed := make([]byte, mlkem.SeedSize)
	seeded(4).Read(seed)
	std768, err := mlkem.NewDecapsulationKey768(seed)
	if err != nil {
		t.Fatal(err)
	}
	std1024, err := mlkem.NewDecapsulationKey1024(seed)
	if err != nil {
		t.Fatal(err)
	}
	for a, std := range map[Algorithm]struct {
		public      []byte
		decapsulate func([]byte) ([]byte, error)
		encapsulate func() (secret, ciphertext []byte)
	}{
		MLKEM768:  {std768.EncapsulationKey().Bytes(), std768.Decapsulate, std768.EncapsulationKey().Encapsulate},
		MLKEM1024: {std1024.EncapsulationKey().Bytes(), std1024.Decapsulate, std1024.EncapsulationKey().Encapsulate},
	} {
		k, err := Generate(a, bytes.NewReader(seed))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.HasSuffix(k.Public(), std.public) || len(k.Public()) != len(std.public)+22 {
			t.Errorf("%v: public keys differ", a)
		}
		p, err := ParsePublic(k.Public(), false)
		if err != nil {
			t.Fatal(err)
		}
		ciphertext, secret, err := p.Respond(seeded(5))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := std.decapsulate(ciphertext); err != nil || !bytes.Equal(got, secret.secret) {
			t.Errorf("%v: %v", a, err)
		}
		want, ciphertext := std.encapsulate()
		if got, err := k.Finish(ciphertext); err != nil || !bytes.Equal(got.secret, want) {
			t.Errorf("%v: %v", a, err)
		}
	}
}

// RFC 7748 §6.2.
func TestX448Vector(t *testing.T) {
	alice := unhex(t, `9a8f4925d1519f5775cf46b04b5800d4ee9ee8bae8bc5565d498c28d d9c9baf574a9419744897391006382a6f127ab1d9ac2d8c0a598726b`)
	bob := unhex(t, `1c306a7ac2a0e2e0990b294470cba339e6453772b075811d8fad0d1d 6927c120bb5ee8972b0d3e21374c9c921b09d1b0366f10b65173992d`)
	offer, answer, here, there := exchange(t, X448, bytes.NewReader(alice), bytes.NewReader(bob))
	if want := unhex(t, derToHex(derX448)+`9b08f7cc31b7e3e67d22d5aea121074a273bd2b83de09c63faa73d2c 22c5d9bbc836647241d953d40c5b12da88120d53177f80e532c41fa0`); !bytes.Equal(offer, want) {
		t.Errorf("offer %x", offer)
	}
	if want := unhex(t, derToHex(derX448)+`3eb7a829b0cd20f5bcfc0b599b6feccf6da4627107bdb0d4f345b430 27d8b972fc3e34fb4232a13ca706dcb57aec3dae07bdc1c67bf33609`); !bytes.Equal(answer, want) {
		t.Errorf("answer %x", answer)
	}
	want := unhex(t, `07fff4181ac6cc95ec1c16a94a0f74d12da232ce40a77552281d282b b60c0b56fd2464c335543936521c24403085d59a449a5037514a879d`)
	if !bytes.Equal(here.secret, want) || !bytes.Equal(there.secret, want) {
		t.Errorf("secrets %x and %x", here.secret, there.secret)
	}
}

func derToHex(s string) string { return hex.EncodeToString([]byte(s)) }

// The order of the parts of a hybrid: ML-KEM first, everywhere.
func TestHybridOrder(t *testing.T) {
	for a, parts := range map[Algorithm][2]Algorithm{X25519MLKEM768: {MLKEM768, X25519}, X448MLKEM1024: {MLKEM1024, X448}} {
		client, server := seeded(6), seeded(7)
		offer1, answer1, s1, _ := exchange(t, parts[0], client, server)
		offer2, answer2, s2, _ := exchange(t, parts[1], client, server)
		offer, answer, s, _ := exchange(t, a, seeded(6), seeded(7))
		if prefix := 22; !bytes.Equal(offer, join(offer1[prefix:], offer2[12:])) ||
			!bytes.Equal(answer, join(answer1, answer2[12:])) || !bytes.Equal(s.secret, join(s1.secret, s2.secret)) {
			t.Errorf("%v: not the parts in order", a)
		}
	}
}

// The smaller key comes first whichever end computes, the shorter of two equal
// beginnings too.
func TestSaltOrder(t *testing.T) {
	for _, c := range [][2]string{{"a", "b"}, {"a", "ab"}, {"ab", "b"}, {"\x7f", "\x80"}, {"", "a"}} {
		a, b := []byte(c[0]), []byte(c[1])
		if dhSalt(a, b) != dhSalt(b, a) {
			t.Errorf("%q: order matters", c)
		}
		h := digest.New(digest.SHA256)
		h.Write([]byte(c[0] + c[1]))
		if got := dhSalt(b, a); !bytes.Equal(got[:], h.Sum(nil)) {
			t.Errorf("%q: wrong order", c)
		}
	}
}

func TestKDFs(t *testing.T) {
	seen := make(map[string]string)
	for _, name := range digest.Names() {
		kdf, _ := digest.ByName(name)
		_, _, here, there := exchange(t, X25519, seeded(8), seeded(9))
		a, err := here.Key(kdf)
		if err != nil || len(a) != KeySize {
			t.Fatalf("%s: %d bytes, %v", name, len(a), err)
		}
		if b, err := there.Key(kdf); err != nil || !bytes.Equal(a, b) {
			t.Errorf("%s: keys differ, %v", name, err)
		}
		if other, ok := seen[string(a)]; ok {
			t.Errorf("%s and %s give the same key", name, other)
		}
		seen[string(a)] = name
	}
	_, _, s, _ := exchange(t, X25519, seeded(8), seeded(9))
	for _, kdf := range []uint16{0, 1096} {
		if _, err := s.Key(kdf); !errors.Is(err, errNoKDF) {
			t.Errorf("kdf %d: %v", kdf, err)
		}
	}
}

// No randomness, no key.
func TestRandomFails(t *testing.T) {
	for _, name := range Names() {
		a, _ := ByName(name)
		if _, err := Generate(a, bytes.NewReader(count(1, 16))); err == nil {
			t.Errorf("%s: key from 16 bytes", name)
		}
		k, err := Generate(a, seeded(1))
		if err != nil {
			t.Fatal(err)
		}
		p, err := ParsePublic(k.Public(), a.Hybrid())
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := p.Respond(bytes.NewReader(count(1, 16))); err == nil {
			t.Errorf("%s: answer from 16 bytes", name)
		}
	}
	zeros := bytes.NewReader(make([]byte, 1<<12))
	for _, a := range []Algorithm{Prime256v1, Secp384r1, Secp521r1, FFDHE2048} {
		if k, err := Generate(a, zeros); !errors.Is(err, errRandom) {
			t.Errorf("%v: %v, %v", a, k, err)
		}
	}
	if _, err := Generate(0, seeded(1)); err == nil {
		t.Error("key of no algorithm")
	}
	if got := Algorithm(7).String() + " " + Algorithm(0).String(); got != "key exchange 7 none" {
		t.Error(got)
	}
}
