// SPDX-License-Identifier: BSD-3-Clause

package web

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"o7gw/gateway/report"
	"o7gw/proxy/ledger"
	"o7gw/proxy/session"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// ask sends a request as written, and returns status and body.
func ask(t *testing.T, s *Server, method, path, host string, header ...string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequest(method, "http://"+s.Addr().String()+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if host != "" {
		r.Host = host
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}
	res, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(b)
}

func TestParts(t *testing.T) {
	s := serve(t, Defaults(), newFake(t))
	for path, kind := range map[string]string{
		"/": "text/html; charset=utf-8", "/app.js": "text/javascript; charset=utf-8", "/plot.js": "text/javascript; charset=utf-8",
		"/style.css": "text/css; charset=utf-8", "/icon.svg": "image/svg+xml", "/api/status": "application/json", "/api/past": "application/json",
	} {
		res, body := ask(t, s, "GET", path, "")
		if res.StatusCode != 200 || res.Header.Get("Content-Type") != kind || body == "" {
			t.Errorf("%s: %s, %s, %d bytes", path, res.Status, res.Header.Get("Content-Type"), len(body))
		}
		if csp := res.Header.Get("Content-Security-Policy"); !strings.HasPrefix(csp, "default-src 'none'; script-src 'self'; style-src 'self'") || strings.Contains(csp, "unsafe") {
			t.Errorf("%s: Content-Security-Policy %q", path, csp)
		}
		if res.Header.Get("X-Content-Type-Options") != "nosniff" || res.Header.Get("Referrer-Policy") != "no-referrer" {
			t.Errorf("%s: %v", path, res.Header)
		}
		if res, body := ask(t, s, "HEAD", path, ""); res.StatusCode != 200 || body != "" {
			t.Errorf("HEAD %s: %s, %d bytes", path, res.Status, len(body))
		}
		if tag := res.Header.Get("ETag"); tag != "" {
			if res, _ := ask(t, s, "GET", path, "", "If-None-Match", tag); res.StatusCode != http.StatusNotModified {
				t.Errorf("%s once more: %s", path, res.Status)
			}
		}
	}
	for _, path := range []string{"/nothing", "/page/", "/../server.go", "/metrics", "/app.js/x"} {
		if res, _ := ask(t, s, "GET", path, ""); res.StatusCode != 404 {
			t.Errorf("%s: %s", path, res.Status)
		}
	}
	var r report.Report
	_, body := ask(t, s, "GET", "/api/status", "")
	if err := json.Unmarshal([]byte(body), &r); err != nil || len(r.Objects) != 4 || r.Totals.Open != 4 || r.PID != 7 {
		t.Errorf("status: %v, %+v", err, r)
	}
}

func TestHostAndMethod(t *testing.T) {
	cfg := Defaults()
	cfg.Hosts = []string{"Gateway.example.org"}
	s := serve(t, cfg, newFake(t))
	for host, want := range map[string]int{
		"127.0.0.1": 200, "127.0.0.1:8077": 200, "localhost:1": 200, "LOCALHOST": 200, "[::1]:80": 200, "[::1]": 200,
		"gateway.example.org": 200, "gateway.example.org.:80": 200,
		"evil.example": 421, "evil.example:8077": 421, "localhost.evil.example": 421, "127.0.0.1.evil.example": 421, "example.org": 421,
	} {
		if res, body := ask(t, s, "GET", "/api/status", host); res.StatusCode != want || want != 200 && strings.Contains(body, "objects") {
			t.Errorf("host %s: %s, want %d", host, res.Status, want)
		}
	}
	for _, method := range []string{"POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "X"} {
		res, _ := ask(t, s, method, "/", "")
		if res.StatusCode != 405 || res.Header.Get("Allow") != "GET, HEAD" || res.Header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s: %s, %v", method, res.Status, res.Header)
		}
	}
	for site, want := range map[string]int{"cross-site": 403, "same-site": 403, "same-origin": 200, "none": 200} {
		if res, _ := ask(t, s, "GET", "/api/status", "", "Sec-Fetch-Site", site, "Sec-Fetch-Mode", "cors"); res.StatusCode != want {
			t.Errorf("from a page of %s: %s", site, res.Status)
		}
	}
}

