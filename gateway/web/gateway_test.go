// SPDX-License-Identifier: BSD-3-Clause

package web_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"o7gw/gateway"
	"o7gw/gateway/config"
	"o7gw/gateway/web/browsertest"
)

// free returns an address of this machine that nobody listens on.
func free(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// TestGateway: the page and the metrics of a running gateway, through which a
// program reaches a web server.
func TestGateway(t *testing.T) {
	t.Parallel()
	b := browsertest.Start(t)
	served := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.CopyN(w, zeros{}, 2<<20)
	}))
	defer served.Close()
	page, forward := free(t), free(t)
	path := filepath.Join(t.TempDir(), "o7gw.toml")
	toml := fmt.Sprintf(`
run_dir = %q
[[expose]]
name = "site"
service = "web.site"
tcp = { "80" = %q }
[[forward]]
name = "here"
listen = ["tcp:%s"]
service = "web.site"
port = 80
[web]
listen = %q
`, t.TempDir(), served.Listener.Addr(), forward, page)
	if err := os.WriteFile(path, []byte(toml), 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := config.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	g := gateway.New(file, slog.New(slog.DiscardHandler))
	if err := g.Start(context.Background()); err != nil {
		t.Fatal(err)
	}
	defer g.Close()

	b.Open("http://" + page + "/")
	b.Until("document.getElementById('link').dataset.state === 'live'")
	for _, text := range []string{"expose site", "forward here", "web.site", "tcp:" + forward} {
		b.Until(fmt.Sprintf("document.getElementById('objects').innerText.includes(%q)", text))
	}
	b.Until("document.getElementById('totals').innerText.includes('3 of 3')")

	// A connection that stays: a session of both objects.
	c, err := net.Dial("tcp", forward)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	if _, err := io.CopyN(io.Discard, c, 2<<20); err != nil {
		t.Fatal(err)
	}
	b.Until("document.querySelectorAll('#sessions tbody tr:not(.none)').length === 2")
	b.Until(fmt.Sprintf("document.getElementById('sessions').innerText.includes(%q)", c.LocalAddr()))
	b.Until(`/at most [0-9.]+ Mbit/.test(document.getElementById('plot').getAttribute('aria-label'))`)

	res, err := http.Get("http://" + page + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, _ := io.ReadAll(res.Body)
	for _, sample := range []string{
		`o7gw_object_up{kind="expose",name="site"} 1`, `o7gw_sessions_open{kind="forward",name="here"} 1`, "ouroboros_irm_flows ", "process_cpu_seconds_total ",
	} {
		if !strings.Contains(string(text), "\n"+sample) {
			t.Errorf("no %s in\n%s", sample, text)
		}
	}
	if wrong := b.Complaints(); len(wrong) > 0 {
		t.Errorf("the console says\n%s", strings.Join(wrong, "\n"))
	}
	for _, u := range b.Requests() {
		if !strings.HasPrefix(u, "http://"+page+"/") && u != "about:blank" {
			t.Errorf("the page asked for %s", u)
		}
	}
	http.DefaultClient.CloseIdleConnections()
}

// zeros is a file of zeros.
type zeros struct{}

func (zeros) Read(b []byte) (int, error) {
	clear(b)
	return len(b), nil
}
