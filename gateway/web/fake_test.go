// SPDX-License-Identifier: BSD-3-Clause

package web

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"sync"
	"testing"
	"time"

	"o7gw/gateway/report"
	"o7gw/gateway/tunnel"
	"o7gw/proxy/ledger"
	"o7gw/proxy/session"
)

// hostile is what a peer may call itself, or make an error of.
const hostile = `</script><script>owned=1</script><img src=x onerror="owned=1">&"'`

const secret = "correct-horse-battery"

// fake is the source of a gateway with real books and a tunnel.
type fake struct {
	expose, forward, exit *ledger.Book
	web                   *ledger.Session

	mu     sync.Mutex
	tunnel tunnel.Status
}

func newFake(t *testing.T) *fake {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	f := &fake{
		expose: ledger.New("expose", "web", log), forward: ledger.New("forward", "local", log), exit: ledger.New("exit", "out", log),
		tunnel: tunnel.Status{
			Name: "office", Device: "tun0", Role: "server", Service: "office.vpn", Mode: "o7gw", MTU: 1400, Admitted: 1, RxBytes: 1000,
			Peers: []tunnel.PeerStatus{{Flow: 7, Exchanged: true, MTU: 1400, Since: time.Minute, RxBytes: 1000, Prefixes: []netip.Prefix{netip.MustParsePrefix("10.0.0.2/32")}}},
		},
	}
	f.expose.SetState(report.StateUp, nil)
	f.forward.SetState(report.StateUp, nil)
	f.exit.SetState("down", errors.New(hostile))
	f.web = f.expose.Open(ledger.Info{Proto: session.TCP, Peer: hostile, Source: "192.0.2.1:1234", Target: "127.0.0.1:80", Service: "web.example"})
	f.expose.Open(ledger.Info{Proto: session.UDP, Source: "192.0.2.9:53", Target: "127.0.0.1:53", Service: "web.example"})
	f.forward.Open(ledger.Info{Proto: session.TCP, Source: "127.0.0.1:5555", Service: "mail.example"})
	return f
}

// traffic counts bytes both ways, in the tunnel and in a session.
func (f *fake) traffic(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.web.Rx(1, n)
	f.web.Tx(1, n/2)
	f.tunnel.RxBytes += uint64(n)
}

func (f *fake) report() report.Report {
	f.mu.Lock()
	defer f.mu.Unlock()
	t := f.tunnel
	t.Peers = append([]tunnel.PeerStatus(nil), t.Peers...)
	r := report.Report{
		PID: 7, Config: "/etc/ouroboros/o7gw.toml", Started: time.Now().Add(-time.Hour), Tunnels: []tunnel.Status{t},
		Names: []report.Name{{Name: "mail.example", Addresses: []netip.Addr{netip.MustParseAddr("198.18.3.4")}}},
	}
	for _, o := range []report.Object{
		{Kind: "expose", Name: "web", Service: "web.example", Serves: true, Book: f.expose.Snapshot(100)},
		{Kind: "forward", Name: "local", Service: "mail.example", Listen: []string{"tcp:127.0.0.1:8080"}, Book: f.forward.Snapshot(100)},
		{Kind: "exit", Name: "out", Service: "out.example", Serves: true, Book: f.exit.Snapshot(100)},
	} {
		o.State = o.Book.State
		r.Objects = append(r.Objects, o)
	}
	r.Complete()
	return r
}

func at(listen string) Config {
	cfg := Defaults()
	cfg.Listen = netip.MustParseAddrPort(listen)
	return cfg
}

// serve starts a server that ends with the test, on a free port if the
// configuration has the default one.
func serve(t *testing.T, cfg Config, f *fake) *Server {
	t.Helper()
	if cfg.Listen == Defaults().Listen {
		cfg.Listen = netip.MustParseAddrPort("127.0.0.1:0")
	}
	s := New(cfg, f.report, nil, slog.New(slog.DiscardHandler))
	s.every /= 10
	if err := s.Start(context.Background()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}