func TestToken(t *testing.T) {
	cfg := Defaults()
	cfg.Token = secret
	s := serve(t, cfg, newFake(t))
	status := func(path string, header ...string) int {
		t.Helper()
		res, body := ask(t, s, "GET", path, "", header...)
		if res.StatusCode != 200 && strings.Contains(body, secret) {
			t.Error("the token is told")
		}
		return res.StatusCode
	}
	res, _ := ask(t, s, "GET", "/?token="+secret, "")
	cookies := res.Cookies()
	if res.StatusCode != 200 || len(cookies) != 1 {
		t.Fatalf("with the token: %s, cookies %v", res.Status, cookies)
	}
	c := cookies[0]
	if !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || c.Path != "/" || strings.Contains(c.Value, secret) {
		t.Errorf("cookie: %+v", c)
	}
	other, _ := cookie(&Config{Listen: netip.MustParseAddrPort("127.0.0.1:1")})
	for what, c := range map[string]struct {
		want   int
		path   string
		header []string
	}{
		"nothing":              {401, "/", nil},
		"status":               {401, "/api/status", nil},
		"events":               {401, "/events", nil},
		"part":                 {401, "/app.js", nil},
		"unknown path":         {401, "/nothing", nil},
		"bearer":               {200, "/api/status", []string{"Authorization", "Bearer " + secret}},
		"wrong bearer":         {401, "/api/status", []string{"Authorization", "Bearer " + secret + "x"}},
		"prefix as bearer":     {401, "/api/status", []string{"Authorization", "Bearer " + secret[:5]}},
		"empty bearer":         {401, "/api/status", []string{"Authorization", "Bearer "}},
		"other scheme":         {401, "/api/status", []string{"Authorization", "Basic " + secret}},
		"cookie":               {200, "/api/status", []string{"Cookie", c.Name + "=" + c.Value}},
		"token as cookie":      {401, "/api/status", []string{"Cookie", c.Name + "=" + secret}},
		"empty cookie":         {401, "/api/status", []string{"Cookie", c.Name + "="}},
		"other gateway's":      {401, "/api/status", []string{"Cookie", other + "=" + c.Value}},
		"query":                {200, "/api/status?token=" + secret, nil},
		"wrong query":          {401, "/api/status?token=x", nil},
		"wrong query, cookie":  {401, "/api/status?token=x", []string{"Cookie", c.Name + "=" + c.Value}},
		"wrong bearer, cookie": {401, "/api/status", []string{"Authorization", "Bearer x", "Cookie", c.Name + "=" + c.Value}},
	} {
		if got := status(c.path, c.header...); got != c.want {
			t.Errorf("%s: %d, want %d", what, got, c.want)
		}
	}
	if got := s.Book().Snapshot(0).Refused; got == 0 {
		t.Error("no refused request was counted")
	}

	cfg.Token = "another-secret-of-mine"
	cfg.Listen = s.Config().Listen
	if keys := s.Update(cfg); keys != nil {
		t.Errorf("a new token needs a restart: %v", keys)
	}
	if got := status("/api/status", "Cookie", c.Name+"="+c.Value); got != 401 {
		t.Errorf("the old cookie with a new token: %d", got)
	}
	if got := status("/api/status?token=" + cfg.Token); got != 200 {
		t.Errorf("the new token: %d", got)
	}
}

// TestOpen: what everybody could read does not start, nor come about by a reload.
func TestOpen(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	s := New(Config{Listen: netip.MustParseAddrPort("0.0.0.0:0")}, newFake(t).report, nil, log)
	if err := s.Start(context.Background()); !errors.Is(err, ErrToken) {
		t.Errorf("without a token: %v", err)
	}
	s.Close()
	open := Config{Listen: netip.MustParseAddrPort("0.0.0.0:0"), Token: secret}
	s = serve(t, open, newFake(t))
	if keys := s.Update(Config{Listen: netip.MustParseAddrPort("127.0.0.1:1")}); len(keys) != 2 || s.Config().Token != secret {
		t.Errorf("%v, %+v", keys, s.Config())
	}
	if _, body := ask(t, s, "GET", "/", "192.0.2.1"); !strings.Contains(body, "needs its token") {
		t.Error(body)
	}
}

