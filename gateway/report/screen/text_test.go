// SPDX-License-Identifier: BSD-3-Clause

package screen

import (
	"bytes"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"
	"unicode"

	"o7gw/gateway/report"
	"o7gw/gateway/segment"
	"o7gw/gateway/tunnel"
	"o7gw/proxy/ledger"
)

// hostile is what a peer may call itself to have a terminal obey.
const hostile = "a\x1b[2J\x1b]0;owned\x07\r\nb\u202e\u009b31m\xff"

func example() report.Report {
	at := time.Date(2026, 1, 2, 12, 4, 5, 0, time.UTC)
	r := report.Report{
		PID: 7, Config: "x.toml", Started: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		Tunnels: []tunnel.Status{{
			Name: "a", Role: "client", Service: "vpn", Device: "tun0", MTU: 1468, Mode: "o7gw",
			Addresses: []netip.Prefix{netip.MustParsePrefix("10.0.0.1/24")},
			Peers:     []tunnel.PeerStatus{{Flow: 1, Exchanged: true, MTU: 1468, Since: time.Minute, RxBytes: 12_345_678, TxBytes: 999, BadSource: 3, Prefixes: []netip.Prefix{netip.MustParsePrefix("10.0.0.2/32")}}},
		}, {Name: "b", Role: "server", Service: "x", LastError: "no such name", Failures: 4}},
		Objects: []report.Object{
			{Kind: "expose", Name: "web", State: "up", Service: "web", Serves: true, Rate: &report.Rate{Rx: 125_000, Tx: 1}, Book: ledger.Snapshot{
				Open: 3, Total: 9, Refused: 1, RxBytes: 1_500_000, LastError: "127.0.0.1:80: connection refused", ErrorTime: &at,
				Sessions: []ledger.Entry{
					{Proto: "tcp", Peer: "bob", Source: "10.1.1.1:5", Target: "127.0.0.1:80", Age: 3 * time.Second, RxBytes: 10},
					{Proto: "udp", Peer: hostile, Age: 90 * time.Second},
				},
			}},
			{Kind: "socks", State: "up", Listen: []string{"tcp:127.0.0.1:1080"}, Book: ledger.Snapshot{
				Open: 1, Total: 1, Sessions: []ledger.Entry{{Proto: "tcp", Service: "mail", Target: "mail.o7s:25", Age: time.Second}},
			}},
		},
	}
	lan := report.Object{Kind: "segment", Name: "lan"}
	lan.SetSegment(segment.Status{Device: "tap0", Connect: []string{"hub"}, RxBytes: 2000, Ports: []segment.PortStatus{{Flow: 9, Member: hostile, RxBytes: 2000}}})
	r.Objects = append(r.Objects, lan)
	r.Complete()
	return r
}

// TestText: to the byte, since scripts and eyes get used to it.
func TestText(t *testing.T) {
	r := example()
	var b bytes.Buffer
	if err := Text(&b, &r, 20); err != nil {
		t.Fatal(err)
	}
	want := `Gateway 7, x.toml, embedded node, since 2026-01-02 03:04:05.
5 of 5 objects up. Sessions: 6 open, 10 in all, 1 refused, 4 failed.

OBJECT       STATE  SERVICE  AT                  SESSIONS  REFUSED  FAILED  RECEIVED  SENT  RATES (IN, OUT)
expose web   up     web                          3 of 9    1        0       1.5 MB    0 B   1.0 Mbit/s, 8 bit/s
  last error: 12:04:05 127.0.0.1:80: connection refused
socks        up              tcp:127.0.0.1:1080  1 of 1    0        0       0 B       0 B
segment lan  up     hub      tap0                1         0        0       2.0 kB    0 B

Tunnel a: client of vpn on tun0 (10.0.0.1/24), MTU 1468, mode o7gw
  FLOW  STATE  SINCE  MTU   RECEIVED  SENT   DROPPED  PREFIXES
  1     up     1m0s   1468  12.3 MB   999 B  3        10.0.0.2/32

Tunnel b: server of x on  (), MTU 0, mode ` + `
  not connected, 4 attempts: no such name
  no peer

PEER OF      FLOW  PEER                      STATE  RECEIVED  SENT
segment lan  9     a` + "\uFFFD[2J\uFFFD]0;owned\uFFFD\uFFFD\uFFFDb\uFFFD\uFFFD31m\uFFFD" + `  up     2.0 kB    0 B

SESSION OF  PROTOCOL  FROM        TO            SERVICE  PEER                      AGE    RECEIVED  SENT
socks       tcp                   mail.o7s:25   mail                               1s     0 B       0 B
expose web  tcp       10.1.1.1:5  127.0.0.1:80           bob                       3s     10 B      0 B
expose web  udp                                          a` + "\uFFFD[2J\uFFFD]0;owned\uFFFD\uFFFD\uFFFDb\uFFFD\uFFFD31m\uFFFD" + `  1m30s  0 B       0 B
and 1 older ones
`
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", &b, want)
	}
	b.Reset()
	r.Totals.Rate = &report.Rate{Rx: 1e9, Tx: 0, Sessions: 2.25}
	if Text(&b, &r, 1); !strings.Contains(b.String(), " Receives 8.0 Gbit/s, sends 0 bit/s, 2.2 new sessions/s.\n") || !strings.Contains(b.String(), "and 3 older ones\n") {
		t.Errorf("got\n%s", &b)
	}
}

