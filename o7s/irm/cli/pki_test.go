// SPDX-License-Identifier: BSD-3-Clause

package cli

import (
	"encoding/json"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"o7gw/o7s/pki"
)

// pkiRun runs "irm pki" without a daemon and expects success.
func pkiRun(t *testing.T, args ...string) string {
	t.Helper()
	r := irmOn(nil, append([]string{"pki"}, args...)...)
	if r.code != success {
		t.Fatalf("irm pki %q: %v", args, r)
	}
	return r.out
}

// tree returns mode and path of all that is below a directory.
func tree(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		info, err := d.Info()
		rel, _ := filepath.Rel(dir, path)
		if strings.HasPrefix(rel, "cacert/ca-") {
			rel = "cacert/ca-*"
		}
		b.WriteString(info.Mode().String() + " " + rel + "\n")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestPKISession(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "security")
	out := pkiRun(t, "ca", "dir", dir, "name", "test ca")
	for _, f := range []string{"/ca/key.pem\n", "/ca/crt.pem\n", "/cacert/ca-"} {
		if !strings.Contains(out, dir+f) {
			t.Errorf("irm pki ca printed\n%s", out)
		}
	}
	if out := pkiRun(t, "issue", "shop", "--dir="+dir, "--days", "30"); out != dir+"/server/shop/key.pem\n"+dir+"/server/shop/crt.pem\n" {
		t.Errorf("irm pki issue printed\n%s", out)
	}
	before, err := os.Stat(dir + "/cacert")
	if err != nil {
		t.Fatal(err)
	}
	pkiRun(t, "issue", "alice", "client", "shop", "dir", dir, "alg", "ED25519")
	if after, err := os.Stat(dir + "/cacert"); err != nil || after.ModTime() != before.ModTime() {
		t.Errorf("a second certificate of an authority changed cacert/, so that daemons read it again: %v", err)
	}
	want := `drwx------ ca
-rw-r--r-- ca/crt.pem
-rw------- ca/key.pem
drwxr-xr-x cacert
-rw-r--r-- cacert/ca-*
drwxr-xr-x client
drwxr-xr-x client/shop
-rw-r--r-- client/shop/crt.pem
-rw------- client/shop/key.pem
drwxr-xr-x server
drwxr-xr-x server/shop
-rw-r--r-- server/shop/crt.pem
-rw------- server/shop/key.pem
`
	if got := tree(t, dir); got != want {
		t.Errorf("files\n%s", got)
	}
	for name, file := range map[string]string{"shop": "/server/shop/", "alice": "/client/shop/"} {
		creds, err := pki.LoadCredentials(dir+file+"crt.pem", dir+file+"key.pem")
		if err != nil || pki.Name(creds.Leaf) != name {
			t.Errorf("%s: %+v, %v", file, creds, err)
		}
		if out := pkiRun(t, "verify", dir+file+"crt.pem", "dir", dir, "name", name); !strings.Contains(out, "good for \""+name+"\" until ") {
			t.Errorf("irm pki verify printed %s", out)
		}
	}
	show := pkiRun(t, "show", dir+"/client/shop/crt.pem")
	for _, line := range []string{"name:        alice\n", "issuer:      CN=test ca\n", "key:         ed25519\n", "role:        leaf\n"} {
		if !strings.Contains(show, line) {
			t.Errorf("irm pki show printed\n%s", show)
		}
	}
	if show := pkiRun(t, "show", dir+"/ca/crt.pem"); !strings.Contains(show, "role:        root certificate authority\n") {
		t.Errorf("irm pki show printed\n%s", show)
	}
	// For another machine: a tree of its own, without the key of the authority.
	other := filepath.Join(t.TempDir(), "other")
	pkiRun(t, "issue", "mail", "dir", other, "ca", dir+"/ca")
	if got := tree(t, other); strings.Contains(got, "ca/key.pem") || !strings.Contains(got, "cacert/ca-*") {
		t.Errorf("files of another machine\n%s", got)
	}
	pkiRun(t, "verify", other+"/server/mail/crt.pem", "dir", other)
}

