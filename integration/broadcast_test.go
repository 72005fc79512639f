// SPDX-License-Identifier: BSD-3-Clause

package integration

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"o7gw/integration/lab"
)

// below returns the layers of host i towards its neighbours in the line, in which its
// member "bc.<host>" of a broadcast layer can be reached.
func (w *world) below(i int, kind string) []fmt.Stringer {
	self := []string{"bc." + w.hosts[i].Name}
	var list []fmt.Stringer
	for link := max(0, i-1); link <= min(i, len(w.hosts)-2); link++ {
		far := 2*link + 1 - i // the host at the other end
		if kind == "udp4" {
			list = append(list, lab.UDPLayer{
				Name: fmt.Sprint("udp", link), IP: addr4(link, 1+i-link), Serve: self,
				Hosts: map[string]netip.Addr{"bc." + w.hosts[far].Name: addr4(link, 1+far-link)},
			})
		} else {
			list = append(list, lab.EthLayer{Type: kind, Name: fmt.Sprint("eth", link), Device: "to-" + w.hosts[far].Name, Serve: self})
		}
	}
	return list
}

// listeners starts obc on every host.
func (w *world) listeners() []*lab.Proc {
	w.t.Helper()
	var procs []*lab.Proc
	for i := range w.hosts {
		procs = append(procs, w.start(i, "New flow.\n", "obc", "-l", "-n", "bc"))
	}
	return procs
}

// everywhere sends a message from each host, and waits until every listener has
// each of them.
func (w *world) everywhere(listeners []*lab.Proc, what string) {
	w.t.Helper()
	for i := range w.hosts {
		msg := fmt.Sprintf("%s from %s", what, w.hosts[i].Name)
		if out := w.mustRun(i, "obc", "-n", "bc", "-m", msg); out != "" {
			w.t.Errorf("obc printed %q", out)
		}
		for _, l := range listeners {
			if err := l.WaitFor(w.ctx, "Message is "+msg+".\n"); err != nil {
				w.t.Fatal(err)
			}
		}
	}
}

// follow makes each host enrol with the one before it, and connect to it.
func (w *world) follow() {
	w.t.Helper()
	for i, h := range w.hosts[1:] {
		name, to := "bc."+h.Name, "bc."+w.hosts[i].Name
		w.mustRun(i+1, "irm", "ipcp", "enroll", "type", "broadcast", "name", name, "layer", "bc", "dst", to, "autobind")
		w.mustRun(i+1, "irm", "ipcp", "connect", "name", name, "dst", to, "component", "dt")
	}
}

// once checks that the messages of everywhere have come once.
func (w *world) once(listeners []*lab.Proc, what string) {
	w.t.Helper()
	for i, l := range listeners {
		for _, h := range w.hosts {
			msg := fmt.Sprintf("Message is %s from %s.\n", what, h.Name)
			if n := strings.Count(l.Output(), msg); n != 1 {
				w.t.Errorf("host %d has %q %d times", i, msg, n)
			}
		}
	}
}

// TestBroadcastByCommand does what an operator types, on three hosts in a line.
func TestBroadcastByCommand(t *testing.T) {
	for _, kind := range []string{"eth-dix", "udp4"} {
		t.Run(kind, func(t *testing.T) {
			w := newWorld(t, 60*time.Second, 3)
			for i := range w.hosts {
				w.daemon(i, w.below(i, kind)...)
			}
			if out, status := w.run(0, "obc", "-n", "bc"); status != 255 || !strings.Contains(out, "Failed to join broadcast.\n") {
				t.Errorf("without a layer: status %d, %q", status, out)
			}
			w.mustRun(0, "irm", "ipcp", "bootstrap", "type", "broadcast", "name", "bc.a", "layer", "bc", "autobind")
			w.follow()
			ears := w.listeners()
			w.everywhere(ears, "hello")
			long := strings.Repeat("0123456789", 130)
			w.mustRun(0, "obc", "-n", "bc", "-m", long)
			if err := ears[2].WaitFor(w.ctx, "Message is "+long+".\n"); err != nil {
				t.Error(err)
			}
			out := w.mustRun(1, "irm", "rib", "-r", "bc.b/neighbours")
			if n := strings.Count(out, "Neighbour:"); n != 3 { // a, c and the listener
				t.Errorf("%d neighbours:\n%s", n, out)
			}
			w.once(ears, "hello")
			w.mustRun(2, "irm", "ipcp", "disconnect", "name", "bc.c", "dst", "bc.b", "component", "dt")
			w.mustRun(0, "obc", "-n", "bc", "-m", "without c")
			if err := ears[1].WaitFor(w.ctx, "Message is without c.\n"); err != nil {
				t.Error(err)
			}
			w.mustRun(2, "irm", "ipcp", "connect", "name", "bc.c", "dst", "bc.b", "component", "dt")
			w.everywhere(ears, "again")
			if strings.Contains(ears[2].Output(), "without c") {
				t.Error("message came over a connection that had ended")
			}
		})
	}
}

