// SPDX-License-Identifier: BSD-3-Clause

package httpproxy_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"o7gw/proxy/httpproxy"
	"o7gw/proxy/listen/listentest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds what has to happen; nothing depends on how long it takes.
const patience = 20 * time.Second

// start runs a proxy in a world of its own.
func start(t testing.TB, h http.HandlerFunc, users map[string]string) (*listentest.World, *httpproxy.Proxy) {
	t.Helper()
	w := listentest.New(t, h)
	cfg := httpproxy.Defaults()
	cfg.Listen = []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:0")}
	cfg.Users = users
	p := httpproxy.New(cfg, w.Dialer, w.Table, listentest.Quiet)
	if err := p.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return w, p
}

func at(p *httpproxy.Proxy) string { return p.Addrs()[0].String() }

// client is an HTTP client that uses the proxy.
func client(t testing.TB, p *httpproxy.Proxy, user *url.Userinfo) *http.Client {
	tr := &http.Transport{Proxy: http.ProxyURL(&url.URL{Scheme: "http", Host: at(p), User: user}), ExpectContinueTimeout: patience}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: patience}
}

// get returns status and body.
func get(t testing.TB, c *http.Client, url string) (int, string) {
	t.Helper()
	r, err := c.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r.StatusCode, string(b)
}

// raw is a connection to the proxy on which the text has been sent.
func raw(t testing.TB, p *httpproxy.Proxy, text string) (net.Conn, *bufio.Reader) {
	t.Helper()
	c, err := net.Dial("tcp", at(p))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
	return c, bufio.NewReader(c)
}

// answer reads a response and its body.
func answer(t testing.TB, r *bufio.Reader) (*http.Response, string) {
	t.Helper()
	res, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(b)
}

func TestForward(t *testing.T) {
	var conns atomic.Int32
	w, p := start(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/conn" {
			conns.Add(1)
		}
		w.Header().Set("Connection", "X-Hop")
		w.Header().Set("X-Hop", "1")
		w.Header().Set("X-End", "2")
		fmt.Fprintf(w, "%s %s %s", r.Method, r.Host, r.URL.RequestURI())
		for _, h := range []string{"X-Hop", "X-End", "Proxy-Authorization", "Proxy-Connection", "Accept-Encoding", "User-Agent", "X-Forwarded-For"} {
			fmt.Fprintf(w, " %s=%s", h, r.Header.Get(h))
		}
	}, nil)
	c, r := raw(t, p, "GET http://web.o7s/a?q=1;x HTTP/1.1\r\nHost: other\r\nConnection: X-Hop\r\nX-Hop: 3\r\nX-End: 4\r\n"+
		"Proxy-Connection: keep-alive\r\nProxy-Authorization: Basic eDp5\r\nX-Forwarded-For: client\r\n\r\n")
	res, body := answer(t, r)
	const want = "GET web.o7s /a?q=1;x X-Hop= X-End=4 Proxy-Authorization= Proxy-Connection= Accept-Encoding= User-Agent= X-Forwarded-For=client"
	if body != want || res.StatusCode != 200 || res.Header.Get("X-End") != "2" || res.Header.Get("X-Hop") != "" {
		t.Errorf("%v\n%s\nwant %s", res.Header, body, want)
	}
	if !strings.Contains(res.Header.Get("Via"), "o7gw") {
		t.Errorf("Via: %q", res.Header.Get("Via"))
	}
	// The connection goes on, and so does the session behind it.
	total := p.Book().Snapshot(0).Total
	for range 3 {
		io.WriteString(c, "GET http://web.o7s/b HTTP/1.1\r\nHost: web.o7s\r\n\r\n")
		if res, body := answer(t, r); res.StatusCode != 200 || !strings.HasPrefix(body, "GET web.o7s /b ") {
			t.Fatal(res.Status, body)
		}
	}
	if now := p.Book().Snapshot(0); now.Total != total || now.Open != 1 || now.RxBytes == 0 || now.TxBytes == 0 {
		t.Errorf("sessions: %+v", now)
	}
	// Its way back leads here: a loop.
	via := res.Header.Get("Via")
	io.WriteString(c, "GET http://web.o7s/b HTTP/1.1\r\nHost: web.o7s\r\nVia: 1.1 a, "+via+"\r\n\r\n")
	if res, _ := answer(t, r); res.StatusCode != http.StatusLoopDetected {
		t.Error(res.Status)
	}
	// By address, beyond the exit.
	if code, body := get(t, client(t, p, nil), fmt.Sprintf("http://%v/", w.HTTP)); code != 200 || !strings.HasPrefix(body, fmt.Sprintf("GET %v / ", w.HTTP)) {
		t.Error(code, body)
	}
}