// stream reads server-sent events.
type stream struct {
	t    *testing.T
	body io.ReadCloser
	r    *bufio.Reader
}

func follow(t *testing.T, s *Server) *stream {
	t.Helper()
	res, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Get("http://" + s.Addr().String() + "/events")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { res.Body.Close() })
	if res.StatusCode != 200 || res.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("events: %s, %v", res.Status, res.Header)
	}
	return &stream{t, res.Body, bufio.NewReader(res.Body)}
}

func (s *stream) next(into any) (name string) {
	s.t.Helper()
	for {
		line, err := s.r.ReadString('\n')
		if err != nil {
			s.t.Fatal(err)
		}
		if n, ok := strings.CutPrefix(line, "event: "); ok {
			name = strings.TrimSpace(n)
		}
		if data, ok := strings.CutPrefix(line, "data: "); ok {
			if err := json.Unmarshal([]byte(data), into); err != nil {
				s.t.Fatal(err)
			}
			return name
		}
	}
}

func TestEvents(t *testing.T) {
	f := newFake(t)
	s := serve(t, Defaults(), f)
	<-s.live.first
	e := follow(t, s)
	var past report.Past
	if name := e.next(&past); name != "past" || len(past.Times) == 0 || len(past.Series) != 5 {
		t.Fatalf("%s: %+v", name, past)
	}
	var one, two Sample
	if name := e.next(&one); name != "now" || len(one.Report.Objects) != 4 || one.Time < past.Times[0] {
		t.Fatalf("%s: %+v", name, one)
	}
	f.traffic(1000)
	for two = one; two.Report.Totals.RxBytes == one.Report.Totals.RxBytes; {
		e.next(&two)
	}
	if got := two.Report.Totals.RxBytes - one.Report.Totals.RxBytes; got != 2000 || two.Report.Totals.Rate == nil || two.Report.Totals.Rate.Rx <= 0 {
		t.Errorf("%d bytes more, rate %+v", got, two.Report.Totals.Rate)
	}
	fewer := func(than int) { // the server notices the end of a reader after a while
		for {
			s.live.mu.Lock()
			n := len(s.live.readers)
			s.live.mu.Unlock()
			if n < than {
				return
			}
			time.Sleep(time.Millisecond)
		}
	}
	e.body.Close()
	fewer(1)

	// As many as there may be, and room again when one goes.
	var all []*stream
	for range maxReaders {
		all = append(all, follow(t, s))
	}
	if res, _ := ask(t, s, "GET", "/events", ""); res.StatusCode != 503 || res.Header.Get("Retry-After") == "" {
		t.Errorf("one too many: %s", res.Status)
	}
	if res, _ := ask(t, s, "HEAD", "/events", ""); res.StatusCode != 200 {
		t.Errorf("HEAD: %s", res.Status)
	}
	all[0].body.Close()
	fewer(maxReaders)
	follow(t, s)
}

