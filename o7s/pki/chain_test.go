// SPDX-License-Identifier: BSD-3-Clause

package pki

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"strings"
	"testing"
	"time"
)

// subCA returns an intermediate authority, made by crypto/x509 or, with a
// post-quantum key above it, by this package.
func subCA(t testing.TB, above *Credentials, algorithm, name string) *Credentials {
	t.Helper()
	key := newKey(t, algorithm)
	tpl := template{name: name, pub: key.Public(), from: day.AddDate(0, 0, -2), until: day.AddDate(0, 0, 2), ca: true, issuer: above.Leaf, signer: above.Key}
	cert, err := tpl.issue(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return &Credentials{Cert: cert.Raw, Leaf: cert, Key: key}
}

// TestChains builds chains of two authorities, with every mixture of keys.
func TestChains(t *testing.T) {
	kinds := []string{"p256", "ed25519", "ml-dsa-44", "slh-dsa-sha2-128f"}
	for _, top := range kinds {
		root := newCA(t, top, "root")
		for _, middle := range kinds {
			sub := subCA(t, root, middle, "sub")
			leaf := newLeaf(t, sub, "p256", "leaf")
			full := NewStore(certs(root), certs(sub))
			verify := func(what string, s *Store, now time.Time, good bool) {
				t.Helper()
				if _, err := s.Verify(now, leaf.Cert); (err == nil) != good {
					t.Errorf("%s above %s, %s: %v", top, middle, what, err)
				}
			}
			verify("complete", full, day, true)
			verify("again", full, day, true)
			verify("leaf ended", full, day.AddDate(0, 0, 1).Add(time.Second), false)
			verify("leaf not begun", full, day.AddDate(0, 0, -1).Add(-time.Second), false)
			verify("no intermediate", NewStore(certs(root), nil), day, false)
			verify("no root", NewStore(nil, certs(root, sub)), day, false)
			verify("another root", NewStore(certs(newCA(t, "p256", "root")), certs(sub)), day, false)
			verify("both kinds of root", NewStore(certs(newCA(t, "ml-dsa-44", "root"), root), certs(sub)), day, true)
		}
	}
}

// TestChainDates: every certificate of a chain must be valid, also the
// authorities above, and after the leaf has verified.
func TestChainDates(t *testing.T) {
	for _, alg := range []string{"p256", "ml-dsa-44"} {
		root := newCA(t, alg, "root") // ends on the fifth day
		sub := subCA(t, root, alg, "sub")
		key := newKey(t, "p256")
		tpl := template{name: "x", pub: key.Public(), from: day, until: day.AddDate(1, 0, 0), issuer: sub.Leaf, signer: sub.Key}
		leaf, err := tpl.issue(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		s := NewStore(certs(root), certs(sub))
		for _, c := range []struct {
			now  time.Time
			good bool
		}{
			{day, true}, {day.AddDate(0, 0, 2), true}, {day.AddDate(0, 0, 2).Add(time.Second), false}, {day.AddDate(0, 0, 6), false},
			{day.Add(-time.Second), false}, {day, true},
		} {
			if _, err := s.Verify(c.now, leaf.Raw); (err == nil) != c.good {
				t.Errorf("%s on %v: %v", alg, c.now, err)
			}
		}
	}
}

// forged issues a certificate with whatever credentials and extensions.
func forged(t *testing.T, by *Credentials, subject *Credentials, name string, extensions ...pkix.Extension) *Credentials {
	t.Helper()
	public, err := marshalPublic(subject.Key.Public())
	if err != nil {
		t.Fatal(err)
	}
	tpl := template{name: name, from: day.AddDate(0, 0, -1), until: day.AddDate(0, 0, 1), issuer: by.Leaf, signer: by.Key}
	der, err := tpl.sign(rand.Reader, public, extensions)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &Credentials{Cert: der, Leaf: cert, Key: subject.Key}
}

func extension(t *testing.T, last int, critical bool, v any) pkix.Extension {
	t.Helper()
	der, err := asn1.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, last}, Critical: critical, Value: der}
}