func TestPKIOverwritesNothing(t *testing.T) {
	dir := t.TempDir()
	pkiRun(t, "ca", "dir", dir)
	pkiRun(t, "issue", "x", "dir", dir)
	for _, args := range []string{"ca dir " + dir, "issue x dir " + dir} {
		before := contents(t, dir)
		r := irmOn(nil, append([]string{"pki"}, strings.Fields(args)...)...)
		if r.code != failure || !strings.Contains(r.err, "already exists; to replace it, add the word force") {
			t.Errorf("irm pki %s: %v", args, r)
		}
		if contents(t, dir) != before {
			t.Errorf("irm pki %s changed files", args)
		}
		pkiRun(t, strings.Fields(args+" force")...)
		if contents(t, dir) == before {
			t.Errorf("irm pki %s force changed nothing", args)
		}
	}
	// Half a pair is in the way, too, and stays what it is.
	if err := os.Remove(dir + "/server/x/crt.pem"); err != nil {
		t.Fatal(err)
	}
	before := contents(t, dir)
	if r := irmOn(nil, "pki", "issue", "x", "dir", dir); r.code != failure || contents(t, dir) != before {
		t.Errorf("half a pair: %v", r)
	}
	// Of many at once, one wins, and nothing else is left.
	var won atomic.Int32
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if irmOn(nil, "pki", "issue", "race", "dir", dir).code == success {
				won.Add(1)
			}
		})
	}
	wg.Wait()
	if _, err := pki.LoadCredentials(dir+"/server/race/crt.pem", dir+"/server/race/key.pem"); won.Load() != 1 || err != nil {
		t.Errorf("%d of 8 succeeded; %v", won.Load(), err)
	}
	if got := tree(t, dir); strings.Contains(got, ".new-") {
		t.Errorf("left behind\n%s", got)
	}
}