func TestErrors(t *testing.T) {
	w, p := start(t, nil, nil)
	c := client(t, p, nil)
	for _, e := range []struct {
		url  string
		code int
		text string
	}{
		{"http://nobody.o7s/", 502, "Nobody serves"},
		{"http://web.o7s:8/", 502, "Nothing listens at port 8"},
		{"http://web.o7s:9/", 502, "Nothing listens at port 9"},
		{"http://example.org/", 502, "[[route]]"},
		{"http://host.invalid/", 502, "cannot resolve"},
		{fmt.Sprintf("http://%s:%d/", listentest.Denied, w.HTTP.Port()), 403, "policy"},
	} {
		if code, body := get(t, c, e.url); code != e.code || !strings.Contains(body, e.text) {
			t.Errorf("%s: %d %s", e.url, code, body)
		}
		u, _ := url.Parse(e.url)
		target := u.Host
		if u.Port() == "" {
			target += ":80"
		}
		_, r := raw(t, p, "CONNECT "+target+" HTTP/1.1\r\nHost: "+target+"\r\n\r\n")
		if res, body := answer(t, r); res.StatusCode != e.code || !strings.Contains(body, e.text) {
			t.Errorf("CONNECT %s: %d %s", target, res.StatusCode, body)
		}
	}
	for text, code := range map[string]int{
		"GET / HTTP/1.1\r\nHost: x\r\n\r\n":                     400,
		"GET ftp://web.o7s/ HTTP/1.1\r\nHost: x\r\n\r\n":        501,
		"GET https://web.o7s/ HTTP/1.1\r\nHost: x\r\n\r\n":      501,
		"CONNECT web.o7s:0 HTTP/1.1\r\nHost: web.o7s:0\r\n\r\n": 400,
		"CONNECT web.o7s HTTP/1.1\r\nHost: web.o7s\r\n\r\n":     400,
		"\x05\x01\x00\r\n\r\n":                                  400,
	} {
		_, r := raw(t, p, text)
		if res, body := answer(t, r); res.StatusCode != code {
			t.Errorf("%q: %s %s", text, res.Status, body)
		}
	}
}

func TestConnect(t *testing.T) {
	w, p := start(t, nil, nil)
	for _, target := range []string{"web.o7s:7", w.Echo.String(), fmt.Sprintf("localhost:%d", w.Echo.Port())} {
		// A client that does not wait for the answer.
		c, r := raw(t, p, "CONNECT "+target+" HTTP/1.1\r\nHost: "+target+"\r\n\r\nearly ")
		io.WriteString(c, "late")
		c.(*net.TCPConn).CloseWrite()
		res, err := http.ReadResponse(r, &http.Request{Method: http.MethodConnect})
		if err != nil || res.StatusCode != 200 {
			t.Fatal(res, err)
		}
		if got, err := io.ReadAll(r); err != nil || string(got) != "early late" {
			t.Errorf("%s: %q, %v", target, got, err)
		}
	}
}

func TestUsers(t *testing.T) {
	_, p := start(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "in") }, map[string]string{"alice": "se:cret"})
	for _, c := range []struct {
		user *url.Userinfo
		code int
	}{
		{nil, 407}, {url.UserPassword("alice", "se:cret"), 200}, {url.UserPassword("alice", "x"), 407}, {url.UserPassword("bob", "se:cret"), 407},
	} {
		if code, body := get(t, client(t, p, c.user), "http://web.o7s/"); code != c.code {
			t.Errorf("%v: %d %s", c.user, code, body)
		}
	}
	_, r := raw(t, p, "CONNECT web.o7s:7 HTTP/1.1\r\nHost: web.o7s:7\r\n\r\n")
	if res, _ := answer(t, r); res.StatusCode != 407 || !strings.HasPrefix(res.Header.Get("Proxy-Authenticate"), "Basic ") {
		t.Error(res.Status, res.Header)
	}
	cfg := p.Config()
	cfg.Users = nil
	if keys := p.Update(cfg); len(keys) > 0 {
		t.Error(keys)
	}
	if code, _ := get(t, client(t, p, nil), "http://web.o7s/"); code != 200 {
		t.Error(code)
	}
}