// TestTextOfNothing: a gateway that has only begun.
func TestTextOfNothing(t *testing.T) {
	var b bytes.Buffer
	Text(&b, &report.Report{PID: 1, IRMd: true, Config: hostile}, 20)
	if got := b.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "irmd") {
		t.Errorf("%q", got)
	}
}

func TestNumbers(t *testing.T) {
	for n, want := range map[uint64]string{0: "0 B", 999: "999 B", 1000: "1.0 kB", 12_345_678: "12.3 MB", 1 << 63: "9.2 EB"} {
		if got := Size(n); got != want {
			t.Errorf("%d: %s", n, got)
		}
	}
	for n, want := range map[float64]string{0: "0 bit/s", 0.5: "4 bit/s", 125: "1.0 kbit/s", 1.25e9: "10.0 Gbit/s"} {
		if got := Speed(n); got != want {
			t.Errorf("%v: %s", n, got)
		}
	}
}

// FuzzClean: nothing that a terminal would obey is left, and the length is
// bounded.
func FuzzClean(f *testing.F) {
	f.Add(hostile)
	f.Add(strings.Repeat("ä", 500))
	f.Fuzz(func(t *testing.T, s string) {
		c := clean(s)
		n := 0
		for _, r := range c {
			n++
			if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) {
				t.Errorf("%q has %q", c, r)
			}
		}
		if n > maxCell {
			t.Errorf("%d characters", n)
		}
		var tab = table{columns: []string{"A", "B"}}
		tab.row(s, s)
		tab.note(s)
		for _, l := range tab.lines("") {
			if strings.ContainsAny(l.text, "\n\r\x1b") {
				t.Errorf("%q", l.text)
			}
		}
	})
}

func TestSpark(t *testing.T) {
	for _, c := range []struct {
		values []float32
		width  int
		want   string
	}{
		{nil, 5, ""}, {[]float32{0, 0}, 5, "▁▁"}, {[]float32{-1, 0, 7}, 5, " ▁█"}, {[]float32{9, 1, 2, 4}, 2, "▅█"}, {[]float32{1}, 0, ""}, {[]float32{1}, -3, ""},
	} {
		if got := spark(c.values, c.width); got != c.want {
			t.Errorf("%v in %d: %q", c.values, c.width, got)
		}
	}
}

func TestParseKeys(t *testing.T) {
	for in, want := range map[string]string{
		"q": "[0]", "\x1b[A\x1b[Bj": "[1 2 2]", "\x1b[5~\x1b[6~ b": "[3 4 4 3]", "\x1b[1;5Cq": "[0]", "\x1b[": "[]", "\x1b": "[]", "x\xffq": "[0]", "\x1b[99999": "[]", "\x1bOQg": "[5]",
	} {
		if got := fmt.Sprint(parseKeys(in)); got != want {
			t.Errorf("%q: %s, want %s", in, got, want)
		}
	}
}
