// SPDX-License-Identifier: BSD-3-Clause

package integration

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"o7gw/integration/lab"
)

// shims returns the layers of host i towards its neighbours in the line, of a kind for
// each link. The member "uni.<host>" of a unicast layer "net" can be reached in them,
// as can the names in serve.
func (w *world) shims(i int, kinds []string, serve ...string) []fmt.Stringer {
	self := append([]string{"net", "uni." + w.hosts[i].Name}, serve...)
	var list []fmt.Stringer
	for link := max(0, i-1); link <= min(i, len(w.hosts)-2); link++ {
		far := 2*link + 1 - i // the host at the other end
		switch kind := kinds[link]; kind {
		case "udp4", "udp6":
			addr := addr4
			if kind == "udp6" {
				addr = addr6
			}
			hosts := map[string]netip.Addr{}
			for _, n := range append([]string{"uni." + w.hosts[far].Name}, serve...) {
				hosts[n] = addr(link, 1+far-link)
			}
			list = append(list, lab.UDPLayer{Name: fmt.Sprint(kind, link), IP: addr(link, 1+i-link), Serve: self, Hosts: hosts})
		default:
			list = append(list, lab.EthLayer{Type: kind, Name: fmt.Sprint("eth", link), Device: "to-" + w.hosts[far].Name, Serve: self})
		}
	}
	return list
}

// unicastLine starts daemons on all hosts, which form one unicast layer; each joins
// through the host before it. The last one serves names.
func (w *world) unicastLine(kinds []string, options string, serve ...string) []*lab.Daemon {
	w.t.Helper()
	var daemons []*lab.Daemon
	for i := range w.hosts {
		daemons = append(daemons, w.unicastHost(i, kinds, options, serve...))
	}
	return daemons
}

// unicastHost starts the daemon of one host of the line.
func (w *world) unicastHost(i int, kinds []string, options string, serve ...string) *lab.Daemon {
	w.t.Helper()
	s := lab.Stacked{Type: "unicast", Name: "uni." + w.hosts[i].Name}
	if i == 0 {
		s.Bootstrap, s.Options = "net", options
	} else {
		s.Enroll = "uni." + w.hosts[i-1].Name
		s.Connect = []string{s.Enroll}
	}
	if i == len(w.hosts)-1 {
		s.Serve = serve
	}
	return w.daemon(i, append(w.shims(i, kinds), s)...)
}

// pingAcross pings a name from host i until it answers, then in earnest.
func (w *world) pingAcross(i int, name string) {
	w.t.Helper()
	w.eventually("ping of "+name, func() bool {
		_, status := w.run(i, "oping", "-n", name, "-c", "1", "-i", "1ms")
		return status == 0
	})
	if out := w.mustRun(i, "oping", "-n", name, "-c", "10", "-i", "5ms", "-s", "1300"); !statistics(name, "10").MatchString(out) {
		w.t.Errorf("oping printed:\n%s", out)
	}
}

// TestUnicastLine joins three hosts over each kind of layer.
func TestUnicastLine(t *testing.T) {
	for _, kinds := range [][]string{
		{"eth-dix", "eth-dix"}, {"eth-llc", "eth-llc"}, {"udp4", "udp4"}, {"udp6", "udp6"}, {"eth-dix", "udp4"}, {"udp6", "eth-llc"},
	} {
		t.Run(strings.Join(kinds, ","), func(t *testing.T) {
			w := newWorld(t, 60*time.Second, 3)
			w.unicastLine(kinds, "", "op")
			w.start(2, "started", "oping", "-l", "-Q", "-n", "op")
			w.pingAcross(0, "op")
			w.pingAcross(1, "op")
			if out, status := w.run(0, "oping", "-n", "nosuch", "-c", "1"); status != 1 {
				t.Errorf("unknown name: status %d:\n%s", status, out)
			}
		})
	}
}