// TestBodies: large bodies both ways, streamed, and a client that waits for
// 100 Continue.
func TestBodies(t *testing.T) {
	const size = 8 << 20
	_, p := start(t, func(w http.ResponseWriter, r *http.Request) {
		h := sha256.New()
		n, err := io.Copy(h, r.Body)
		fmt.Fprintf(w, "%d %s %v\n", n, hex.EncodeToString(h.Sum(nil)), err)
		io.CopyN(w, rand.NewChaCha8([32]byte{1}), size)
	}, nil)
	sent := make([]byte, size)
	rand.NewChaCha8([32]byte{2}).Read(sent)
	for _, expect := range []string{"", "100-continue"} {
		r, err := http.NewRequest(http.MethodPost, "http://web.o7s/", bytes.NewReader(sent))
		if err != nil {
			t.Fatal(err)
		}
		if expect != "" {
			r.Header.Set("Expect", expect)
		} else {
			r.ContentLength = -1 // chunked
		}
		res, err := client(t, p, nil).Do(r)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		res.Body.Close()
		line, data, _ := bytes.Cut(body, []byte("\n"))
		want := make([]byte, size)
		rand.NewChaCha8([32]byte{1}).Read(want)
		if err != nil || string(line) != fmt.Sprintf("%d %x <nil>", size, sha256.Sum256(sent)) || !bytes.Equal(data, want) {
			t.Errorf("expect %q: %s, %d bytes, %v", expect, line, len(data), err)
		}
	}
}

// TestEvents: what a server sends arrives before its answer is complete, and a
// server that upgrades the connection has it for itself.
func TestEvents(t *testing.T) {
	release := make(chan struct{})
	_, p := start(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "" {
			c, rw, err := http.NewResponseController(w).Hijack()
			if err != nil {
				return
			}
			defer c.Close()
			io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
			io.Copy(c, rw)
			return
		}
		io.WriteString(w, "first")
		http.NewResponseController(w).Flush()
		<-release
		io.WriteString(w, "last")
	}, nil)
	_, r := raw(t, p, "GET http://web.o7s/ HTTP/1.1\r\nHost: web.o7s\r\n\r\n")
	res, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	first := make([]byte, 5)
	if _, err := io.ReadFull(res.Body, first); err != nil || string(first) != "first" {
		t.Fatal(string(first), err)
	}
	close(release)
	if rest, err := io.ReadAll(res.Body); err != nil || string(rest) != "last" {
		t.Fatal(string(rest), err)
	}

	c, r := raw(t, p, "GET http://web.o7s/ HTTP/1.1\r\nHost: web.o7s\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
	res, err = http.ReadResponse(r, nil)
	if err != nil || res.StatusCode != 101 || res.Header.Get("Upgrade") != "echo" {
		t.Fatal(res, err)
	}
	for _, word := range []string{"one", "two"} {
		io.WriteString(c, word)
		got := make([]byte, len(word))
		if _, err := io.ReadFull(r, got); err != nil || string(got) != word {
			t.Fatal(string(got), err)
		}
	}
}

// TestLife: a drained proxy goes on with what it serves; Close ends it.
func TestLife(t *testing.T) {
	_, p := start(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "in") }, nil)
	c, r := raw(t, p, "CONNECT web.o7s:7 HTTP/1.1\r\nHost: web.o7s:7\r\n\r\n")
	if res, err := http.ReadResponse(r, &http.Request{Method: http.MethodConnect}); err != nil || res.StatusCode != 200 {
		t.Fatal(res, err)
	}
	idle := client(t, p, nil)
	if code, _ := get(t, idle, "http://web.o7s/"); code != 200 {
		t.Fatal(code)
	}
	cfg := p.Config()
	cfg.Listen = []netip.AddrPort{netip.MustParseAddrPort("127.0.0.2:0")}
	if keys := p.Update(cfg); len(keys) > 0 {
		t.Error(keys)
	}
	if code, _ := get(t, client(t, p, nil), "http://web.o7s/"); code != 200 {
		t.Error("the new address does not serve")
	}
	now := at(p)
	p.Drain()
	if _, err := net.Dial("tcp", now); err == nil {
		t.Error("a drained proxy takes clients")
	}
	io.WriteString(c, "x")
	if b, err := r.ReadByte(); err != nil || b != 'x' {
		t.Error(b, err)
	}
	p.Close()
	if b, err := r.ReadByte(); err == nil {
		t.Errorf("a session outlives the proxy: %q", b)
	}
	if n := p.Book().Sessions(); n != 0 {
		t.Errorf("%d sessions", n)
	}
}

