// SPDX-License-Identifier: BSD-3-Clause

package socks_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/net/proxy"

	"o7gw/proxy/listen/listentest"
	"o7gw/proxy/socks"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var loopback = netip.MustParseAddrPort("127.0.0.1:0")

// patience bounds what has to happen; nothing depends on how long it takes.
const patience = 20 * time.Second

// start runs a server in a world of its own.
func start(t testing.TB, h http.Handler, change func(*socks.Config)) (*listentest.World, *socks.Server) {
	t.Helper()
	w := listentest.New(t, h)
	cfg := socks.Defaults()
	cfg.Listen = []netip.AddrPort{loopback}
	if change != nil {
		change(&cfg)
	}
	s := socks.New(cfg, w.Dialer, w.Table, listentest.Quiet)
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return w, s
}

func at(s *socks.Server) string { return s.Addrs()[0].String() }

// dial connects through the server with the client of x/net.
func dial(t testing.TB, s *socks.Server, auth *proxy.Auth, target string) (net.Conn, error) {
	t.Helper()
	d, err := proxy.SOCKS5("tcp", at(s), auth, proxy.Direct)
	if err != nil {
		t.Fatal(err)
	}
	c, err := d.Dial("tcp", target)
	if err == nil {
		c.SetDeadline(time.Now().Add(patience))
	}
	return c, err
}

// echoed sends data, and wants it back when the direction is ended.
func echoed(t testing.TB, c net.Conn) {
	t.Helper()
	defer c.Close()
	data := bytes.Repeat([]byte("echo"), 5000)
	if _, err := c.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := c.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(c); err != nil || !bytes.Equal(got, data) {
		t.Fatalf("%d of %d bytes, %v", len(got), len(data), err)
	}
}

func TestConnect(t *testing.T) {
	w, s := start(t, nil, nil)
	port := w.Echo.Port()
	for _, c := range []struct{ target, err string }{
		{"web.o7s:7", ""},
		{"WEB.o7s.:7", ""},
		{w.Echo.String(), ""},
		{fmt.Sprintf("localhost:%d", port), ""},
		{"web.o7s:8", "connection refused"},
		{"web.o7s:9", "connection refused"},
		{"nobody.o7s:7", "connection refused"},
		{"o7s:7", "host unreachable"},
		{"example.org:7", "network unreachable"},
		{"192.0.2.1:7", "network unreachable"},
		{"[2001:db8::1]:7", "network unreachable"},
		{"host.invalid:7", "host unreachable"},
		{fmt.Sprintf("%s:%d", listentest.Denied, port), "not allowed"},
	} {
		t.Run(c.target, func(t *testing.T) {
			conn, err := dial(t, s, nil, c.target)
			switch {
			case err == nil && c.err == "":
				echoed(t, conn)
			case err == nil:
				conn.Close()
				t.Fatal("connected")
			case c.err == "" || !strings.Contains(err.Error(), c.err):
				t.Fatal(err)
			}
		})
	}
}

// TestIPv6: the server and the target have IPv6 addresses.
func TestIPv6(t *testing.T) {
	l, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Skip("no IPv6 here: ", err)
	}
	defer l.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		c, err := l.Accept()
		if err == nil {
			io.Copy(c, c)
			c.Close()
		}
	}()
	_, s := start(t, nil, func(c *socks.Config) { c.Listen = []netip.AddrPort{netip.MustParseAddrPort("[::1]:0")} })
	c, err := dial(t, s, nil, l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	echoed(t, c)
	<-done
}

func TestUsers(t *testing.T) {
	_, s := start(t, nil, func(c *socks.Config) { c.Users = map[string]string{"alice": "secret", "bob": "other"} })
	for _, c := range []struct {
		auth *proxy.Auth
		ok   bool
	}{
		{nil, false},
		{&proxy.Auth{User: "alice", Password: "secret"}, true},
		{&proxy.Auth{User: "bob", Password: "other"}, true},
		{&proxy.Auth{User: "alice", Password: "other"}, false},
		{&proxy.Auth{User: "carol", Password: "secret"}, false},
	} {
		conn, err := dial(t, s, c.auth, "web.o7s:7")
		if (err == nil) != c.ok {
			t.Errorf("%v: %v", c.auth, err)
		}
		if err == nil {
			echoed(t, conn)
		}
	}
	cfg := s.Config()
	cfg.Users = map[string]string{"alice": "new"}
	if keys := s.Update(cfg); len(keys) > 0 {
		t.Fatal(keys)
	}
	if _, err := dial(t, s, &proxy.Auth{User: "alice", Password: "secret"}, "web.o7s:7"); err == nil {
		t.Error("the old password is still taken")
	}
	conn, err := dial(t, s, &proxy.Auth{User: "alice", Password: "new"}, "web.o7s:7")
	if err != nil {
		t.Fatal(err)
	}
	echoed(t, conn)
}

