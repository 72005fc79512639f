// SPDX-License-Identifier: BSD-3-Clause

package cli

import (
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"o7gw/o7s/pki"
	"o7gw/o7s/security/layout"
)

// The commands irm pki make and look at certificates. They need no daemon: they
// write the files where it finds them at the next flow.

const (
	dirAuthority  = "ca" // of the key of a CA, in the security directory
	defaultCAName = "Ouroboros CA"
	defaultCADays = 3650
	defaultDays   = 365
	maxDays       = 36500
	// backdate lets peers whose clock is behind accept a new certificate.
	backdate = time.Hour
)

// pkiObject is the row of the table of commands.
var pkiObject = object{name: "pki", ops: []operation{
	{name: "ca", run: (*call).pkiCA},
	{name: "issue", run: (*call).pkiIssue},
	{name: "show", run: (*call).pkiShow, json: true},
	{name: "verify", run: (*call).pkiVerify, json: true},
	{name: "help", run: (*call).printUsage},
}}

// pkiWords is scan for keywords that may be written as options too: "--days 9",
// "--days=9".
func (c *call) pkiWords(args []string, kws []keyword) (words, error) {
	var plain []string
	for _, a := range args {
		option, ok := strings.CutPrefix(a, "--")
		if !ok {
			plain = append(plain, a)
			continue
		}
		key, value, inline := strings.Cut(option, "=")
		plain = append(plain, key)
		if inline {
			plain = append(plain, value)
		}
	}
	return c.scan(plain, kws)
}

// securityDir returns where the files belong.
func securityDir(w words) (string, error) {
	if !w.has("dir") {
		return layout.DefaultDir(), nil // that of an irmd of the same user
	}
	if w.last("dir") == "" {
		return "", failf("irm: the directory is empty.")
	}
	return filepath.Abs(w.last("dir"))
}

// validity returns the time for which a new certificate is good.
func (c *call) validity(w words, days int) (from, until time.Time, err error) {
	if w.has("days") {
		if days, err = strconv.Atoi(w.last("days")); err != nil || days < 1 || days > maxDays {
			return from, until, c.misuse("%q is no number of days from 1 to %d.", w.last("days"), maxDays)
		}
	}
	now := time.Now()
	return now.Add(-backdate), now.AddDate(0, 0, days), nil
}

func (c *call) algorithm(w words) (string, error) {
	if !w.has("alg") {
		return pki.DefaultAlgorithm, nil
	}
	alg := strings.ToLower(w.last("alg"))
	if !slices.Contains(pki.Algorithms(), alg) {
		return "", c.misuse(`Unknown alg: "%s".`, w.last("alg"))
	}
	return alg, nil
}

// pkiCA makes a certificate authority.
func (c *call) pkiCA(args []string) error {
	w, err := c.pkiWords(args, append(values("name", "days", "alg", "dir"), keyword{name: "force", flag: true}))
	if err != nil {
		return err
	}
	dir, err := securityDir(w)
	if err != nil {
		return err
	}
	name := defaultCAName
	if w.has("name") {
		name = w.last("name")
	}
	from, until, err := c.validity(w, defaultCADays)
	if err != nil {
		return err
	}
	alg, err := c.algorithm(w)
	if err != nil {
		return err
	}
	files := pair(filepath.Join(dir, dirAuthority), w.has("force"), 0o700)
	if err := files.free(); err != nil {
		return refused(err)
	}
	key, err := pki.GenerateKey(rand.Reader, alg)
	if err != nil {
		return refused(err)
	}
	ca, err := pki.NewCA(rand.Reader, key, name, from, until)
	if err != nil {
		return refused(err)
	}
	if err := files.write(c, ca); err != nil {
		return refused(err)
	}
	return c.installCA(dir, ca.Leaf)
}

