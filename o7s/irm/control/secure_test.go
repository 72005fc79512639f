// SPDX-License-Identifier: BSD-3-Clause

package control

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"o7gw/o7s/ipcp"
	"o7gw/o7s/ipcp/sim"
	"o7gw/o7s/irm"
	"o7gw/o7s/oap/cipher"
	"o7gw/o7s/pki"
	"o7gw/o7s/rib"
	"o7gw/o7s/security"
)

// secrets writes a security directory in which both ends have certificates of
// one CA: the clients of "bank" are "alice".
func secrets(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	write := func(file string, data []byte) {
		path := filepath.Join(dir, file)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	now := time.Now()
	caKey, err := pki.GenerateKey(rand.Reader, "p256")
	if err != nil {
		t.Fatal(err)
	}
	ca, err := pki.NewCA(rand.Reader, caKey, "ca", now.Add(-time.Hour), now.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	write("cacert/ca.pem", pki.MarshalCertificate(ca.Leaf))
	for side, name := range map[string]string{"server/bank": "bank", "client/bank": "alice"} {
		key, err := pki.GenerateKey(rand.Reader, "p256")
		if err != nil {
			t.Fatal(err)
		}
		cert, err := pki.Issue(rand.Reader, ca, key.Public(), name, now.Add(-time.Hour), now.Add(time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		pem, err := pki.MarshalKey(key)
		if err != nil {
			t.Fatal(err)
		}
		write(side+"/crt.pem", pki.MarshalCertificate(cert))
		write(side+"/key.pem", pem)
		write(side+"/enc.conf", []byte("kex=X25519\n"))
	}
	return dir
}

// TestSecureFlow: both applications learn who the other is and get the key, and
// nobody else does.
func TestSecureFlow(t *testing.T) {
	dir, log := secrets(t), new(lines)
	logger := slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.Level(-100)}))
	net := sim.NewNetwork(1)
	t.Cleanup(net.Close)
	link := net.NewLink(sim.Params{})
	var clients [2]*Client
	for k := range clients {
		d, err := newDaemon(runDir(t), irm.Options{
			Factory: func(typ ipcp.Type, env ipcp.Env) (ipcp.IPCP, error) { return link.NewIPCP(typ, env), nil },
			Log:     logger, Security: dir,
		}, systemLimits())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(d.stop)
		clients[k] = d.dial(t)
		id, err := clients[k].CreateIPCP(testContext(t), ipcp.EthDIX, "x")
		if err != nil {
			t.Fatal(err)
		}
		if err := clients[k].Bootstrap(testContext(t), id, ipcp.Config{Type: ipcp.EthDIX, Layer: "l", Eth: ipcp.EthConfig{Device: "sim0"}}); err != nil {
			t.Fatal(err)
		}
	}
	client, server := clients[0], clients[1]
	both := security.Require{Encryption: true, Authentication: true}
	want := irm.NameInfo{Name: "bank", Server: irm.Protection{Require: both}, Client: irm.Protection{Require: both}}
	for _, c := range clients {
		if err := c.CreateName(testContext(t), want); err != nil {
			t.Fatal(err)
		}
		names, err := c.ListNames(testContext(t))
		same(t, []irm.Protection{names[0].Server, names[0].Client}, err, []irm.Protection{want.Server, want.Client})
	}
	listenOn(t, server, "bank")
	mine, its := flows(t, client, server, "bank")
	defer closeFlow(mine)
	defer closeFlow(its)
	if mine.Cipher != cipher.AES256GCM || its.Cipher != mine.Cipher || len(mine.Key) != 32 || !bytes.Equal(mine.Key, its.Key) {
		t.Errorf("ciphers %d and %d", mine.Cipher, its.Cipher)
	}
	if mine.Peer != "bank" || its.Peer != "alice" || mine.Server || !its.Server {
		t.Errorf("peers %q and %q", mine.Peer, its.Peer)
	}
	told := log.String()
	for _, c := range clients {
		list, err := c.ListFlows(testContext(t))
		if err != nil || len(list) != 1 || list[0].Cipher != cipher.AES256GCM || list[0].PeerName != map[*Client]string{client: "bank", server: "alice"}[c] {
			t.Errorf("listed %+v, %v", list, err)
		}
		nodes, err := c.ReadRIB(testContext(t), "", true)
		if err != nil || !strings.Contains(ribText(nodes), "aes-256-gcm") {
			t.Errorf("RIB %s, %v", ribText(nodes), err)
		}
		told += fmt.Sprintf("%+v", list) + ribText(nodes)
	}
	for _, form := range []string{
		string(mine.Key), hex.EncodeToString(mine.Key), base64.StdEncoding.EncodeToString(mine.Key),
		strings.Trim(fmt.Sprint(mine.Key), "[]"), strings.Trim(fmt.Sprintf("%q", mine.Key), `"`),
	} {
		if strings.Contains(told, form) {
			t.Errorf("the key can be read in %s", told)
		}
	}
}

func ribText(nodes []rib.Node) string { return fmt.Sprintf("%+v", nodes) }