// TestBounds: requests that are too long, have a body, or never end.
func TestBounds(t *testing.T) {
	s := serve(t, Defaults(), newFake(t))
	raw := func(request string) string {
		t.Helper()
		c, err := net.Dial("tcp", s.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(10 * time.Second))
		io.WriteString(c, request)
		line, err := bufio.NewReader(c).ReadString('\n')
		if err != nil {
			return err.Error()
		}
		return strings.TrimSpace(line)
	}
	for request, want := range map[string]string{
		"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + strings.Repeat("x", 20<<10) + "\r\n\r\n": "HTTP/1.1 431",
		"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello":                 "HTTP/1.1 400",
		"GET / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n":    "HTTP/1.1 400",
		"GET / HTTP/1.0\r\n\r\n": "HTTP/1.0 421",
		"GET / HTTP/1.1\r\n\r\n": "HTTP/1.1 400",
		"GET http://evil.example/ HTTP/1.1\r\nHost: localhost\r\n\r\n": "HTTP/1.1 421",
		"nonsense\r\n\r\n": "HTTP/1.1 400",
	} {
		if got := raw(request); !strings.HasPrefix(got, want) {
			t.Errorf("%.60q: %s, want %s", request, got, want)
		}
	}
	// More connections than there may be do not take more of the gateway.
	for range 2 * maxConns {
		c, err := net.Dial("tcp", s.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
}

func TestNewest(t *testing.T) {
	f := newFake(t)
	r := f.report()
	newest(&r, 2)
	n := 0
	for i := range r.Objects {
		n += len(r.Objects[i].Book.Sessions)
	}
	if n != 2 || r.Totals.Open != 4 {
		t.Errorf("%d sessions, %+v", n, r.Totals)
	}
}

// TestLife: a hundred servers leave nothing; Close ends live streams.
func TestLife(t *testing.T) {
	f := newFake(t)
	descriptors := func() int {
		d, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(d)
	}
	var before int
	for i := range 100 {
		cfg := at("127.0.0.1:0")
		s := New(cfg, f.report, nil, slog.New(slog.DiscardHandler))
		if i%10 == 0 {
			s.Close() // without Start
			if err := s.Start(context.Background()); err == nil {
				t.Fatal("started after Close")
			}
			continue
		}
		if err := s.Start(context.Background()); err != nil {
			t.Fatal(err)
		}
		res, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Get("http://" + s.Addr().String() + "/events")
		if err != nil {
			t.Fatal(err)
		}
		if i%3 == 0 {
			s.Drain()
			if c, err := net.Dial("tcp", s.Addr().String()); err == nil {
				c.Close()
				t.Error("a draining server takes connections")
			}
		}
		s.Close()
		s.Close()
		io.Copy(io.Discard, res.Body) // until Close has ended it
		res.Body.Close()
		if i == 21 {
			before = descriptors()
		}
	}
	if after := descriptors(); after > before+2 {
		t.Errorf("%d descriptors, and then %d", before, after)
	}
	taken := serve(t, at("127.0.0.1:0"), f)
	s := New(at(taken.Addr().String()), f.report, nil, slog.New(slog.DiscardHandler))
	if err := s.Start(context.Background()); err == nil || !strings.Contains(err.Error(), "address already in use") {
		t.Errorf("on a taken address: %v", err)
	}
	s.Close()
}

// TestSlowReader: one who takes nothing keeps nobody waiting, and gets the
// newest sample, not an old one.
func TestSlowReader(t *testing.T) {
	l := newLive()
	slow := l.join()
	for i := range 10 {
		if err := l.publish(&Sample{Time: int64(i)}); err != nil {
			t.Fatal(err)
		}
	}
	if b := string(<-slow.next); !strings.Contains(b, `"time":9,`) || len(slow.next) != 0 {
		t.Errorf("%s, and %d more", b, len(slow.next))
	}
	l.leave(slow)
	l.publish(&Sample{})
	if len(slow.next) != 0 {
		t.Error("one who left gets samples")
	}
	if err := l.publish(&Sample{Report: report.Report{Objects: []report.Object{{Detail: func() {}}}}}); err != nil {
		t.Errorf("without readers nothing is written: %v", err)
	}
	l.join()
	if err := l.publish(&Sample{Report: report.Report{Objects: []report.Object{{Detail: func() {}}}}}); err == nil {
		t.Error("a function as JSON")
	}
}

// BenchmarkSample is what a second costs a gateway with 5000 sessions and one
// reader.
func BenchmarkSample(b *testing.B) {
	book := ledger.New("expose", "web", slog.New(slog.DiscardHandler))
	for i := range 5000 {
		book.Open(ledger.Info{Proto: session.TCP, Source: fmt.Sprint("192.0.2.1:", i), Service: "web"})
	}
	l := newLive()
	l.join()
	h := report.NewHistory(maxPast)
	var m report.Meter
	b.ReportAllocs()
	for b.Loop() {
		r := report.Report{Objects: []report.Object{{Kind: "expose", Name: "web", Book: book.Snapshot(100)}}}
		r.Complete()
		m.Measure(time.Now(), &r)
		h.Add(time.Now(), &r)
		newest(&r, maxShown)
		if err := l.publish(&Sample{Report: r}); err != nil {
			b.Fatal(err)
		}
	}
}
