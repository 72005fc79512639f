// SPDX-License-Identifier: BSD-3-Clause

package metrics

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"o7gw/gateway/report"
	"o7gw/gateway/tunnel"
	"o7gw/o7s/ipcp"
	"o7gw/o7s/node"
	"o7gw/proxy/ledger"
	"o7gw/proxy/session"
)

// hostile is what a name from the network may look like.
const hostile = "a\"} 1\nfake_metric{x=\"\\\xff"

type detail struct {
	Conns   int           `json:"connections"`
	Passed  uint64        `json:"passed_packets"`
	Name    string        `json:"name"`
	Up      time.Duration `json:"up_ns"`
	Strange int           `json:"Strange-Name"`
	hidden  int
}

func sampleReport() report.Report {
	log := slog.New(slog.DiscardHandler)
	b := ledger.New("expose", hostile, log)
	b.SetState(report.StateUp, nil)
	s := b.Open(ledger.Info{Proto: session.TCP, Peer: hostile})
	s.Rx(3, 1000)
	s.Tx(2, 500)
	b.Open(ledger.Info{Proto: session.UDP}).Close(nil)
	b.Refused(ledger.Info{Target: hostile}, session.Denied)
	b.Refused(ledger.Info{}, errors.New(hostile))
	r := report.Report{
		Started: time.Unix(1000, 0),
		Tunnels: []tunnel.Status{{Name: "office", Role: "client", MTU: 1400, NoRoute: 5, LastError: hostile}},
		Objects: []report.Object{
			{Kind: "expose", Name: hostile, State: report.StateUp, Service: "web", Serves: true, Book: b.Snapshot(10)},
			{Kind: "intercept", Name: "lan", State: "down", Detail: detail{Conns: 4, Passed: 1 << 40, Up: 1, Strange: 1, hidden: 1}},
			{Kind: "segment", Name: "x", Detail: &detail{Conns: 5}},
			{Kind: "names", Detail: (*detail)(nil)},
		},
		Names: []report.Name{{Name: "mail", Addresses: []netip.Addr{netip.MustParseAddr("198.18.0.2")}}},
	}
	r.Complete()
	return r
}

// line is a sample line: name, labels, value.
var line = regexp.MustCompile(`^([a-zA-Z_:][a-zA-Z0-9_:]*)(\{(?:[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\[\\n"])*",?)*\})? (\S+)$`)

// parse reads an exposition strictly, and returns the samples by name and
// labels.
func parse(t *testing.T, body string, open bool) map[string]float64 {
	t.Helper()
	samples, types := map[string]float64{}, map[string]string{}
	lines := strings.Split(strings.TrimSuffix(body, "\n"), "\n")
	if open {
		if lines[len(lines)-1] != "# EOF" || !strings.HasSuffix(body, "# EOF\n") {
			t.Error("no # EOF at the end")
		}
		lines = lines[:len(lines)-1]
	}
	current, done := "", map[string]bool{}
	for _, l := range lines {
		if h, ok := strings.CutPrefix(l, "# TYPE "); ok {
			name, kind, _ := strings.Cut(h, " ")
			if types[name] != "" {
				t.Errorf("%s has two types", name)
			}
			types[name] = kind
			done[current], current = true, name
			continue
		}
		if strings.HasPrefix(l, "# HELP ") {
			continue
		}
		m := line.FindStringSubmatch(l)
		if m == nil {
			t.Errorf("not a sample: %q", l)
			continue
		}
		v, err := strconv.ParseFloat(m[3], 64)
		if err != nil {
			t.Errorf("%q: %v", l, err)
		}
		if _, twice := samples[m[1]+m[2]]; twice {
			t.Errorf("twice: %s%s", m[1], m[2])
		}
		samples[m[1]+m[2]] = v
		if strings.HasPrefix(m[1], "o7gw_") || strings.HasPrefix(m[1], "ouroboros_") {
			family := m[1]
			if open {
				switch types[current] {
				case "counter":
					family = strings.TrimSuffix(m[1], "_total")
				case "info":
					family = strings.TrimSuffix(m[1], "_info")
				}
				if types[current] == "counter" && family == m[1] {
					t.Errorf("counter without _total: %q", l)
				}
			}
			if family != current || done[family] {
				t.Errorf("%q stands in the family %s", l, current)
			}
		}
	}
	return samples
}

func get(t *testing.T, h http.Handler, accept string) (kind, body string) {
	t.Helper()
	r := httptest.NewRequest("GET", "/metrics", nil)
	r.Header.Set("Accept", accept)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Header().Get("Content-Type"), w.Body.String()
}