// TestRestrictions: who may not issue, does not, whatever the kind of key.
func TestRestrictions(t *testing.T) {
	type constraints struct {
		CA  bool
		Len int `asn1:"optional,default:-1"`
	}
	isCA := extension(t, 19, true, constraints{true, -1})
	certSign := asn1.BitString{Bytes: []byte{0x06}, BitLength: 7}
	digitalSignature := asn1.BitString{Bytes: []byte{0x80}, BitLength: 1}
	for _, alg := range []string{"p256", "ml-dsa-44"} {
		root := newCA(t, alg, "root")
		key := newCA(t, alg, "key") // only its key is used
		for what, c := range map[string]struct {
			sub  []pkix.Extension
			leaf []pkix.Extension
			good bool
		}{
			"CA":                      {sub: []pkix.Extension{isCA}, good: true},
			"CA that signs":           {sub: []pkix.Extension{isCA, extension(t, 15, true, certSign)}, good: true},
			"no extension":            {},
			"leaf":                    {sub: []pkix.Extension{extension(t, 19, true, struct{}{})}},
			"CA that does not sign":   {sub: []pkix.Extension{isCA, extension(t, 15, true, digitalSignature)}},
			"CA for leafs":            {sub: []pkix.Extension{extension(t, 19, true, constraints{true, 0})}, good: true},
			"CA, unknown and vital":   {sub: []pkix.Extension{isCA, extension(t, 99, true, 1)}},
			"leaf, unknown and vital": {sub: []pkix.Extension{isCA}, leaf: []pkix.Extension{extension(t, 99, true, 1)}},
			"leaf, unknown":           {sub: []pkix.Extension{isCA}, leaf: []pkix.Extension{extension(t, 99, false, 1)}, good: true},
			"leaf, all purposes":      {sub: []pkix.Extension{isCA}, leaf: []pkix.Extension{extension(t, 15, true, digitalSignature)}, good: true},
		} {
			sub := forged(t, root, key, "sub", c.sub...)
			leaf := forged(t, sub, key, "leaf", c.leaf...)
			if _, err := NewStore(certs(root), certs(sub)).Verify(day, leaf.Cert); (err == nil) != c.good {
				t.Errorf("%s, %s: %v", alg, what, err)
			}
		}
		// One authority below one that allows none below it.
		above := forged(t, root, key, "above", extension(t, 19, true, constraints{true, 0}))
		below := forged(t, above, key, "below", isCA)
		leaf := forged(t, below, key, "leaf")
		if _, err := NewStore(certs(root), certs(above, below)).Verify(day, leaf.Cert); err == nil {
			t.Errorf("%s: an authority below one that allows none", alg)
		}
		// A good leaf, signed by another key of the same name.
		fake := newCA(t, alg, "root")
		leaf = newLeaf(t, fake, "p256", "leaf")
		if _, err := NewStore(certs(root), nil).Verify(day, leaf.Cert); err == nil {
			t.Errorf("%s: a false authority of the same name", alg)
		}
		// And with any byte changed.
		leaf = newLeaf(t, root, "p256", "leaf")
		s := NewStore(certs(root), nil)
		for i := range leaf.Cert {
			der := append([]byte{}, leaf.Cert...)
			der[i] ^= 0x10
			if _, err := s.Verify(day, der); err == nil {
				t.Errorf("%s: byte %d of the certificate does not matter", alg, i)
			}
		}
	}
	if _, err := Issue(rand.Reader, newLeaf(t, newCA(t, "p256", "root"), "p256", "leaf"), newKey(t, "p256").Public(), "victim", day, day.AddDate(0, 0, 1)); err == nil {
		t.Error("issued with a leaf")
	}
}

// TestNameConstraints are none of ours to judge where crypto/x509 does not, so
// nothing below them verifies.
func TestNameConstraints(t *testing.T) {
	root := newCA(t, "ml-dsa-44", "root")
	type subtree struct {
		Name string `asn1:"tag:2,ia5"`
	}
	c := extension(t, 30, false, struct {
		Permitted []subtree `asn1:"tag:0"`
	}{[]subtree{{"example.org"}}})
	sub := forged(t, root, newCA(t, "p256", "key"), "sub", extension(t, 19, true, struct{ CA bool }{true}), c)
	leaf := newLeaf(t, sub, "p256", "leaf")
	if _, err := NewStore(certs(root), certs(sub)).Verify(day, leaf.Cert); err == nil || !strings.Contains(err.Error(), "extension") {
		t.Error(err)
	}
}

// TestCircles: authorities that vouch for each other, and very many of one
// name, end in an error, soon.
func TestCircles(t *testing.T) {
	isCA := extension(t, 19, true, struct{ CA bool }{true})
	a, b := newCA(t, "ml-dsa-44", "a"), newCA(t, "ml-dsa-44", "b")
	ab, ba := forged(t, a, b, "b", isCA), forged(t, b, a, "a", isCA)
	leaf := newLeaf(t, ab, "p256", "leaf")
	if _, err := NewStore(nil, certs(ab, ba)).Verify(day, leaf.Cert); err == nil {
		t.Error("a circle verified")
	}
	var same []*Credentials
	for range 100 {
		same = append(same, forged(t, a, a, "a", isCA))
	}
	leaf = newLeaf(t, a, "p256", "leaf")
	if _, err := NewStore(nil, certs(same...)).Verify(day, leaf.Cert); err == nil || !strings.Contains(err.Error(), "too many") {
		t.Error(err)
	}
	top := newCA(t, "ml-dsa-44", "0")
	last, chain := top, []*Credentials(nil)
	for i := range maxChain {
		last = subCA(t, last, "ml-dsa-44", string(rune('1'+i)))
		chain = append(chain, last)
	}
	leaf = newLeaf(t, last, "p256", "leaf")
	if _, err := NewStore(certs(top), certs(chain...)).Verify(day, leaf.Cert); err == nil || !strings.Contains(err.Error(), "too long") {
		t.Error(err)
	}
}

// TestOldSignatures: what crypto/x509 holds to be weak stays so beside a
// post-quantum authority.
func TestOldSignatures(t *testing.T) {
	root := newCA(t, "p256", "root")
	tpl := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: day.AddDate(0, 0, -1), NotAfter: day.AddDate(0, 0, 1), SignatureAlgorithm: x509.ECDSAWithSHA1}
	key := newKey(t, "p256").(*ecdsa.PrivateKey)
	der, err := x509.CreateCertificate(rand.Reader, tpl, root.Leaf, &key.PublicKey, root.Key)
	if err != nil {
		t.Skip(err) // crypto/x509 no longer makes them
	}
	if _, err := NewStore(certs(root, newCA(t, "ml-dsa-44", "root")), nil).Verify(day, der); err == nil {
		t.Error("a certificate signed with SHA-1 verified")
	}
}