// TestSilent: clients that say nothing, or half of it, keep nobody out.
func TestSilent(t *testing.T) {
	_, s := start(t, nil, func(c *socks.Config) { c.MaxSessions = 50 })
	for i := range 49 {
		c, err := net.Dial("tcp", at(s))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		io.WriteString(c, "\x05\x01\x00\x05\x01\x00\x03\x20"[:i%9])
	}
	c, err := dial(t, s, nil, "web.o7s:7")
	if err != nil {
		t.Fatal(err)
	}
	echoed(t, c)
}

// raw sends bytes and returns all that comes back until the server closes.
func raw(t testing.TB, s *socks.Server, parts ...string) []byte {
	t.Helper()
	c, err := net.Dial("tcp", at(s))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	for _, p := range parts {
		if _, err := io.WriteString(c, p); err != nil {
			t.Fatal(err)
		}
	}
	got, err := io.ReadAll(c)
	if err != nil {
		t.Fatalf("% x, %v", got, err)
	}
	return got
}

// TestRaw: what clients of the wrong kind, or broken ones, get.
func TestRaw(t *testing.T) {
	_, s := start(t, nil, nil)
	const hello, none = "\x05\x01\x00", "\x00\x01\x00\x00\x00\x00\x00\x00"
	for _, c := range []struct{ name, sent, want string }{
		{"SOCKS4", "\x04\x01\x00\x50\x7f\x00\x00\x01\x00", "\x00\x5b\x00\x00\x00\x00\x00\x00"},
		{"HTTP", "GET / HTTP/1.1\r\n\r\n", ""},
		{"no method", "\x05\x00", "\x05\xff"},
		{"login only", "\x05\x01\x02", "\x05\xff"},
		{"bind", hello + "\x05\x02\x00\x01\x7f\x00\x00\x01\x00\x50", "\x05\x00\x05\x07" + none},
		{"address type", hello + "\x05\x01\x00\x09\x7f\x00\x00\x01\x00\x50", "\x05\x00\x05\x08" + none},
		{"version", hello + "\x04\x01\x00\x01\x7f\x00\x00\x01\x00\x50", "\x05\x00\x05\x01" + none},
		{"empty host", hello + "\x05\x01\x00\x03\x00\x00\x50", "\x05\x00\x05\x01" + none},
		{"port 0", hello + "\x05\x01\x00\x03\x07web.o7s\x00\x00", "\x05\x00\x05\x01" + none},
		{"odd host", hello + "\x05\x01\x00\x03\x07web\no7s\x00\x07", "\x05\x00\x05\x01" + none},
		{"refused, with data behind", hello + "\x05\x01\x00\x03\x0anobody.o7s\x00\x50" + strings.Repeat("data", 1000), "\x05\x00\x05\x05" + none},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := raw(t, s, c.sent); string(got) != c.want {
				t.Fatalf("% x, want % x", got, c.want)
			}
		})
	}
	if n := s.Book().Sessions(); n != 0 {
		t.Errorf("%d sessions", n)
	}
}

// TestEarly: a client that does not wait for the replies, and one that sends
// byte by byte.
func TestEarly(t *testing.T) {
	_, s := start(t, nil, nil)
	const sent = "\x05\x02\x02\x00\x05\x01\x00\x03\x07web.o7s\x00\x07hello"
	const want = "\x05\x00\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00hello"
	for _, parts := range [][]string{{sent}, strings.Split(sent, "")} {
		c, err := net.Dial("tcp", at(s))
		if err != nil {
			t.Fatal(err)
		}
		c.SetDeadline(time.Now().Add(patience))
		for _, p := range parts {
			io.WriteString(c, p)
		}
		got := make([]byte, len(want))
		if _, err := io.ReadFull(c, got); err != nil || string(got) != want {
			t.Fatalf("% x, %v", got, err)
		}
		c.Close()
	}
}