func TestFormats(t *testing.T) {
	h := Handler(sampleReport, nil)
	for accept, want := range map[string]string{
		"":    plainText,
		"*/*": plainText,
		"text/plain;version=0.0.4;q=0.5,*/*;q=0.1":                                              plainText,
		"application/openmetrics-text; version=1.0.0; charset=utf-8":                            openMetrics,
		"application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.4":       openMetrics,
		"text/plain, application/openmetrics-text;q=0":                                          plainText,
		"application/vnd.google.protobuf;q=0.7, Application/OpenMetrics-Text;version=\"0.0.1\"": openMetrics,
	} {
		kind, body := get(t, h, accept)
		if kind != want {
			t.Errorf("Accept %q: %s", accept, kind)
		}
		samples := parse(t, body, want == openMetrics)
		name := `"a\"} 1\nfake_metric{x=\"\\` + "\uFFFD" + `"`
		for sample, want := range map[string]float64{
			"o7gw_start_time_seconds":                                            1000,
			"o7gw_uses_daemon":                                                   0,
			`o7gw_object_up{kind="expose",name=` + name + `}`:                    1,
			`o7gw_object_up{kind="intercept",name="lan"}`:                        0,
			`o7gw_object_up{kind="tunnel",name="office"}`:                        0,
			`o7gw_sessions_open{kind="expose",name=` + name + `}`:                1,
			`o7gw_sessions_total{kind="expose",name=` + name + `}`:               2,
			`o7gw_sessions_refused_total{kind="expose",name=` + name + `}`:       1,
			`o7gw_sessions_failed_total{kind="expose",name=` + name + `}`:        1,
			`o7gw_received_bytes_total{kind="expose",name=` + name + `}`:         1000,
			`o7gw_sent_bytes_total{kind="expose",name=` + name + `}`:             500,
			`o7gw_received_packets_total{kind="expose",name=` + name + `}`:       3,
			`o7gw_tunnel_dropped_packets_total{name="office",reason="no_route"}`: 5,
			`o7gw_intercept_connections{name="lan"}`:                             4,
			`o7gw_intercept_passed_packets{name="lan"}`:                          1 << 40,
			`o7gw_segment_connections{name="x"}`:                                 5,
			"o7gw_names_served":                                                  1,
			"o7gw_names_with_addresses":                                          1,
		} {
			if got, ok := samples[sample]; !ok || got != want {
				t.Errorf("Accept %q: %s is %v (%v), want %v", accept, sample, got, ok, want)
			}
		}
		for _, name := range []string{"process_resident_memory_bytes", "process_open_fds", "go_goroutines"} {
			if samples[name] <= 0 {
				t.Errorf("%s is %v", name, samples[name])
			}
		}
		for _, unwanted := range []string{"fake_metric{", "up_ns", "trange", "hidden"} {
			for sample := range samples {
				if strings.HasPrefix(sample, unwanted) || strings.HasPrefix(sample, "o7gw_intercept_"+unwanted) {
					t.Error(sample)
				}
			}
		}
	}
}

// twoLayers is a node that has a layer over another one.
func twoLayers(t *testing.T) *node.Node {
	t.Helper()
	ctx := context.Background()
	n, err := node.New(ctx, node.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Close() })
	for _, p := range []struct {
		name string
		cfg  ipcp.Config
	}{
		{`under / "it"`, ipcp.Config{Type: ipcp.UDP4, Layer: "net", UDP: ipcp.UDPConfig{Addr: netip.MustParseAddr("127.78.0.1")}}},
		{"uni", ipcp.Config{Type: ipcp.Unicast, Layer: "top"}},
	} {
		id, err := n.IRM().CreateIPCP(p.cfg.Type, p.name)
		if err == nil {
			err = n.IRM().Bootstrap(ctx, id, p.cfg)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return n
}

// TestNode: what a node tells of its layers.
func TestNode(t *testing.T) {
	n := twoLayers(t)
	_, body := get(t, Handler(sampleReport, n.IRM().RIB()), "application/openmetrics-text")
	samples := parse(t, body, true)
	for sample, want := range map[string]float64{
		`ouroboros_ipcps{type="unicast"}`:                                           1,
		`ouroboros_ipcp_operational{ipcp="uni",layer="top",type="unicast"}`:         1,
		`ouroboros_ipcp_operational{ipcp="under / \"it\"",layer="net",type="udp4"}`: 1,
		`ouroboros_flow_allocator_flows{ipcp="uni",layer="top",type="unicast"}`:     0,
		`ouroboros_lsdb_links{ipcp="uni",layer="top"}`:                              0,
		"ouroboros_irm_ipcps":                           2,
		"ouroboros_irm_handshakes_requests_taken_total": 0,
	} {
		if got, ok := samples[sample]; !ok || got != want {
			t.Errorf("%s is %v (%v), want %v", sample, got, ok, want)
		}
	}
}

// TestBounded: a gateway with very many objects has an answer of a bounded
// length, that says so.
func TestBounded(t *testing.T) {
	r := report.Report{}
	for i := range maxSeries {
		r.Objects = append(r.Objects, report.Object{Kind: "forward", Name: fmt.Sprint(i)})
	}
	b := text(r, nil, true)
	samples := parse(t, string(b), true)
	if len(samples) > maxSeries+200 || samples["o7gw_metrics_dropped"] == 0 {
		t.Errorf("%d samples, %v dropped", len(samples), samples["o7gw_metrics_dropped"])
	}
	long := escape(strings.Repeat("ä", maxLabel))
	if len(long) > maxLabel+4 {
		t.Errorf("a label of %d bytes", len(long))
	}
}

// FuzzLabel: whatever a name is, its sample stays one line of the right form.
func FuzzLabel(f *testing.F) {
	f.Add(hostile, "x")
	f.Add("\\", "\"")
	f.Add("\xff\n", strings.Repeat("\"", 300))
	f.Fuzz(func(t *testing.T, a, b string) {
		l := "m" + labelText([]string{"a", a, "b", b}) + " 1"
		if !line.MatchString(l) {
			t.Errorf("%q", l)
		}
	})
}

func BenchmarkText(b *testing.B) {
	r := sampleReport()
	b.ReportAllocs()
	for b.Loop() {
		text(r, nil, true)
	}
}