// TestBroadcastTriangle connects three hosts in a cycle: nothing goes round.
func TestBroadcastTriangle(t *testing.T) {
	w := newWorld(t, 60*time.Second, 3)
	if err := w.net.Link(w.hosts[0], nil, w.hosts[2], nil); err != nil {
		t.Fatal(err)
	}
	for i := range w.hosts {
		layers := w.below(i, "eth-dix")
		if i != 1 {
			layers = append(layers, lab.EthLayer{
				Type: "eth-dix", Name: "third", Device: "to-" + w.hosts[2-i].Name, Serve: []string{"bc." + w.hosts[i].Name},
			})
		}
		w.daemon(i, layers...)
	}
	w.mustRun(0, "irm", "ipcp", "bootstrap", "type", "broadcast", "name", "bc.a", "layer", "bc", "autobind")
	w.follow()
	w.mustRun(2, "irm", "ipcp", "connect", "name", "bc.c", "dst", "bc.a", "component", "dt")
	ears := w.listeners()
	w.everywhere(ears, "hello")
	w.everywhere(ears, "and then") // what would go round of the first has come by now
	w.once(ears, "hello")
	for range 3 {
		w.mustRun(0, "obc", "-n", "bc", "-m", "again", "-c", "4", "-i", "0s")
	}
	w.everywhere(ears, "last")
	for i, l := range ears {
		if n := strings.Count(l.Output(), "Message is again.\n"); n != 12 {
			t.Errorf("host %d has what was said 12 times %d times", i, n)
		}
	}
}

// TestBroadcastKilled kills the daemon in the middle and starts it again: its neighbours
// find it by themselves.
func TestBroadcastKilled(t *testing.T) {
	w := newWorld(t, 60*time.Second, 3)
	host := func(i int) *lab.Daemon {
		s := lab.Stacked{Type: "broadcast", Name: "bc." + w.hosts[i].Name}
		if i == 0 {
			s.Bootstrap = "bc"
		} else {
			s.Enroll = "bc." + w.hosts[i-1].Name
			s.Connect = []string{s.Enroll}
		}
		return w.daemon(i, append(w.below(i, "eth-dix"), s)...)
	}
	var daemons []*lab.Daemon
	for i := range w.hosts {
		daemons = append(daemons, host(i))
	}
	w.joined()
	ears := w.listeners()
	w.connected(ears[2], "first")
	w.everywhere(ears, "hello")

	daemons[1].Kill()
	w.within(5*time.Second, ears[1])
	host(1)
	w.joined()
	ears[1] = w.start(1, "New flow.\n", "obc", "-l", "-n", "bc")
	w.connected(ears[2], "second")
	w.everywhere(ears, "again")
}

// joined waits until every host is in the layer.
func (w *world) joined() {
	w.t.Helper()
	for i := range w.hosts {
		w.eventually("host joins", func() bool {
			return strings.Contains(w.mustRun(i, "irm", "ipcp", "list"), "broadcast |                   bc |")
		})
	}
}

// connected waits until a message of the first host comes to a listener.
func (w *world) connected(l *lab.Proc, what string) {
	w.t.Helper()
	w.eventually("message of the first host", func() bool {
		w.mustRun(0, "obc", "-n", "bc", "-m", what)
		time.Sleep(50 * time.Millisecond)
		return strings.Contains(l.Output(), "Message is "+what+".\n")
	})
}