// installCA puts the certificate of a CA among those that are trusted.
func (c *call) installCA(dir string, ca *x509.Certificate) error {
	path := filepath.Join(dir, pki.DirCA, "ca-"+fingerprint(ca)[:16]+".pem")
	if _, err := os.Lstat(path); err == nil {
		return nil // and the directory does not change, which a daemon would notice
	}
	err := createFile(path, pki.MarshalCertificate(ca), 0o644, 0o755, false)
	switch {
	case errors.Is(err, fs.ErrExist): // of this very certificate
		return nil
	case err != nil:
		return refused(err)
	}
	c.printf("%s\n", path)
	return nil
}

// pkiIssue makes a key, and a certificate that binds a name to it.
func (c *call) pkiIssue(args []string) error {
	if len(args) == 0 {
		return c.misuse("The name is missing.")
	}
	name := args[0]
	if strings.HasPrefix(name, "--") { // a forgotten name, not one to make a certificate for
		return c.misuse("The name must come first.")
	}
	w, err := c.pkiWords(args[1:], append(values("client", "days", "alg", "dir", "ca"), keyword{name: "force", flag: true}))
	if err != nil {
		return err
	}
	dir, err := securityDir(w)
	if err != nil {
		return err
	}
	// A server is found by its name, a client by that of the server it calls.
	side, of := layout.Server, name
	if w.has("client") {
		side, of = layout.Client, w.last("client")
	}
	home, place := layout.Dir(dir, side, of)
	switch {
	case name == "":
		return c.misuse("The name is empty.")
	case len(name) > maxName || len(of) > maxName:
		return c.misuse("Name too long.")
	case !place:
		return failf("irm: %q cannot be the name of a directory, so there is no place for its certificate.", of)
	}
	from, until, err := c.validity(w, defaultDays)
	if err != nil {
		return err
	}
	alg, err := c.algorithm(w)
	if err != nil {
		return err
	}
	authority := filepath.Join(dir, dirAuthority)
	if w.has("ca") {
		authority = w.last("ca")
	}
	files := pair(home, w.has("force"), 0o755)
	if err := files.free(); err != nil {
		return refused(err)
	}
	ca, err := pki.LoadCredentials(filepath.Join(authority, layout.Cert), filepath.Join(authority, layout.Key))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return failf("irm: there is no certificate authority in %s, make one with \"irm pki ca\": %w", authority, err)
	case err != nil:
		return refused(err)
	}
	key, err := pki.GenerateKey(rand.Reader, alg)
	if err != nil {
		return refused(err)
	}
	cert, err := pki.Issue(rand.Reader, ca, key.Public(), name, from, until)
	if err != nil {
		return refused(err)
	}
	if strings.ContainsAny(name, ",/") {
		c.warn("irm: the prototype takes %q for the name %q only up to its first comma or slash.", name, name[:strings.IndexAny(name, ",/")])
	}
	if until.After(cert.NotAfter.Add(time.Second)) {
		c.warn("irm: the certificate ends with that of its CA, %s.", cert.NotAfter.UTC().Format(time.RFC3339))
	}
	if err := c.warnOfSize(cert, key); err != nil {
		return err
	}
	if err := files.write(c, &pki.Credentials{Cert: cert.Raw, Leaf: cert, Key: key}); err != nil {
		return refused(err)
	}
	return c.installCA(dir, ca.Leaf)
}

// maxPortable is how many bytes of certificate and signature every layer
// carries, with room for the rest of the message and a key exchange.
const maxPortable = 1200

// warnOfSize tells of a certificate that many layers cannot carry.
func (c *call) warnOfSize(cert *x509.Certificate, key crypto.Signer) error {
	sig, err := pki.Sign(rand.Reader, key, 0, nil)
	if err != nil {
		return refused(err)
	}
	if size := len(cert.Raw) + len(sig); size > maxPortable {
		c.warn("irm: certificate and signature have %d bytes; a whole request has at most 2048 in udp and unicast layers, and those of a frame in eth layers.", size)
	}
	return nil
}

// fingerprint is what people compare over the phone.
func fingerprint(cert *x509.Certificate) string {
	sum := sha256.Sum256(cert.Raw)
	return hex.EncodeToString(sum[:])
}
