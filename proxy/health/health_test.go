// SPDX-License-Identifier: BSD-3-Clause

package health

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestState: an opinion changes after enough checks in a row.
func TestState(t *testing.T) {
	for _, c := range []struct {
		rise, fall int
		checks     string // + is a good one
		want       string // the opinions, where they are new
	}{
		{1, 1, "+-+", "+-+"},
		{1, 3, "+--+---", "+     -"},
		{2, 1, "-+-++", "-   +"},
		{1, 3, "-", "-"},
		{3, 2, "+-+--+++-", "+   -  +"},
	} {
		s := state{rise: c.rise, fall: c.fall}
		got := ""
		for _, good := range c.checks {
			switch {
			case !s.take(good == '+'):
				got += " "
			case s.up:
				got += "+"
			default:
				got += "-"
			}
		}
		if strings.TrimRight(got, " ") != c.want {
			t.Errorf("rise %d, fall %d, %s: %q, want %q", c.rise, c.fall, c.checks, got, c.want)
		}
	}
}

// TestCheck: what a check takes for good.
func TestCheck(t *testing.T) {
	mux := http.NewServeMux()
	answer := func(path string, status int) {
		mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })
	}
	answer("/good", 204)
	answer("/moved", 301) // to nowhere: the answer itself is good
	answer("/missing", 404)
	answer("/broken", 503)
	mux.HandleFunc("/cut", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		fmt.Fprint(w, "too little")
	})
	hang := make(chan struct{})
	mux.HandleFunc("/hang", func(http.ResponseWriter, *http.Request) { <-hang })
	server := httptest.NewServer(mux)
	defer server.Close()
	defer close(hang)
	addr := server.Listener.Addr().String()

	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := l.Addr().String()
	l.Close()

	for _, c := range []struct {
		cfg  Config
		addr string
		good bool
	}{
		{Config{TCP: true}, addr, true},
		{Config{TCP: true}, closed, false},
		{Config{HTTP: "/good"}, addr, true},
		{Config{HTTP: "/moved"}, addr, true},
		{Config{HTTP: "/missing"}, addr, false},
		{Config{HTTP: "/broken"}, addr, false},
		{Config{HTTP: "/cut"}, addr, false},
		{Config{HTTP: "/good"}, closed, false},
		{Config{HTTP: "/%zz"}, addr, false},
		{Config{HTTP: "/hang"}, addr, false},
	} {
		c.cfg.Timeout = 10 * time.Second
		if c.cfg.HTTP == "/hang" {
			c.cfg.Timeout = 20 * time.Millisecond
		}
		if err := check(t.Context(), &c.cfg, c.addr); (err == nil) != c.good {
			t.Errorf("%+v: %v", c.cfg, err)
		}
	}
}

// TestRun: the service goes and comes back at another address, and an opinion
// that has no effect is told again.
func TestRun(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var addr atomic.Pointer[string]
	set := func(s string) { addr.Store(&s) }
	set(l.Addr().String())
	ctx, cancel := context.WithCancel(t.Context())
	c := Config{TCP: true, Interval: time.Millisecond, Timeout: time.Second, Rise: 2, Fall: 2}
	type opinion struct {
		up  bool
		err error
	}
	told := make(chan opinion)
	taken := make(chan bool)
	done := make(chan struct{})
	go func() {
		defer close(done)
		Run(ctx, c, func() string { return *addr.Load() }, func(up bool, err error) bool {
			told <- opinion{up, err}
			return <-taken
		})
	}()
	var got []bool
	expect := func(up, take bool) {
		t.Helper()
		o := <-told
		got = append(got, o.up)
		if o.up != up || (o.err == nil) != up {
			t.Fatalf("%v: %v after %v", o.up, o.err, got)
		}
		taken <- take
	}
	expect(true, false)
	expect(true, true)
	l.Close()
	expect(false, true)
	l2, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l2.Close()
	set(l2.Addr().String())
	expect(true, true)
	cancel()
	<-done
	if !slices.Equal(got, []bool{true, true, false, true}) {
		t.Error(got)
	}
}

// TestEnd: a check under way ends with Run.
func TestEnd(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx, cancel := context.WithCancelCause(t.Context())
	c := Defaults()
	c.HTTP, c.Timeout = "/", time.Hour
	done := make(chan struct{})
	go func() {
		defer close(done)
		Run(ctx, c, func() string { return l.Addr().String() }, func(bool, error) bool {
			t.Error("an opinion without an answer")
			return true
		})
	}()
	conn, err := l.Accept() // and nothing is answered
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	cancel(errors.New("test"))
	<-done
}