// TestPrograms: curl and nc through the proxy.
func TestPrograms(t *testing.T) {
	file := filepath.Join(t.TempDir(), "up")
	sent := make([]byte, 3<<20)
	rand.NewChaCha8([32]byte{3}).Read(sent)
	if err := os.WriteFile(file, sent, 0o600); err != nil {
		t.Fatal(err)
	}
	_, p := start(t, func(w http.ResponseWriter, r *http.Request) {
		h := sha256.New()
		io.Copy(h, r.Body)
		fmt.Fprintf(w, "%s %x", r.Method, h.Sum(nil))
	}, map[string]string{"u": "p"})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	run := func(stdin, program string, args ...string) (string, error) {
		path, err := exec.LookPath(program)
		if err != nil {
			t.Skipf("no %s: integration/deps.sh installs it", program)
		}
		cmd := exec.CommandContext(ctx, path, args...)
		cmd.Stdin = strings.NewReader(stdin)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	curl := []string{"-sS", "--noproxy", "", "-x", "http://u:p@" + at(p)}
	want := fmt.Sprintf("PUT %x", sha256.Sum256(sent))
	if got, err := run("", "curl", append(curl, "-T", file, "http://web.o7s/")...); err != nil || got != want {
		t.Errorf("%q, %v", got, err)
	}
	if got, err := run("", "curl", append(curl, "-p", "http://web.o7s/")...); err != nil || !strings.HasPrefix(got, "GET ") {
		t.Errorf("%q, %v", got, err)
	}
	if got, err := run("", "curl", append(curl, "-p", "http://nobody.o7s/")...); err == nil || !strings.Contains(got, "502") {
		t.Errorf("%q, %v", got, err)
	}
	cfg := p.Config()
	cfg.Users = nil
	p.Update(cfg)
	if got, err := run("hello", "nc", "-N", "-X", "connect", "-x", at(p), "web.o7s", "7"); err != nil || got != "hello" {
		t.Errorf("%q, %v", got, err)
	}
}

// TestStart: a proxy that cannot start leaves nothing, and one that was never
// started can be closed.
func TestStart(t *testing.T) {
	w := listentest.New(t, nil)
	cfg := httpproxy.Defaults()
	cfg.Listen = []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:0"), w.Echo} // the second is taken
	p := httpproxy.New(cfg, w.Dialer, w.Table, listentest.Quiet)
	if err := p.Start(t.Context()); !errors.Is(err, syscall.EADDRINUSE) || len(p.Addrs()) > 0 {
		t.Error(err, p.Addrs())
	}
	never := httpproxy.New(cfg, w.Dialer, w.Table, listentest.Quiet)
	never.Drain()
	never.Close()
}

func TestStartedAndStopped(t *testing.T) {
	w := listentest.New(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "in") }))
	listentest.StartedAndStopped(t, func() {
		cfg := httpproxy.Defaults()
		cfg.Listen = []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:0")}
		p := httpproxy.New(cfg, w.Dialer, w.Table, listentest.Quiet)
		if err := p.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		c, r := raw(t, p, "CONNECT web.o7s:7 HTTP/1.1\r\nHost: web.o7s:7\r\n\r\n")
		if res, err := http.ReadResponse(r, &http.Request{Method: http.MethodConnect}); err != nil || res.StatusCode != 200 {
			t.Fatal(res, err)
		}
		g, r := raw(t, p, "GET http://web.o7s/ HTTP/1.1\r\nHost: web.o7s\r\n\r\n")
		if res, _ := answer(t, r); res.StatusCode != 200 {
			t.Fatal(res.Status)
		}
		p.Close()
		p.Close()
		c.Close()
		g.Close()
	})
}
