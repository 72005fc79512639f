// SPDX-License-Identifier: BSD-3-Clause

package integration

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"o7gw/integration/lab"
)

// write makes a file below the security directory of host i.
func (w *world) write(i int, text string, path ...string) {
	w.t.Helper()
	file := filepath.Join(append([]string{lab.SecurityDir(w.dirs[i])}, path...)...)
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

// authority makes a certificate authority on host 1, from which host i learns its
// certificate.
func (w *world) authority(i int, args ...string) {
	w.t.Helper()
	dir := lab.SecurityDir(w.dirs[1])
	w.mustRun(1, "irm", append([]string{"pki", "ca", "dir", dir}, args...)...)
	certs, err := filepath.Glob(filepath.Join(dir, "cacert", "*"))
	if err != nil || len(certs) == 0 {
		w.t.Fatalf("certificates of the authority: %v, %v", certs, err)
	}
	for _, c := range certs {
		text, err := os.ReadFile(c)
		if err != nil {
			w.t.Fatal(err)
		}
		w.write(i, string(text), "cacert", filepath.Base(c))
	}
}

// TestSecureName: the flows to a name are encrypted and authenticated as files
// say, and whoever does not fit is refused with a reason; nothing is restarted.
func TestSecureName(t *testing.T) {
	w := newWorld(t, 60*time.Second, 2)
	w.unicastLine([]string{"udp4"}, "", "shop", "ping")
	w.start(1, "started", "oping", "-l", "-Q", "-n", "ping")
	w.pingAcross(0, "ping")
	w.start(1, "started", "oping", "-l", "-Q", "-n", "shop")
	buy := func(kind string) (string, int) {
		return w.run(0, "oping", "-n", "shop", "-q", kind, "-c", "20", "-i", "5ms", "-Q")
	}
	works := func(when string) {
		t.Helper()
		for _, kind := range []string{"raw", "data"} {
			if out, code := buy(kind); code != 0 || !strings.Contains(out, "20 received") {
				t.Errorf("%s, %s: %s", when, kind, out)
			}
		}
	}
	refused := func(when, why string) {
		t.Helper()
		if out, code := buy("data"); code == 0 || !strings.Contains(out, why) {
			t.Errorf("%s: exit status %d, want %q in\n%s", when, code, why, out)
		}
	}
	works("plain")

	w.write(0, "kex = X25519\nrequire = encryption\n", "client", "shop", "enc.conf")
	works("encrypted for the client")
	w.write(0, "require = encryption,authentication\n", "client", "shop", "enc.conf")
	refused("server without certificate", "certificate")

	w.authority(0)
	w.mustRun(1, "irm", "pki", "issue", "shop", "dir", lab.SecurityDir(w.dirs[1]))
	works("authenticated")
	w.write(1, "cipher = chacha20-poly1305\nkex = X25519\n", "server", "shop", "enc.conf")
	refused("a weaker key exchange than the server's", "-1008")
	w.write(0, "kex = X25519\nrequire = encryption,authentication\n", "client", "shop", "enc.conf")
	works("both ends want encryption")

	w.mustRun(1, "irm", "pki", "issue", "market", "dir", lab.SecurityDir(w.dirs[1]))
	for _, f := range []string{"crt.pem", "key.pem"} {
		from := filepath.Join(lab.SecurityDir(w.dirs[1]), "server", "market", f)
		text, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		w.write(1, string(text), "server", "shop", f)
	}
	refused("the certificate of another name", "market")
}
