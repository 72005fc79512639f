// SPDX-License-Identifier: BSD-3-Clause

package integration

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"o7gw/integration/lab"
	"o7gw/o7s/ipcp/udp/ddns"
	"o7gw/o7s/ipcp/udp/ddns/knottest"
	"o7gw/o7s/layer"
)

// nameServer starts a DNS server on host 1 that takes updates from a prefix.
func (w *world) nameServer(dir string, at netip.Addr, members string) *lab.Proc {
	w.t.Helper()
	cmd, err := knottest.Command(dir, netip.AddrPortFrom(at, ddns.Port), netip.MustParsePrefix(members))
	if err != nil {
		w.t.Skipf("%v; integration/deps.sh installs it", err)
	}
	p, err := w.hosts[1].Start(cmd)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := p.WaitFor(w.ctx, knottest.Ready); err != nil {
		w.t.Fatalf("%v; it printed:\n%s", err, p.Output())
	}
	return p
}

// Hosts that know of each other only by a DNS server, on the router between
// them: no table and no file of names.
func TestNamesByDNS(t *testing.T) {
	for _, c := range []struct {
		name, family, members, forward string
		ip                             func(link, end int) netip.Addr
		bits                           int
	}{
		{"udp4", "-4", "10.0.0.0/8", "ipv4/ip_forward", addr4, 24},
		{"udp6", "-6", "fd00::/8", "ipv6/conf/all/forwarding", addr6, 64},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, 60*time.Second, 3)
			client, server, at := c.ip(0, 1), c.ip(1, 2), c.ip(0, 2)
			w.system(1, "sh", "-c", "echo 1 >/proc/sys/net/"+c.forward)
			w.system(0, "ip", c.family, "route", "add", netip.PrefixFrom(server, c.bits).Masked().String(), "via", at.String())
			w.system(2, "ip", c.family, "route", "add", netip.PrefixFrom(client, c.bits).Masked().String(), "via", c.ip(1, 1).String())
			dir := filepath.Join(w.dir, "dns")
			if err := os.Mkdir(dir, 0o755); err != nil {
				t.Fatal(err)
			}

			// Daemons start whether the DNS server is there or not.
			d := w.daemon(2, lab.UDPLayer{Name: "udp", IP: server, DNS: at, Serve: []string{"op"}})
			w.daemon(0, lab.UDPLayer{Name: "udp", IP: client, DNS: at})
			w.start(2, "started", "oping", "-l", "-Q", "-n", "op")
			if out, status := w.run(0, "oping", "-n", "op", "-c", "1"); status != 1 {
				t.Fatalf("without a server: status %d:\n%s", status, out)
			}
			ns := w.nameServer(dir, at, c.members)
			var out string
			w.eventually("name in DNS", func() (ok bool) {
				var status int
				out, status = w.run(0, "oping", "-n", "op", "-c", "2", "-i", "10ms")
				return status == 0
			})
			if !statistics("op", "2").MatchString(out) {
				t.Errorf("ping:\n%s", out)
			}

			// With the server there a name is known at once, and what is known
			// is used while it is away.
			w.mustRun(2, "irm", "name", "register", "later", "layer", "net")
			w.start(2, "started", "oping", "-l", "-Q", "-n", "later")
			out = w.mustRun(0, "oping", "-n", "later", "-c", "2", "-i", "10ms")
			ns.Kill()
			w.within(noticed, ns)
			for _, name := range []string{"op", "later"} {
				if out = w.mustRun(0, "oping", "-n", name, "-c", "2", "-i", "10ms"); !statistics(name, "2").MatchString(out) {
					t.Errorf("ping while the DNS server is away:\n%s", out)
				}
			}

			// A daemon that ends takes its names with it.
			w.nameServer(dir, at, c.members)
			if err := d.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			w.within(noticed, d.Proc)
			lookup := ddns.Server{Addr: netip.AddrPortFrom(at, ddns.Port)}
			for _, name := range []string{"op", "later"} {
				if err := w.hosts[0].Do(func() error {
					addrs, _, err := lookup.Lookup(w.ctx, ddns.Owner(layer.MD5.Sum(name)), at.Is4())
					if err == nil && len(addrs) > 0 {
						err = fmt.Errorf("still there: %v", addrs)
					}
					return err
				}); err != nil {
					t.Errorf("record of %s: %v", name, err)
				}
			}
		})
	}
}

// A server that refuses stops nothing; whoever looks after the daemon is told.
func TestDNSRefuses(t *testing.T) {
	w := newWorld(t, 30*time.Second, 2)
	dir := filepath.Join(w.dir, "dns")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	w.nameServer(dir, addr4(0, 2), "192.0.2.0/24")
	d := w.daemon(0, lab.UDPLayer{Name: "udp", IP: addr4(0, 1), DNS: addr4(0, 2), Serve: []string{"op"}})
	if err := d.WaitFor(w.ctx, "refuses to update"); err != nil {
		t.Error(err)
	}
	w.mustRun(0, "irm", "name", "register", "other", "layer", "net")
}
