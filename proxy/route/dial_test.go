// SPDX-License-Identifier: BSD-3-Clause

package route_test

import (
	"errors"
	"net/netip"
	"testing"

	"go.uber.org/goleak"

	"o7gw/proxy/listen/listentest"
	"o7gw/proxy/route"
	"o7gw/proxy/session"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestFailOver: of several exits the next is tried if nobody serves the first,
// but not if it has refused.
func TestFailOver(t *testing.T) {
	w := listentest.New(t, nil)
	all := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	table := route.New(route.Config{Exits: []route.Exit{
		{Service: listentest.Nobody, Prefixes: all}, {Service: listentest.Exit, Prefixes: all}, {Service: "third", Prefixes: all},
	}}, nil)
	from := netip.MustParseAddrPort("192.0.2.1:5")
	dest := route.Dest{Addr: w.Echo.Addr(), Port: w.Echo.Port(), Proto: session.TCP}
	conn, way, err := table.DialTCP(t.Context(), w.Dialer, dest, from)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Reset()
	if way.Service != listentest.Exit || way.Request.Source != from {
		t.Errorf("%+v", way)
	}
	dest.Addr = netip.MustParseAddr(listentest.Denied)
	if _, way, err := table.DialTCP(t.Context(), w.Dialer, dest, from); !errors.Is(err, session.Denied) || way.Service != listentest.Exit {
		t.Errorf("%+v, %v", way, err)
	}
	if _, way, err := table.DialTCP(t.Context(), w.Dialer, route.Dest{Host: "x.org", Port: 1, Proto: session.TCP}, from); !errors.Is(err, session.Unreachable) || way.Service != "" {
		t.Errorf("%+v, %v", way, err)
	}
	dest = route.Dest{Addr: w.Echo.Addr(), Port: w.Echo.Port(), Proto: session.UDP}
	ways, err := table.FindAll(dest)
	if err != nil {
		t.Fatal(err)
	}
	p, way, err := route.DialUDP(t.Context(), w.Dialer, ways, from)
	if err != nil || way.Service != listentest.Exit {
		t.Fatalf("%+v, %v", way, err)
	}
	p.Close()
}
