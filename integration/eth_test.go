// SPDX-License-Identifier: BSD-3-Clause

package integration

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"o7gw/integration/lab"
)

// ethPair starts daemons on the hosts at both ends of link 0, joined by an
// Ethernet layer in which the second serves names.
func (w *world) ethPair(kind string, names ...string) (a, b *lab.Daemon) {
	w.t.Helper()
	b = w.daemon(1, lab.EthLayer{Type: kind, Device: "to-a", Serve: names})
	a = w.daemon(0, lab.EthLayer{Type: kind, Device: "to-b"})
	return a, b
}

func TestPingAcrossEthernet(t *testing.T) {
	for _, kind := range []string{"eth-dix", "eth-llc"} {
		t.Run(kind, func(t *testing.T) {
			w := newWorld(t, 30*time.Second, 2)
			w.ethPair(kind, "op")
			server := w.start(1, "Ouroboros ping server started.\n", "oping", "-l", "-n", "op")
			if out := w.mustRun(0, "oping", "-n", "op", "-c", "3", "-i", "10ms"); !statistics("op", "3").MatchString(out) {
				t.Errorf("oping printed:\n%s", out)
			}
			if err := server.WaitFor(w.ctx, "New flow 64.\n"+strings.Repeat("Received 64 bytes on fd 64.\n", 3)); err != nil {
				t.Error(err)
			}
			out := w.mustRun(0, "oping", "-n", "op", "-f", "-Q", "--json", "-c", "1000", "-s", "1400")
			var r struct {
				Sent, Received int
				End            string
			}
			if err := json.Unmarshal([]byte(out), &r); err != nil || r.Sent != 1000 || r.Received < 990 || r.End != "done" {
				t.Errorf("flood: %v\n%s", err, out)
			}
			if out, status := w.run(0, "oping", "-n", "nosuch", "-c", "1"); status != 1 {
				t.Errorf("unknown name: status %d:\n%s", status, out)
			}
			// A client whose server dies ends at once.
			client := w.start(0, "seq=1", "oping", "-n", "op", "-i", "20ms")
			server.Kill()
			w.ended(client)
		})
	}
}

// Daemons outlive the loss of their device's carrier: the same name is served
// again when it is back.
func TestEthernetCarrier(t *testing.T) {
	needs(t, "ip")
	w := newWorld(t, 30*time.Second, 2)
	w.ethPair("eth-dix", "op")
	w.start(1, "started", "oping", "-l", "-Q", "-n", "op")
	w.mustRun(0, "oping", "-n", "op", "-c", "1", "-i", "1ms")
	w.system(1, "ip", "link", "set", "to-a", "down")
	if out, status := w.run(0, "oping", "-n", "op", "-c", "1"); status != 1 {
		t.Errorf("without a carrier: status %d:\n%s", status, out)
	}
	w.system(1, "ip", "link", "set", "to-a", "up")
	if out := w.mustRun(0, "oping", "-n", "op", "-c", "3", "-i", "10ms"); !statistics("op", "3").MatchString(out) {
		t.Errorf("oping printed:\n%s", out)
	}
}

// The command line makes the same layer.
func TestEthernetByCommand(t *testing.T) {
	w := newWorld(t, 30*time.Second, 2)
	for i, dev := range []string{"to-b", "to-a"} {
		w.daemon(i)
		w.mustRun(i, "irm", "ipcp", "bootstrap", "type", "eth-dix", "name", "e", "layer", "lan", "dev", dev, "ethertype", "A123")
	}
	w.mustRun(1, "irm", "name", "create", "op")
	w.mustRun(1, "irm", "name", "register", "op", "layer", "lan")
	w.start(1, "started", "oping", "-l", "-Q", "-n", "op")
	if out := w.mustRun(0, "oping", "-n", "op", "-c", "3", "-i", "10ms"); !statistics("op", "3").MatchString(out) {
		t.Errorf("oping printed:\n%s", out)
	}
	out, status := w.run(0, "irm", "ipcp", "bootstrap", "type", "eth-dix", "name", "e2", "layer", "lan", "dev", "to-b", "ethertype", "A123")
	if status == 0 || !strings.Contains(out, "another IPCP or program uses protocol 0xA123 on the device") {
		t.Errorf("second layer of one Ethertype on a device: status %d:\n%s", status, out)
	}
}
