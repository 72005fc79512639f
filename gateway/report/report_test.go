// SPDX-License-Identifier: BSD-3-Clause

package report

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"o7gw/gateway/segment"
	"o7gw/gateway/tunnel"
	"o7gw/proxy/ledger"
)

func example() Report {
	return Report{
		PID: 7, Config: "x.toml", Started: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		Tunnels: []tunnel.Status{
			{Name: "a", Role: "server", Service: "vpn", Device: "tun0", Admitted: 4, RxBytes: 11, TxBytes: 22, Peers: []tunnel.PeerStatus{
				{Flow: 1, Exchanged: true, RxBytes: 10, TxBytes: 20, Prefixes: []netip.Prefix{netip.MustParsePrefix("10.0.0.2/32")}},
				{Flow: 2, RxBytes: 1, TxBytes: 2},
				{Flow: 3, Exchanged: true, Down: true},
			}},
			{Name: "b", Role: "client", Service: "far", LastError: "no such name", Failures: 4},
		},
		Objects: []Object{
			{Kind: "expose", Name: "web", State: StateUp, Service: "web", Serves: true, Book: ledger.Snapshot{
				Open: 3, Total: 9, Refused: 1, Failed: 2, RxBytes: 100, TxBytes: 200,
				Sessions: []ledger.Entry{{Peer: "bob", RxBytes: 5}, {Peer: "bob", RxBytes: 6}, {TxBytes: 7}},
			}},
			{Kind: "socks", State: "down"},
			{Kind: "forward", Name: "f", State: StateUp, Service: "web"},
		},
		Names: []Name{{Name: "web", Addresses: []netip.Addr{netip.MustParseAddr("198.18.0.1")}}, {Name: "asked"}},
	}
}

func TestComplete(t *testing.T) {
	r := example()
	r.Complete()
	var ids []string
	for i := range r.Objects {
		ids = append(ids, r.Objects[i].ID()+" "+r.Objects[i].State)
	}
	if got, want := strings.Join(ids, ", "), "tunnel a up, tunnel b not connected, expose web up, socks down, forward f up"; got != want {
		t.Errorf("objects %s", got)
	}
	if want := (Totals{Objects: 5, Up: 3, Open: 6, Total: 13, Refused: 1, Failed: 6, RxBytes: 111, TxBytes: 222}); r.Totals != want {
		t.Errorf("totals %+v", r.Totals)
	}
	var peers []string
	for _, p := range r.Peers {
		peers = append(peers, fmt.Sprintf("%s/%s/%d/%s/%d/%d", p.Name, p.Object, p.Flow, p.State, p.Sessions, p.RxBytes))
	}
	if got, want := strings.Join(peers, " "), "/tunnel a/1/up/1/10 /tunnel a/2/waiting/1/1 /tunnel a/3/down/1/0 bob/expose web/0/up/2/11 /expose web/0/up/1/0"; got != want {
		t.Errorf("peers %s", got)
	}
	var names []string
	for _, n := range r.Names {
		names = append(names, fmt.Sprint(n.Name, n.Served, n.Objects, n.Addresses))
	}
	if got, want := strings.Join(names, " "), "vpntrue [tunnel a] [] webtrue [expose web forward f] [198.18.0.1] askedfalse [] [] farfalse [tunnel b] []"; got != want {
		t.Errorf("names %s", got)
	}

	var back Report
	b, err := json.Marshal(r)
	if err == nil {
		err = json.Unmarshal(b, &back)
	}
	if err != nil || !reflect.DeepEqual(back.Totals, r.Totals) || len(back.Objects) != 5 || back.Tunnels[0].Peers[0].RxBytes != 10 {
		t.Errorf("%v: %s", err, b)
	}
	// What scripts read since there are tunnels.
	for _, field := range []string{`"pid":7`, `"config":"x.toml"`, `"irmd":false`, `"started":"2026-01-02T03:04:05Z"`, `"tunnels":[{"name":"a"`} {
		if !strings.Contains(string(b), field) {
			t.Errorf("no %s in %s", field, b)
		}
	}
	empty := Report{}
	empty.Complete()
	if b, _ := json.Marshal(empty); strings.Contains(strings.ReplaceAll(string(b), `"started":`, ""), "null") {
		t.Errorf("null in %s", b)
	}
}

