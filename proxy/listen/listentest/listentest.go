// SPDX-License-Identifier: BSD-3-Clause

// Package listentest makes what tests of local entrances stand on: two nodes,
// of which the second exposes servers of this process, and is an exit.
//
// Start with New.
package listentest

import (
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"o7gw/proxy"
	"o7gw/proxy/exit"
	"o7gw/proxy/expose"
	"o7gw/proxy/policy"
	"o7gw/proxy/proxytest"
	"o7gw/proxy/route"
)

// Names under which things are served.
const (
	Service = "web"    // port 7: echo, TCP and UDP; port 80: HTTP; port 9: nothing listens
	Exit    = "way"    // reaches 127.0.0.0/8 and ::1, but not 127.0.0.66
	Nobody  = "nobody" // is served by nobody
)

// Denied is an address that the exit does not reach.
const Denied = "127.0.0.66"

// Quiet discards log lines.
var Quiet = slog.New(slog.DiscardHandler)

// World is both nodes.
type World struct {
	Client, Server proxytest.Stack
	Dialer         *proxy.Dialer
	Echo           netip.AddrPort // echo server, TCP and UDP
	HTTP           netip.AddrPort // HTTP server
	table          *route.Table
}

// New makes a world in which the HTTP server has the handler, which may be nil.
// It ends with the test.
func New(t testing.TB, h http.Handler) *World {
	t.Helper()
	w := &World{}
	w.Client, w.Server = proxytest.Pair(t, Service, Exit)
	w.Dialer = &proxy.Dialer{Stack: w.Client}
	w.Echo = Echo(t)
	if h == nil {
		h = http.NotFoundHandler()
	}
	l := listen(t)
	w.HTTP = l.Addr().(*net.TCPAddr).AddrPort()
	s := &http.Server{Handler: h}
	var wg sync.WaitGroup
	wg.Go(func() { s.Serve(l) })
	t.Cleanup(func() {
		s.Close()
		wg.Wait()
	})
	dead := listen(t)
	dead.Close()

	ec := expose.Defaults()
	ec.Name, ec.Service = "servers", Service
	ec.TCP = map[uint16]string{7: w.Echo.String(), 80: w.HTTP.String(), 9: dead.Addr().String()}
	ec.UDP = map[uint16]string{7: w.Echo.String()}
	e := expose.New(ec, w.Server, Quiet)
	start(t, e.Start(t.Context()), e.Close)

	xc := exit.Defaults()
	xc.Name, xc.Service = "exit", Exit
	xc.Policy = policy.Policy{Allow: []policy.Rule{{Targets: []netip.Prefix{
		netip.MustParsePrefix("127.0.0.0/26"), netip.MustParsePrefix("::1/128"),
	}}}}
	x := exit.New(xc, w.Server, Quiet)
	start(t, x.Start(t.Context()), x.Close)

	w.table = route.New(route.Config{Zones: []string{"o7s"}, Exits: []route.Exit{{
		Service: Exit, Hosts: []string{"localhost", "*.invalid"},
		Prefixes: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")},
	}}}, nil)
	return w
}

// Table returns the routes: the zone o7s, and the exit for addresses of the
// loopback interface, localhost and *.invalid.
func (w *World) Table() *route.Table { return w.table }

func start(t testing.TB, err error, end func() error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { end() })
}

func listen(t testing.TB) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// Echo runs an echo server at a port of TCP and UDP until the test ends. Of
// TCP, it ends its direction when the client has ended its own.
func Echo(t testing.TB) netip.AddrPort {
	t.Helper()
	l := listen(t)
	at := l.Addr().(*net.TCPAddr).AddrPort()
	u, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(at))
	if err != nil {
		t.Fatal(err)
	}
	u.SetReadBuffer(4 << 20)
	proxytest.Serve(t, l, func(c *net.TCPConn) {
		io.Copy(c, struct{ io.Reader }{c}) // without pipes of the kernel, which the library keeps
	})
	var wg sync.WaitGroup
	wg.Go(func() {
		buf := make([]byte, 65536)
		for {
			n, a, err := u.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			u.WriteToUDPAddrPort(buf[:n], a)
		}
	})
	t.Cleanup(func() {
		u.Close()
		wg.Wait()
	})
	return at
}

// StartedAndStopped starts and stops an object a hundred times, with a use in
// between, and wants no descriptor to be left.
func StartedAndStopped(t *testing.T, once func()) {
	t.Helper()
	for range 3 { // what the libraries open once
		once()
	}
	before := descriptors(t)
	for range 100 {
		once()
	}
	// The kernel and the HTTP library close some a little later.
	after := descriptors(t)
	for end := time.Now().Add(10 * time.Second); len(after) > len(before) && time.Now().Before(end); after = descriptors(t) {
		time.Sleep(10 * time.Millisecond)
	}
	if len(after) > len(before) {
		t.Errorf("%d descriptors, before %d: %v, before %v", len(after), len(before), after, before)
	}
}

// descriptors returns what the descriptors of the process are.
func descriptors(t *testing.T) (all []string) {
	t.Helper()
	const dir = "/proc/self/fd"
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Skip(err)
	}
	for _, e := range list {
		what, err := os.Readlink(filepath.Join(dir, e.Name()))
		if err == nil { // not that of the directory itself
			all = append(all, what)
		}
	}
	return all
}