// TestUnicastByCommand does what an operator types (spec 40 §3.2).
func TestUnicastByCommand(t *testing.T) {
	w := newWorld(t, 60*time.Second, 2)
	for i, dev := range []string{"to-b", "to-a"} {
		w.daemon(i)
		w.mustRun(i, "irm", "ipcp", "bootstrap", "type", "eth-dix", "name", "e", "layer", "lan", "dev", dev)
	}
	w.mustRun(0, "irm", "ipcp", "bootstrap", "type", "unicast", "name", "uni.a", "layer", "net", "autobind", "routing", "lfa", "hash", "SHA3_384")
	w.mustRun(0, "irm", "name", "register", "net", "layer", "lan")
	w.mustRun(0, "irm", "name", "register", "uni.a", "layer", "lan")
	w.mustRun(1, "irm", "ipcp", "enroll", "name", "uni.b", "layer", "net", "autobind")
	w.mustRun(1, "irm", "name", "register", "uni.b", "layer", "lan")
	w.mustRun(1, "irm", "ipcp", "connect", "name", "uni.b", "dst", "uni.a")
	w.mustRun(1, "irm", "name", "create", "op")
	w.mustRun(1, "irm", "name", "register", "op", "layer", "net")
	w.mustRun(1, "irm", "bind", "program", filepath.Join(bin, "oping"), "name", "op")
	w.start(1, "started", "oping", "-l", "-Q") // not -n op, which registers it in the Ethernet layer, too
	w.pingAcross(0, "op")
	out := w.mustRun(1, "irm", "ipcp", "list")
	if !strings.Contains(out, "unicast |                  net |") {
		t.Errorf("irm ipcp list printed:\n%s", out)
	}
	// The other side, from a third party's view: the RIB.
	out = w.mustRun(0, "irm", "rib")
	if !strings.Contains(out, "uni.a/") {
		t.Errorf("irm rib printed:\n%s", out)
	}
	out = w.mustRun(0, "irm", "rib", "-r", "uni.a")
	for _, want := range []string{"flow-allocator", "dt.", "lsdb", "dht", "Kademlia parameters:", "operational"} {
		if !strings.Contains(out, want) {
			t.Errorf("irm rib -r uni.a lacks %q:\n%s", want, out)
		}
	}
	// Disconnected, the two know nothing of each other; connected again, they do.
	w.mustRun(1, "irm", "ipcp", "disconnect", "name", "uni.b", "dst", "uni.a")
	if out, status := w.run(0, "oping", "-n", "op", "-c", "1"); status != 1 {
		t.Errorf("disconnected: status %d:\n%s", status, out)
	}
	w.mustRun(1, "irm", "ipcp", "connect", "name", "uni.b", "dst", "uni.a")
	w.pingAcross(0, "op")
}

// TestUnicastOnUnicast puts a second layer on top of the first.
func TestUnicastOnUnicast(t *testing.T) {
	w := newWorld(t, 60*time.Second, 3)
	kinds := []string{"eth-dix", "eth-dix"}
	for i, h := range w.hosts {
		low := lab.Stacked{Type: "unicast", Name: "uni." + h.Name}
		top := lab.Stacked{Type: "unicast", Name: "top." + h.Name}
		low.Serve = []string{"top", top.Name}
		if i == 0 {
			low.Bootstrap, top.Bootstrap = "net", "top"
		} else {
			low.Enroll = "uni." + w.hosts[i-1].Name
			low.Connect = []string{low.Enroll}
			top.Enroll = "top.a" // two hops of the lower layer away from the last
			top.Connect = []string{top.Enroll}
		}
		if i == 2 {
			top.Serve = []string{"op"}
		}
		w.daemon(i, append(w.shims(i, kinds), low, top)...)
	}
	w.start(2, "started", "oping", "-l", "-Q", "-n", "op")
	w.pingAcross(0, "op")
	w.pingAcross(1, "op")
}

// square makes four hosts a-b-d-c-a, which form a unicast layer over eth-dix.
// Host d serves names.
func newSquare(t *testing.T, options string, serve ...string) *world {
	t.Helper()
	w := newWorld(t, 60*time.Second, 0)
	for i := range 4 {
		h, err := w.net.Host(string(rune('a' + i)))
		if err != nil {
			t.Fatal(err)
		}
		w.hosts = append(w.hosts, h)
		w.dirs = append(w.dirs, w.dir+"/"+h.Name)
	}
	near := map[int][]int{}
	for _, l := range [][2]int{{0, 1}, {0, 2}, {1, 3}, {2, 3}} {
		if err := w.net.Link(w.hosts[l[0]], nil, w.hosts[l[1]], nil); err != nil {
			t.Fatal(err)
		}
		near[l[0]] = append(near[l[0]], l[1])
		near[l[1]] = append(near[l[1]], l[0])
	}
	for i, h := range w.hosts {
		var layers []fmt.Stringer
		s := lab.Stacked{Type: "unicast", Name: "uni." + h.Name}
		for _, n := range near[i] {
			layers = append(layers, lab.EthLayer{Type: "eth-dix", Name: "to" + w.hosts[n].Name, Device: "to-" + w.hosts[n].Name, Serve: []string{"net", s.Name}})
			if n < i {
				s.Connect = append(s.Connect, "uni."+w.hosts[n].Name)
			}
		}
		if i == 0 {
			s.Bootstrap, s.Options = "net", options
		} else {
			s.Enroll = s.Connect[0]
		}
		if i == 3 {
			s.Serve = serve
		}
		w.daemon(i, append(layers, s)...)
	}
	return w
}

