// SPDX-License-Identifier: BSD-3-Clause

package pki

import (
	"bytes"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"fmt"
	"math/big"
	"strings"
	"sync"
	"testing"
)

func certs(list ...*Credentials) []*x509.Certificate {
	out := make([]*x509.Certificate, len(list))
	for i, c := range list {
		out[i] = c.Leaf
	}
	return out
}

// TestCapturePKI verifies the certificates that the prototypes of the captures
// had: leafs of version 1 without extensions.
func TestCapturePKI(t *testing.T) {
	s := NewStore([]*x509.Certificate{readCert(t, "ca.pem")}, nil)
	for _, name := range []string{"auth", "op"} {
		leaf := readCert(t, name+".pem")
		if leaf.Version != 1 || len(leaf.Extensions) > 0 {
			t.Fatalf("%s has version %d", name, leaf.Version)
		}
		got, err := s.Verify(day, leaf.Raw)
		if err != nil {
			t.Fatal(err)
		}
		if Name(got) != name || !bytes.Equal(got.Raw, leaf.Raw) {
			t.Errorf("name %q, want %q", Name(got), name)
		}
	}
	if _, err := s.Verify(readCert(t, "op.pem").NotAfter.AddDate(0, 0, 1), readCert(t, "op.pem").Raw); err == nil {
		t.Error("verified after its end")
	}
}

// TestCache: a leaf is verified once, a failure every time, and there is a
// bound.
func TestCache(t *testing.T) {
	ca := newCA(t, "p256", "ca")
	s := NewStore(certs(ca), nil)
	leaf := newLeaf(t, ca, "p256", "x")
	first, err := s.Verify(day, leaf.Cert)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := s.Verify(day, leaf.Cert); err != nil || again != first {
		t.Errorf("verified again: %v", err)
	}
	if _, err := s.Verify(day.AddDate(0, 0, 3), leaf.Cert); err == nil {
		t.Error("remembered beyond its end")
	}
	stranger := newLeaf(t, newCA(t, "p256", "ca"), "p256", "x")
	for range 2 {
		if _, err := s.Verify(day, stranger.Cert); err == nil {
			t.Error("a stranger verified")
		}
	}
	if len(s.verified) != 1 {
		t.Errorf("%d remembered, want 1", len(s.verified))
	}
	for i := range maxVerified + 10 {
		s.remember(fingerprint{byte(i), byte(i >> 8), 1}, verdict{})
	}
	if len(s.verified) != maxVerified || len(s.order) != maxVerified {
		t.Errorf("%d and %d remembered, want %d", len(s.verified), len(s.order), maxVerified)
	}
	if again, err := s.Verify(day, leaf.Cert); err != nil || again == first {
		t.Errorf("the oldest is remembered still: %v", err)
	}
	s.remember(fingerprint{1}, verdict{})
	s.remember(fingerprint{1}, verdict{})
	if len(s.verified) != maxVerified {
		t.Errorf("%d remembered, want %d", len(s.verified), maxVerified)
	}
}