func TestSegment(t *testing.T) {
	for want, s := range map[string]segment.Status{
		"up hub true [hub true [segment lan]] [member segment lan 3 down 5]": {
			Listen: []string{"hub"}, Ports: []segment.PortStatus{{Flow: 3, Member: "member", Name: "x", Down: true, RxBytes: 5}},
		},
		"not connected hub false [hub false [segment lan]] []":               {Connect: []string{"hub"}},
		"up wide false [wide false [segment lan]] [wide segment lan 4 up 0]": {Layer: "wide", Ports: []segment.PortStatus{{Flow: 4, Name: "wide"}}},
	} {
		o := Object{Kind: "segment", Name: "lan"}
		o.SetSegment(s)
		r := Report{Objects: []Object{o}}
		r.Complete()
		names, peers := []string{}, []string{}
		for _, n := range r.Names {
			names = append(names, fmt.Sprint(n.Name, " ", n.Served, " ", n.Objects))
		}
		for _, p := range r.Peers {
			peers = append(peers, fmt.Sprint(p.Name, " ", p.Object, " ", p.Flow, " ", p.State, " ", p.RxBytes))
		}
		if got := fmt.Sprint(r.Objects[0].State, " ", o.Service, " ", o.Serves, " ", names, " ", peers); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

func TestCompleteBounds(t *testing.T) {
	var r Report
	for i := range 5000 {
		r.Objects = append(r.Objects, Object{Kind: "forward", Name: fmt.Sprint(i), Service: fmt.Sprint("s", i), Book: ledger.Snapshot{Sessions: []ledger.Entry{{Peer: fmt.Sprint(i)}}}})
	}
	r.Complete()
	if len(r.Peers) != maxPeers || len(r.Names) != maxNames {
		t.Errorf("%d peers, %d names", len(r.Peers), len(r.Names))
	}
	h := NewHistory(3)
	h.Add(time.Now(), &r)
	if n := len(h.Past().Series); n != maxSeries {
		t.Errorf("%d series", n)
	}
}

// withBytes is a report of objects with as many bytes received.
func withBytes(rx map[string]uint64) *Report {
	var r Report
	for name, n := range rx {
		r.Objects = append(r.Objects, Object{Kind: "expose", Name: name, Book: ledger.Snapshot{RxBytes: n, TxBytes: 2 * n, Total: n / 10}})
	}
	r.Complete()
	return &r
}

func rates(r *Report) map[string]*Rate {
	m := map[string]*Rate{}
	for i := range r.Objects {
		m[r.Objects[i].Name] = r.Objects[i].Rate
	}
	return m
}

func TestMeter(t *testing.T) {
	var m Meter
	now := time.Unix(0, 0)
	r := withBytes(map[string]uint64{"a": 1000})
	if m.Measure(now, r); r.Totals.Rate != nil || rates(r)["a"] != nil {
		t.Error("a rate out of one report")
	}
	r = withBytes(map[string]uint64{"a": 3000, "b": 500})
	m.Measure(now.Add(2*time.Second), r)
	if got := rates(r); *got["a"] != (Rate{1000, 2000, 100}) || got["b"] != nil || *r.Totals.Rate != (Rate{1000, 2000, 100}) {
		t.Errorf("%+v, %+v", got["a"], r.Totals.Rate)
	}
	// a began again, b is gone, and time stands still.
	r = withBytes(map[string]uint64{"a": 100})
	m.Measure(now.Add(4*time.Second), r)
	if got := rates(r); *got["a"] != (Rate{50, 100, 5}) {
		t.Errorf("%+v", got["a"])
	}
	r = withBytes(map[string]uint64{"a": 200})
	if m.Measure(now.Add(4*time.Second), r); rates(r)["a"] != nil || r.Totals.Rate != nil {
		t.Error("a rate of no time")
	}
}

// TestHistory: all series are as long as the times, and at each time is what
// was there, whatever comes and goes.
func TestHistory(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		max := rapid.IntRange(1, 8).Draw(t, "max")
		steps := rapid.SliceOfN(rapid.SliceOfDistinct(rapid.SampledFrom([]string{"a", "b", "c"}), func(s string) string { return s }), 1, 20).Draw(t, "steps")
		h := NewHistory(max)
		type point struct{ rx, open float64 }
		var truth []map[string]point
		for i, names := range steps {
			var r Report
			p := map[string]point{}
			for _, n := range names {
				v := float64(rand.IntN(1000))
				r.Objects = append(r.Objects, Object{Kind: "k", Name: n, Rate: &Rate{Rx: v}, Book: ledger.Snapshot{Open: i}})
				p[n] = point{v, float64(i)}
			}
			h.Add(time.UnixMilli(int64(i)), &r)
			truth = append(truth, p)
		}
		truth = truth[len(truth)-min(max, len(truth)):]
		past := h.Past()
		if len(past.Times) != len(truth) || past.Times[len(truth)-1] != int64(len(steps)-1) {
			t.Fatalf("times %v", past.Times)
		}
		seen := map[string]bool{}
		for i, s := range past.Series {
			if len(s.Rx) != len(truth) || len(s.Tx) != len(truth) || len(s.Open) != len(truth) {
				t.Fatalf("series %+v", s)
			}
			if i == 0 {
				continue
			}
			if seen[s.Name] {
				t.Fatalf("%s twice", s.Name)
			}
			seen[s.Name] = true
			if s.gone() {
				t.Fatalf("%s is still there", s.Name)
			}
			for k, p := range truth {
				want, ok := p[s.Name]
				if !ok {
					want = point{-1, -1}
				}
				if float64(s.Rx[k]) != want.rx || float64(s.Open[k]) != want.open {
					t.Fatalf("%s at %d: %v, %v, want %v", s.Name, k, s.Rx[k], s.Open[k], want)
				}
			}
		}
		for _, p := range truth {
			for n := range p {
				if !seen[n] {
					t.Fatalf("no series of %s", n)
				}
			}
		}
	})
}

func BenchmarkHistory(b *testing.B) {
	var r Report
	for i := range 50 {
		r.Objects = append(r.Objects, Object{Kind: "k", Name: fmt.Sprint(i), Rate: &Rate{}})
	}
	h := NewHistory(600)
	b.ReportAllocs()
	for b.Loop() {
		h.Add(time.Now(), &r)
	}
}