// TestPrograms: curl and nc through the server.
func TestPrograms(t *testing.T) {
	w, s := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprintf(w, "you asked for %s%s", r.Host, r.URL) }),
		func(c *socks.Config) { c.Users = map[string]string{"u": "p"} })
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	curl := func(args ...string) (string, error) {
		path, err := exec.LookPath("curl")
		if err != nil {
			t.Skip("no curl: integration/deps.sh installs it")
		}
		out, err := exec.CommandContext(ctx, path, append([]string{"-sS", "--noproxy", ""}, args...)...).CombinedOutput()
		return string(out), err
	}
	for url, want := range map[string]string{
		"http://web.o7s/page":             "you asked for web.o7s/page",
		fmt.Sprintf("http://%v/", w.HTTP): fmt.Sprintf("you asked for %v/", w.HTTP),
	} {
		if got, err := curl("--socks5-hostname", "u:p@"+at(s), url); err != nil || got != want {
			t.Errorf("%s: %q, %v", url, got, err)
		}
	}
	for _, c := range []struct{ proxy, url, want string }{
		{"u:x@" + at(s), "http://web.o7s/", "User was rejected"},
		{"u:p@" + at(s), "http://nobody.o7s/", "(5)"},
		{"u:p@" + at(s), "http://other.org/", "(3)"},
	} {
		if got, err := curl("--socks5-hostname", c.proxy, c.url); err == nil || !strings.Contains(got, c.want) {
			t.Errorf("%s by %s: %q, %v", c.url, c.proxy, got, err)
		}
	}
}

// TestNC: nc of OpenBSD, with half-close.
func TestNC(t *testing.T) {
	_, s := start(t, nil, nil)
	path, err := exec.LookPath("nc")
	if err != nil {
		t.Skip("no nc: integration/deps.sh installs it")
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, "-N", "-X", "5", "-x", at(s), "web.o7s", "7")
	cmd.Stdin = strings.NewReader("hello")
	if out, err := cmd.CombinedOutput(); err != nil || string(out) != "hello" {
		t.Fatalf("%q, %v", out, err)
	}
}

// TestLife: a drained server serves those whom it serves; Close ends them; an
// address that changes does not.
func TestLife(t *testing.T) {
	_, s := start(t, nil, nil)
	c, err := dial(t, s, nil, "web.o7s:7")
	if err != nil {
		t.Fatal(err)
	}
	cfg := s.Config()
	cfg.Listen = []netip.AddrPort{netip.MustParseAddrPort("127.0.0.2:0")}
	cfg.MaxSessions = 1
	old := at(s)
	if keys := s.Update(cfg); len(keys) > 0 {
		t.Fatal(keys)
	}
	if _, err := net.Dial("tcp", old); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("the old address: %v", err)
	}
	if _, err := dial(t, s, nil, "web.o7s:7"); err == nil {
		t.Error("a second client in spite of max_sessions")
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	bad := cfg
	bad.Listen = []netip.AddrPort{taken.Addr().(*net.TCPAddr).AddrPort()}
	if keys := s.Update(bad); len(keys) != 1 || keys[0] != "listen" {
		t.Errorf("restart for %v", keys)
	}
	now := at(s)
	s.Drain()
	if _, err := net.Dial("tcp", now); err == nil {
		t.Error("a drained server takes clients")
	}
	if _, err := io.WriteString(c, "x"); err != nil {
		t.Error(err)
	}
	var one [1]byte
	if _, err := io.ReadFull(c, one[:]); err != nil {
		t.Error(err)
	}
	s.Close()
	if _, err := c.Read(one[:]); err == nil {
		t.Error("a session outlives the server")
	}
	c.Close()
}

// TestStart: a server that cannot start leaves nothing, and one that was never
// started can be closed.
func TestStart(t *testing.T) {
	w := listentest.New(t, nil)
	cfg := socks.Defaults()
	cfg.Listen = []netip.AddrPort{loopback, w.Echo} // the second is taken
	s := socks.New(cfg, w.Dialer, w.Table, listentest.Quiet)
	if err := s.Start(t.Context()); !errors.Is(err, syscall.EADDRINUSE) || len(s.Addrs()) > 0 {
		t.Error(err, s.Addrs())
	}
	never := socks.New(cfg, w.Dialer, w.Table, listentest.Quiet)
	never.Drain()
	never.Close()
}

func TestStartedAndStopped(t *testing.T) {
	w := listentest.New(t, nil)
	listentest.StartedAndStopped(t, func() {
		cfg := socks.Defaults()
		cfg.Listen = []netip.AddrPort{loopback}
		s := socks.New(cfg, w.Dialer, w.Table, listentest.Quiet)
		if err := s.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		c, err := dial(t, s, nil, "web.o7s:7")
		if err != nil {
			t.Fatal(err)
		}
		control, u := associate(t, s, anyAddress)
		u.Write(asked("web.o7s", 7, []byte("on the way when it ends")))
		s.Close()
		s.Close()
		c.Close()
		control.Close()
		u.Close()
	})
}