// contents returns all that is in a tree.
func contents(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		b.WriteString(path + "\n" + string(data))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestPKIErrors(t *testing.T) {
	dir := t.TempDir()
	pkiRun(t, "ca", "dir", dir)
	pkiRun(t, "issue", "x", "dir", dir)
	crt := dir + "/server/x/crt.pem"
	empty := t.TempDir()
	long := strings.Repeat("a", 256)
	for _, c := range []struct{ args, want string }{
		{"ca dir " + dir + " days 0", "is no number of days"},
		{"ca dir " + dir + " days x", "is no number of days"},
		{"ca dir " + dir + " alg dsa", `Unknown alg: "dsa"`},
		{"ca dir", "The value of dir is missing"},
		{"ca --dir=", "the directory is empty"},
		{"ca what", `Unknown option: "what"`},
		{"ca dir " + empty + " name=x", "Unknown option"},
		{"issue", "The name is missing"},
		{"issue --force dir " + dir, "The name must come first"},
		{"issue --dir=" + dir + " y", "The name must come first"},
		{"issue y dir " + empty, `make one with "irm pki ca"`},
		{"issue .. dir " + dir, "cannot be the name of a directory"},
		{"issue ../../x dir " + dir, "cannot be the name of a directory"},
		{"issue y client ../x dir " + dir, "cannot be the name of a directory"},
		{"issue " + long + " dir " + dir, "Name too long"},
		{"issue y dir " + dir + " ca " + dir + "/server/x", "none of a CA"},
		{"issue y dir /dev/null/x ca " + dir + "/ca", "not a directory"},
		{"show", "Exactly one file is needed"},
		{"show /nowhere", "no such file"},
		{"show /dev/zero", "not a regular file"},
		{"show " + dir + "/server/x/key.pem", "no certificate in PEM"},
		{"verify", "The file is missing"},
		{"verify " + crt + " dir " + empty, "no chain leads from there"},
		{"verify " + crt + " dir " + dir + " name y", `it is the certificate of "x", not of "y"`},
		{"issue y dir " + dir + " --json", "prints nothing that could be JSON"},
		{"what", `"what" is unknown, try "irm pki help".`},
	} {
		before := contents(t, dir) + contents(t, empty)
		r := irmOn(nil, append([]string{"pki"}, strings.Fields(c.args)...)...)
		if r.code != failure || !strings.Contains(r.err, c.want) {
			t.Errorf("irm pki %s: %v", c.args, r)
		}
		if contents(t, dir)+contents(t, empty) != before {
			t.Errorf("irm pki %s left files", c.args)
		}
	}
	if r := irmOn(nil, "pki", "issue", "", "dir", dir); r.code != failure || !strings.Contains(r.err, "The name is empty") {
		t.Errorf("no name: %v", r)
	}
}

// TestPKISize: users learn of what their layers cannot carry.
func TestPKISize(t *testing.T) {
	dir := t.TempDir()
	pkiRun(t, "ca", "dir", dir)
	for alg, large := range map[string]bool{"p256": false, "rsa3072": false, "ml-dsa-44": true, "slh-dsa-sha2-128f": true} {
		r := irmOn(nil, "pki", "issue", alg, "alg", alg, "dir", dir)
		if r.code != success || strings.Contains(r.err, "at most 2048") != large {
			t.Errorf("%s: %v", alg, r)
		}
	}
}

// TestPKIJSON: the verdict comes with the exit status.
func TestPKIJSON(t *testing.T) {
	dir := t.TempDir()
	pkiRun(t, "ca", "dir", dir)
	pkiRun(t, "issue", "x", "dir", dir, "alg", "ml-dsa-44", "days", "36500")
	crt := dir + "/server/x/crt.pem"
	var cert jsonCertificate
	if err := json.Unmarshal([]byte(pkiRun(t, "show", crt, "--json")), &cert); err != nil {
		t.Fatal(err)
	}
	if cert.Name != "x" || cert.Key != "ml-dsa-44" || cert.Signature != "ECDSA-SHA256" || cert.Version != 3 || cert.CA || cert.SelfSigned || len(cert.SHA256) != 64 {
		t.Errorf("%+v", cert)
	}
	for name, ok := range map[string]bool{"x": true, "y": false} {
		r := irmOn(nil, "pki", "verify", crt, "name", name, "dir", dir, "--json")
		var v jsonVerdict
		if err := json.Unmarshal([]byte(r.out), &v); err != nil || v.OK != ok || (v.Error == "") != ok || (r.code == success) != ok {
			t.Errorf("name %s: %v", name, r)
		}
	}
}

// TestPKIUsage: the usage texts name every algorithm.
func TestPKIUsage(t *testing.T) {
	for _, command := range []string{"pki ca", "pki issue"} {
		_, list, _ := strings.Cut(usage(command), "ALG in {")
		list, _, _ = strings.Cut(list, "}")
		if got, want := strings.Join(strings.Fields(list), " "), strings.Join(pki.Algorithms(), " "); got != want {
			t.Errorf("%s names %s, want %s", command, got, want)
		}
	}
}

// TestPKIOpenSSL has another program judge what was made.
func TestPKIOpenSSL(t *testing.T) {
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip("openssl is not installed")
	}
	for _, alg := range []string{"p256", "p384", "p521", "ed25519", "rsa2048"} {
		dir := t.TempDir()
		pkiRun(t, "ca", "dir", dir, "alg", alg)
		pkiRun(t, "issue", "x", "dir", dir, "alg", alg)
		crt := dir + "/server/x/crt.pem"
		if out, err := exec.Command("openssl", "verify", "-x509_strict", "-CAfile", dir+"/ca/crt.pem", crt).CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", alg, err, out)
		}
		public, err := exec.Command("openssl", "x509", "-in", crt, "-noout", "-pubkey").Output()
		if err != nil {
			t.Fatal(err)
		}
		if own, err := exec.Command("openssl", "pkey", "-in", dir+"/server/x/key.pem", "-pubout").Output(); err != nil || string(own) != string(public) {
			t.Errorf("%s: the key has another public key: %v\n%s%s", alg, err, own, public)
		}
	}
}
