// SPDX-License-Identifier: BSD-3-Clause

package cli

import (
	"crypto/x509"
	"fmt"
	"time"

	"o7gw/o7s/pki"
)

type jsonCertificate struct {
	File       string    `json:"file"`
	Name       string    `json:"name"` // that it speaks for; empty: none
	Subject    string    `json:"subject"`
	Issuer     string    `json:"issuer"`
	Serial     string    `json:"serial"` // hexadecimal
	From       time.Time `json:"valid_from"`
	Until      time.Time `json:"valid_until"`
	Key        string    `json:"key"`
	Signature  string    `json:"signature"`
	Version    int       `json:"version"`
	CA         bool      `json:"ca"`
	SelfSigned bool      `json:"self_signed"`
	SHA256     string    `json:"sha256"` // hexadecimal, of the DER
	Size       int       `json:"size"`   // bytes of DER
}

func certificateJSON(file string, cert *x509.Certificate) jsonCertificate {
	key := "unknown"
	if pub, err := pki.PublicKey(cert); err == nil {
		key = pki.AlgorithmOf(pub)
	}
	return jsonCertificate{
		File: file, Name: pki.Name(cert), Subject: cert.Subject.String(), Issuer: cert.Issuer.String(),
		Serial: fmt.Sprintf("%x", cert.SerialNumber), From: cert.NotBefore.UTC(), Until: cert.NotAfter.UTC(),
		Key: key, Signature: pki.SignatureAlgorithm(cert), Version: cert.Version, CA: cert.BasicConstraintsValid && cert.IsCA,
		SelfSigned: pki.SelfSigned(cert), SHA256: fingerprint(cert), Size: len(cert.Raw),
	}
}

func readCertificate(file string) (*x509.Certificate, error) {
	data, _, err := pki.ReadFile(file)
	if err != nil {
		return nil, refused(err)
	}
	cert, err := pki.ParseCertificate(data)
	if err != nil {
		return nil, failf("irm: %s: %w", file, err)
	}
	return cert, nil
}

// pkiShow prints what a certificate says.
func (c *call) pkiShow(args []string) error {
	if len(args) != 1 {
		return c.misuse("Exactly one file is needed.")
	}
	cert, err := readCertificate(args[0])
	if err != nil {
		return err
	}
	j := certificateJSON(args[0], cert)
	if c.json {
		return c.printJSON(j)
	}
	line := func(label, text string) { c.printf("%-12s %s\n", label+":", printable(text)) }
	line("name", j.Name)
	line("subject", j.Subject)
	line("issuer", j.Issuer)
	line("serial", j.Serial)
	line("valid from", j.From.Format(time.RFC3339))
	line("valid until", j.Until.Format(time.RFC3339))
	line("key", j.Key)
	line("signature", j.Signature)
	switch {
	case j.CA && j.SelfSigned:
		line("role", "root certificate authority")
	case j.CA:
		line("role", "intermediate certificate authority")
	case j.SelfSigned:
		line("role", "self-signed, no authority")
	default:
		line("role", "leaf")
	}
	line("version", fmt.Sprint(j.Version))
	line("sha256", j.SHA256)
	line("size", fmt.Sprintf("%d bytes", j.Size))
	return nil
}

type jsonVerdict struct {
	File  string `json:"file"`
	Name  string `json:"name"`
	OK    bool   `json:"ok"`
	Error string `json:"error"` // empty if ok
}

// pkiVerify does what a peer does with a certificate.
func (c *call) pkiVerify(args []string) error {
	if len(args) == 0 {
		return c.misuse("The file is missing.")
	}
	w, err := c.pkiWords(args[1:], values("name", "dir"))
	if err != nil {
		return err
	}
	dir, err := securityDir(w)
	if err != nil {
		return err
	}
	cert, err := readCertificate(args[0])
	if err != nil {
		return err
	}
	store, bad := pki.LoadStore(dir)
	if bad != nil {
		c.warn("irm: %v", bad)
	}
	_, err = store.Verify(time.Now(), cert.Raw)
	name := pki.Name(cert)
	if err == nil && w.has("name") && w.last("name") != name {
		err = fmt.Errorf("it is the certificate of %q, not of %q", name, w.last("name"))
	}
	verdict := jsonVerdict{File: args[0], Name: name, OK: err == nil}
	if err != nil {
		verdict.Error = err.Error()
		err = failf("irm: %s: %w", args[0], err)
	}
	if c.json {
		if e := c.printJSON(verdict); e != nil {
			return e
		}
	} else if err == nil {
		c.printf("%s: good for %q until %s\n", printable(args[0]), name, cert.NotAfter.UTC().Format(time.RFC3339))
	}
	return err
}