func TestConcurrentVerify(t *testing.T) {
	ca := newCA(t, "p256", "ca")
	s := NewStore(certs(ca), nil)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			leaf := newLeaf(t, ca, "p256", fmt.Sprint(i%3))
			for range 20 {
				if c, err := s.Verify(day, leaf.Cert); err != nil || Name(c) != fmt.Sprint(i%3) {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

// TestName: only the one common name of the subject counts.
func TestName(t *testing.T) {
	ca := newCA(t, "p256", "ca")
	cn := func(s string) pkix.AttributeTypeAndValue {
		return pkix.AttributeTypeAndValue{Type: oidCommonName, Value: s}
	}
	organisation := pkix.AttributeTypeAndValue{Type: asn1.ObjectIdentifier{2, 5, 4, 10}, Value: "x, CN=victim"}
	for _, c := range []struct {
		attrs []pkix.AttributeTypeAndValue
		want  string
	}{
		{nil, ""},
		{[]pkix.AttributeTypeAndValue{cn("shop")}, "shop"},
		{[]pkix.AttributeTypeAndValue{organisation, cn("shop")}, "shop"},
		{[]pkix.AttributeTypeAndValue{organisation}, ""},
		{[]pkix.AttributeTypeAndValue{cn("shop"), cn("victim")}, ""},
		{[]pkix.AttributeTypeAndValue{cn("a,b/c CN=d")}, "a,b/c CN=d"},
		{[]pkix.AttributeTypeAndValue{cn("zö")}, "zö"},
	} {
		tpl := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: day, NotAfter: day.AddDate(0, 0, 1), DNSNames: []string{"victim"}}
		tpl.Subject.ExtraNames = c.attrs
		der, err := x509.CreateCertificate(rand.Reader, tpl, ca.Leaf, ca.Key.Public(), ca.Key)
		if err != nil {
			t.Fatal(err)
		}
		cert, err := NewStore(certs(ca), nil).Verify(day, der)
		if err != nil {
			t.Fatal(err)
		}
		if got := Name(cert); got != c.want {
			t.Errorf("%v: name %q, want %q", c.attrs, got, c.want)
		}
	}
}

func TestParseCertificate(t *testing.T) {
	ca := newCA(t, "p256", "ca")
	file := MarshalCertificate(ca.Leaf)
	key, err := MarshalKey(ca.Key)
	if err != nil {
		t.Fatal(err)
	}
	other := MarshalCertificate(newCA(t, "p256", "other").Leaf)
	for _, f := range [][]byte{file, append([]byte("some text\n"), file...), append(bytes.Clone(key), file...), append(bytes.Clone(file), other...)} {
		if cert, err := ParseCertificate(f); err != nil || Name(cert) != "ca" {
			t.Errorf("%v of\n%s", err, f)
		}
	}
	for _, f := range [][]byte{nil, []byte("text"), key, ca.Cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.Cert[1:]})} {
		if _, err := ParseCertificate(f); err == nil {
			t.Errorf("a certificate in\n%s", f)
		}
	}
}

func TestIssueErrors(t *testing.T) {
	ca := newCA(t, "p256", "ca")
	for name, ok := range map[string]bool{"x": true, strings.Repeat("x", 255): true, "": false, strings.Repeat("x", 256): false, "a\x00b": false, "\xff": false} {
		if _, err := Issue(rand.Reader, ca, ca.Key.Public(), name, day, day.AddDate(0, 0, 1)); (err == nil) != ok {
			t.Errorf("name %q: %v", name, err)
		}
	}
	// A leaf ends with its authority, and never begins after that.
	cert, err := Issue(rand.Reader, ca, ca.Key.Public(), "x", day.AddDate(-1, 0, 0), day.AddDate(1, 0, 0))
	if err != nil || !cert.NotAfter.Equal(ca.Leaf.NotAfter) || !cert.NotBefore.Equal(ca.Leaf.NotBefore) {
		t.Errorf("valid from %v to %v, %v", cert.NotBefore, cert.NotAfter, err)
	}
	if _, err := Issue(rand.Reader, ca, ca.Key.Public(), "x", day.AddDate(1, 0, 0), day.AddDate(2, 0, 0)); err == nil {
		t.Error("issued by an authority that has ended")
	}
	if _, err := Issue(rand.Reader, &Credentials{Leaf: ca.Leaf, Key: newKey(t, "p256")}, ca.Key.Public(), "x", day, day.AddDate(0, 0, 1)); err == nil {
		t.Error("issued with another key than that of the authority")
	}
	if _, err := GenerateKey(rand.Reader, "rot13"); err == nil || !strings.Contains(err.Error(), "p256") {
		t.Error(err)
	}
	// Beyond 2049 dates have another form.
	far, err := NewCA(rand.Reader, ca.Key, "far", day, day.AddDate(90, 0, 0))
	if err != nil || far.Leaf.NotAfter.Year() != 2116 {
		t.Errorf("%v", err)
	}
}
