// SPDX-License-Identifier: BSD-3-Clause

package pki

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"encoding/json"
	"encoding/pem"
	"os"
	"os/exec"
	"strings"
	"testing"

	"filippo.io/mldsa"
	"github.com/cloudflare/circl/sign/slhdsa"
)

// TestKeyFiles writes and reads keys of all kinds.
func TestKeyFiles(t *testing.T) {
	for _, alg := range Algorithms() {
		if slow(alg) {
			continue
		}
		key := newKey(t, alg)
		file, err := MarshalKey(key)
		if err != nil {
			t.Fatal(err)
		}
		got, err := ParseKey(file)
		if err != nil {
			t.Fatalf("%s: %v", alg, err)
		}
		if !sameKey(got.Public(), key.Public()) || AlgorithmOf(got.Public()) != alg {
			t.Errorf("%s: read another key, %s", alg, AlgorithmOf(got.Public()))
		}
	}
}

// TestOldKeyFiles reads what older programs write.
func TestOldKeyFiles(t *testing.T) {
	ec, rsaKey := newKey(t, "p256").(*ecdsa.PrivateKey), newKey(t, "rsa2048").(*rsa.PrivateKey)
	sec1, err := x509.MarshalECPrivateKey(ec)
	if err != nil {
		t.Fatal(err)
	}
	parameters := pem.EncodeToMemory(&pem.Block{Type: "EC PARAMETERS", Bytes: []byte("\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07")})
	for _, c := range []struct {
		what string
		file []byte
		want any
	}{
		{"EC with parameters", append(parameters, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: sec1})...), &ec.PublicKey},
		{"RSA", pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(rsaKey)}), &rsaKey.PublicKey},
	} {
		if key, err := ParseKey(c.file); err != nil || !sameKey(key.Public(), c.want) {
			t.Errorf("%s: %v", c.what, err)
		}
	}
	for what, file := range map[string]string{
		"encrypted": string(pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: sec1})),
		"old encryption": string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: sec1,
			Headers: map[string]string{"Proc-Type": "4,ENCRYPTED", "DEK-Info": "AES-128-CBC,00"}})),
	} {
		if _, err := ParseKey([]byte(file)); err == nil || !strings.Contains(err.Error(), "encrypted") {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// mldsaVector was made by another implementation, that of OpenSSL 4.0, of the
// seed 00 01 … 1f.
type mldsaVector struct {
	Algorithm, Key, Message string
	Public, Signature       []byte
}

func mldsaVectors(t *testing.T) (list []mldsaVector) {
	t.Helper()
	data, err := os.ReadFile("testdata/mldsa.json")
	if err == nil {
		err = json.Unmarshal(data, &list)
	}
	if err != nil || len(list) != 3 {
		t.Fatalf("%d vectors, %v", len(list), err)
	}
	return list
}

func TestMLDSAVectors(t *testing.T) {
	for _, v := range mldsaVectors(t) {
		key, err := ParseKey([]byte(v.Key))
		if err != nil {
			t.Fatal(err)
		}
		if AlgorithmOf(key.Public()) != v.Algorithm {
			t.Errorf("%s: read as %s", v.Algorithm, AlgorithmOf(key.Public()))
		}
		if der, err := marshalPublic(key.Public()); err != nil || !bytes.Equal(der, v.Public) {
			t.Errorf("%s: another public key, %v", v.Algorithm, err)
		}
		if file, err := MarshalKey(key); err != nil || string(file) != v.Key {
			t.Errorf("%s: written as\n%s%v", v.Algorithm, file, err)
		}
		pub, err := parsePublic(v.Public)
		if err != nil {
			t.Fatal(err)
		}
		if err := check(pub, 0, []byte(v.Message), v.Signature); err != nil {
			t.Errorf("%s: %v", v.Algorithm, err)
		}
	}
}

// TestMLDSAForms: a key may come with its seed, expanded or both; a seed is
// needed.
func TestMLDSAForms(t *testing.T) {
	key := newKey(t, "ml-dsa-44").(*mldsa.PrivateKey)
	wrap := func(content []byte, err error) []byte {
		if err != nil {
			t.Fatal(err)
		}
		der, err := asn1.Marshal(pkcs8{Algorithm: algorithmID{Algorithm: postQuantumOID(mldsa44)}, PrivateKey: content})
		if err != nil {
			t.Fatal(err)
		}
		return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	}
	seed, expanded := key.Bytes(), make([]byte, 2560)
	both := wrap(asn1.Marshal(struct{ Seed, Expanded []byte }{seed, expanded}))
	if got, err := ParseKey(both); err != nil || !key.Equal(got) {
		t.Errorf("both: %v", err)
	}
	for what, file := range map[string][]byte{
		"expanded":       wrap(asn1.Marshal(expanded)),
		"short seed":     wrap(append([]byte{0x80, 31}, seed[:31]...), nil),
		"trailing bytes": wrap(append(append([]byte{0x80, 32}, seed...), 0), nil),
		"nothing":        wrap(nil, nil),
		"wrong sequence": wrap([]byte{0x30, 0}, nil),
		"wrong class":    wrap(append([]byte{0xa0, 32}, seed...), nil),
	} {
		if _, err := ParseKey(file); err == nil {
			t.Errorf("%s: accepted", what)
		}
	}
}

// TestIdentifiers are those of the NIST (2.16.840.1.101.3.4.3), which
// certificates in the world carry.
func TestIdentifiers(t *testing.T) {
	for name, last := range map[string]int{
		"SLH-DSA-SHA2-128s": 20, "SLH-DSA-SHA2-128f": 21, "SLH-DSA-SHA2-192s": 22, "SLH-DSA-SHA2-192f": 23,
		"SLH-DSA-SHA2-256s": 24, "SLH-DSA-SHA2-256f": 25, "SLH-DSA-SHAKE-128s": 26, "SLH-DSA-SHAKE-128f": 27,
		"SLH-DSA-SHAKE-192s": 28, "SLH-DSA-SHAKE-192f": 29, "SLH-DSA-SHAKE-256s": 30, "SLH-DSA-SHAKE-256f": 31,
	} {
		id, err := slhdsa.IDByName(name)
		if err != nil {
			t.Fatal(err)
		}
		if got, ok := slhdsaByOID(postQuantumOID(last)); !ok || got != id {
			t.Errorf("%d is %v, want %s", last, got, name)
		}
		if oid, ok := postQuantum(slhdsa.PublicKey{ID: id}); !ok || !oid.Equal(postQuantumOID(last)) {
			t.Errorf("%s is %v, want %d", name, oid, last)
		}
	}
	for _, oid := range []asn1.ObjectIdentifier{nil, {17}, {1, 2, 840, 1, 101, 3, 4, 3, 17}, postQuantumOID(16), postQuantumOID(32)} {
		_, a := mldsaByOID(oid)
		_, b := slhdsaByOID(oid)
		if a || b {
			t.Errorf("%v is known", oid)
		}
	}
}

// TestOpenSSLSignatures has openssl check ours, and checks those of openssl.
func TestOpenSSLSignatures(t *testing.T) {
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip("openssl is not installed")
	}
	openssl := func(args ...string) {
		t.Helper()
		if out, err := exec.Command("openssl", args...).CombinedOutput(); err != nil {
			t.Errorf("openssl %v: %v\n%s", args, err, out)
		}
	}
	for _, alg := range []string{"p256", "rsa2048"} {
		for _, md := range allDigests[1:] {
			name := map[uint16]string{672: "sha256", 673: "sha384", 674: "sha512", 1056: "blake2b512", 1057: "blake2s256",
				1097: "sha3-256", 1098: "sha3-384", 1099: "sha3-512"}[md]
			if alg == "rsa2048" && strings.HasPrefix(name, "blake") {
				continue
			}
			dir := t.TempDir()
			ca := newCA(t, alg, "x")
			msg := []byte("a request to allocate a flow")
			sig, err := Sign(rand.Reader, ca.Key, md, msg)
			key, err2 := MarshalKey(ca.Key)
			pub, err3 := marshalPublic(ca.Key.Public())
			if err != nil || err2 != nil || err3 != nil {
				t.Fatal(err, err2, err3)
			}
			for file, data := range map[string][]byte{"/sig": sig, "/key": key, "/msg": msg,
				"/pub": pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: pub})} {
				if err := os.WriteFile(dir+file, data, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			openssl("dgst", "-"+name, "-verify", dir+"/pub", "-signature", dir+"/sig", dir+"/msg")
			openssl("dgst", "-"+name, "-sign", dir+"/key", "-out", dir+"/theirs", dir+"/msg")
			theirs, err := os.ReadFile(dir + "/theirs")
			if err != nil {
				t.Fatal(err)
			}
			if err := CheckSignature(ca.Leaf, md, msg, theirs); err != nil {
				t.Errorf("%s with %s by openssl: %v", alg, name, err)
			}
		}
	}
}