// TestSquare cuts one way after the other between two corners of a square: a ping
// that runs all the time loses little.
func TestSquare(t *testing.T) {
	needs(t, "ip")
	for _, routing := range []string{"link-state", "lfa", "ecmp"} {
		t.Run(routing, func(t *testing.T) {
			w := newSquare(t, fmt.Sprintf("routing = %q\n", routing), "op")
			w.start(3, "started", "oping", "-l", "-Q", "-n", "op")
			w.pingAcross(0, "op")
			ping := w.start(0, "seq=10", "oping", "-n", "op", "-i", "10ms", "-c", "300")
			for _, dev := range []string{"to-b", "to-c"} {
				w.system(0, "ip", "link", "set", dev, "down")
				time.Sleep(500 * time.Millisecond)
				w.system(0, "ip", "link", "set", dev, "up")
				time.Sleep(700 * time.Millisecond)
			}
			w.within(noticed, ping) // it waits for what is lost
			lost := 300 - strings.Count(ping.Output(), "bytes from")
			t.Logf("%d of 300 replies are missing: %v without delivery in two cuts", lost, time.Duration(lost)*10*time.Millisecond)
			if lost > 150 {
				t.Errorf("%d of 300 replies are missing:\n%s", lost, ping.Output())
			}
		})
	}
}

// TestSquareSilently swallows all frames on one way of the square, so that no device
// tells of it: keepalives do.
func TestSquareSilently(t *testing.T) {
	needs(t, "nft")
	w := newSquare(t, "", "op")
	w.start(3, "started", "oping", "-l", "-Q", "-n", "op")
	w.pingAcross(0, "op")
	flow := w.role(0, "..........", "steady", "op")
	for _, dev := range []string{"to-b", "to-c"} {
		w.system(0, "nft", fmt.Sprintf("add table netdev cut; add chain netdev cut in { type filter hook ingress device %q priority 0; policy drop; }", dev))
		cut := time.Now()
		before := replies(flow)
		w.eventually("the flow goes on", func() bool { return replies(flow) > before+20 })
		t.Logf("%s: replies again %v after the cut", dev, time.Since(cut).Round(10*time.Millisecond))
		w.system(0, "nft", "delete table netdev cut")
		w.pingAcross(0, "op")
		time.Sleep(time.Second) // the neighbour is found again
	}
}

// TestRouterKilled kills the middle host's daemon under traffic and starts it again:
// its neighbours find it by themselves.
func TestRouterKilled(t *testing.T) {
	w := newWorld(t, 60*time.Second, 3)
	kinds := []string{"eth-dix", "eth-dix"}
	daemons := w.unicastLine(kinds, "", "op")
	w.start(2, "started", "oping", "-l", "-Q", "-n", "op")
	w.pingAcross(0, "op")
	flow := w.role(0, "..........", "steady", "op")
	daemons[1].Kill()
	w.unicastHost(1, kinds, "")
	w.pingAcross(0, "op")
	// The flow that was there all the time works again, too.
	before := replies(flow)
	w.eventually("the flow goes on", func() bool { return replies(flow) > before+20 })
}

// TestStartOrder starts the daemon that the others join through last.
func TestStartOrder(t *testing.T) {
	w := newWorld(t, 60*time.Second, 3)
	kinds := []string{"udp4", "eth-dix"}
	for _, i := range slices.Backward([]int{0, 1, 2}) {
		w.unicastHost(i, kinds, "", "op")
	}
	w.eventually("host c serves op", func() bool {
		return strings.Contains(w.mustRun(2, "irm", "name", "list", "--json"), `"op"`)
	})
	w.start(2, "started", "oping", "-l", "-Q", "-n", "op")
	w.pingAcross(0, "op")
}

// TestTunnelOverUnicast runs the gateway's tunnel between the ends of a line.
func TestTunnelOverUnicast(t *testing.T) {
	for _, kinds := range [][]string{{"udp4", "udp4"}, {"eth-dix", "eth-dix"}} {
		t.Run(kinds[0], func(t *testing.T) {
			w := newWorld(t, 90*time.Second, 3)
			w.unicastLine(kinds, "", "vpn")
			e := tunnelEnds{hosts: [2]int{0, 2}, dev: [2]string{"o7", "o7"}}
			for end := 1; end >= 0; end-- {
				e.addr[end], e.addr6[end] = inner(end)
				w.gatewayOnDaemon(e.hosts[end], end)
			}
			w.reach(0, e.addr[1], e.addr6[1])
			if kinds[0] == "udp4" {
				w.traffic(e)
			} else {
				w.pingFullSize(e, e.addr[1], 28)
				w.iperf(e, e.addr[1])
			}
		})
	}
}
