// SPDX-License-Identifier: BSD-3-Clause

package config

import (
	"fmt"
	"strings"
	"testing"
)

// TestErrors: each mistake is told with file, line, column and key.
func TestErrors(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"[name.n]\nlbb = \"spill\"", "f:2:1: name.n.lbb: unknown key"},
		{"x = 1", "f:1:1: x: unknown table; a file has name, local, unicast, broadcast, eth-llc, eth-dix, udp4, udp6"},
		{"\n  [udp7.a]\n", "f:2:4: udp7: unknown table; a file has name, local, unicast, broadcast, eth-llc, eth-dix, udp4, udp6"},
		{"name = 3", "f:1:1: name: must be a table, not an integer"},
		{"local.x = true", "f:1:7: local.x: must be a table, not a boolean"},
		{"[[local]]\nx = 1", "f:1:3: local: must be a table, not an array"},
		{"[name.n]\nserver_require = \"secrecy\"", `f:2:1: name.n.server_require: "secrecy" must be encryption, authentication, or both with a comma`},
		{"[name.n]\nlb = \"random\"", `f:2:1: name.n.lb: "random" is none of round-robin, spill, spillover`},
		{"[name.\"\"]", `f:1:7: name."": service name is empty`},
		{"[name.n]\nprog = [\"webd\"]", `f:2:1: name.n.prog: "webd" is not a full path`},
		{"[name.n]\nprog = [\"/webd\", 3]", `f:2:1: name.n.prog: must be an array of strings; element 2 is an integer`},
		{"[name.n]\nargs = [\"-l\"]", `f:2:1: name.n.args: there are 1 for 0 programs`},
		{"[name.\"a.b\"]\nserver_crt_file = \"crt.pem\"", `f:2:1: name."a.b".server_crt_file: "crt.pem" is not a full path`},
		{"[local.l]\nbootstrap = \"\"", "f:2:1: local.l.bootstrap: layer name is empty"},
		{"[local.l]\nbootstrap = \"" + strings.Repeat("x", 256) + "\"", "f:2:1: local.l.bootstrap: layer name is longer than 255 bytes"},
		{"[local.l]\nreg = [\"x\"]", "f:2:1: local.l.reg: names are registered in a layer: bootstrap or enroll is missing"},
		{"[local.l]\nhash = \"MD5\"", `f:2:1: local.l.hash: "MD5" is none of SHA3_224, SHA3_256, SHA3_384, SHA3_512`},
		{"[local.l]\nip = \"1.2.3.4\"", "f:2:1: local.l.ip: unknown key"},
		{"[local.l]\nenroll = \"x\"", "f:2:1: local.l.enroll: only unicast and broadcast IPCPs enroll"},
		{"[local.l]\nautobind = true", "f:2:1: local.l.autobind: only unicast and broadcast IPCPs are bound to names"},
		{"[unicast.l]\nautobind = 1", "f:2:1: unicast.l.autobind: must be true or false, not an integer"},
		{"[unicast.l]\nenrol = \"x\"\nenroll = \"y\"", "f:3:1: unicast.l.enroll: is the same as enrol, which is set too"},
		{"[unicast.l]\nbootstrap = \"x\"\nenroll = \"y\"", "f:3:1: unicast.l.enroll: an IPCP is either bootstrapped or enrolled"},
		{"[unicast.l]\nbootstrap = \"x\"\nconn = [\"y\"]", "f:3:1: unicast.l.conn: only enrolled IPCPs connect: enroll is missing"},
		{"[unicast.l]\nls_t_timeo = 0", "f:2:1: unicast.l.ls_t_timeo: must be between 1 and 86400, not 0"},
		{"[unicast.l]\ndht_k = 21", "f:2:1: unicast.l.dht_k: must be between 1 and 20, not 21"},
		{"[unicast.l]\nrouting = 4.0", "f:2:1: unicast.l.routing: must be a string, not a float"},
		{"[eth-dix.l]\nbootstrap = \"e\"", "f:1:10: eth-dix.l: dev, the network interface, is missing"},
		{"[eth-dix.l]\ndev = \"e\"\nethertype = 0x05FF", "f:3:1: eth-dix.l.ethertype: must be between 1536 and 65534, not 1535"},
		{"[eth-llc.l]\nethertype = 0xA000", "f:2:1: eth-llc.l.ethertype: unknown key"},
		{"[udp4.l]\nbootstrap = \"u\"", "f:1:7: udp4.l: ip, the own address, is missing"},
		{"[udp4.l]\nip = \"::1\"", `f:2:1: udp4.l.ip: "::1" is not an IPv4 address`},
		{"[udp6.l]\nip = \"::ffff:1.2.3.4\"", `f:2:1: udp6.l.ip: "::ffff:1.2.3.4" is not an IPv6 address`},
		{"[udp6.l]\nip = \"::\"", "f:2:1: udp6.l.ip: :: is no address that others can reach"},
		{"[udp4.l]\nport = 65536", "f:2:1: udp4.l.port: must be between 1 and 65535, not 65536"},
		{"[udp4.l]\nmtu = 68", "f:2:1: udp4.l.mtu: must be between 576 and 65535, not 68"},
		{"[udp4.l.hosts]\nx = []", "f:2:1: udp4.l.hosts.x: has no address"},
		{"[udp4.l]\nhosts = { a = \"1.2.3.4\", b = 3 }", "f:2:26: udp4.l.hosts.b: must be an address or an array of addresses, not an integer"},
		{"[udp4.l]\nhosts_file = \"\"", "f:2:1: udp4.l.hosts_file: the path is empty"},
		{"[udp4.x]\n[udp6.x]", "f:2:7: udp6.x: the name of this IPCP is taken by udp4.x"},
		// Syntax, as the TOML library puts it.
		{"[local.l\n", "f:1:9: "},
		{"[local.l]\n\nbootstrap = x", "f:3:13: "},
		{"[local.l]\n[local.l]", "f:2:"},
		{"[local.l]\nbootstrap = \"a\"\nbootstrap = \"b\"", "f:3:1: "},
		{"[local.l]\nbootstrap = \"\xff\"", "f:2:14: "},
	} {
		_, err := Parse([]byte(c.in), "f")
		switch {
		case err == nil:
			t.Errorf("%q: no error, want %q", c.in, c.want)
		case err.Error() != c.want && !(strings.HasSuffix(c.want, ":") || strings.HasSuffix(c.want, ": ")) || !strings.HasPrefix(err.Error(), c.want):
			t.Errorf("%q:\n got %q\nwant %q", c.in, err, c.want)
		}
	}
}

// TestAllErrors: all mistakes are told at once, in the order of the file.
func TestAllErrors(t *testing.T) {
	_, err := Parse([]byte("[udp4.a]\nx = 1\nport = 0\n[name.n]\ny = 2\n"), "f")
	var lines []int
	for _, e := range Errors(err) {
		lines = append(lines, e.Line)
	}
	equal(t, "lines", lines, []int{2, 3, 5})
}

// TestManyErrors: a file full of rubbish is refused soon, with the first
// mistakes.
func TestManyErrors(t *testing.T) {
	var text strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&text, "k%d = 1\n", i)
	}
	_, err := Parse([]byte(text.String()), "f")
	all := Errors(err)
	if len(all) != maxErrors || all[19].Line != 20 || !strings.HasSuffix(all[19].Msg, "(and 980 more mistakes)") {
		t.Errorf("%d errors, last %v", len(all), all[len(all)-1])
	}
	if _, err := Parse(make([]byte, maxSize+1), "f"); err == nil || len(Errors(err)) != 1 {
		t.Errorf("too long a file: %v", err)
	}
	if _, err := Parse([]byte("x = "+strings.Repeat("[", 100000)), "f"); err == nil {
		t.Error("a deep array is accepted")
	}
}
