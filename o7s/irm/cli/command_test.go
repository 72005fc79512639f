// SPDX-License-Identifier: BSD-3-Clause

package cli

import (
	"context"
	"net/netip"
	"os"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"o7gw/o7s/ipcp"
	"o7gw/o7s/irm"
	"o7gw/o7s/layer"
)

// node returns a daemon with some IPCPs and names.
func node() *fake {
	return &fake{
		ids: []int{90, 91, 92},
		ipcps: []irm.IPCPInfo{
			{ID: 1, Name: "uni.a", Type: ipcp.Unicast, State: ipcp.Boot},
			{ID: 2, Name: "uni.b", Type: ipcp.Unicast, State: ipcp.Boot},
			{ID: 3, Name: "wan", Type: ipcp.UDP4, State: ipcp.Operational, Layer: "net"},
			{ID: 4, Name: "wan2", Type: ipcp.UDP4, State: ipcp.Operational, Layer: "net2"},
			{ID: 5, Name: "bc", Type: ipcp.Broadcast, State: ipcp.Operational, Layer: "news"},
		},
		procs: []irm.ProcessInfo{{PID: 77, Names: []string{"a", "b"}}},
	}
}

// TestRequests: what a command asks of the daemon.
func TestRequests(t *testing.T) {
	self := strconv.Itoa(os.Getpid())
	for _, c := range []struct {
		args string
		want string // requests, lists left out
	}{
		// Abbreviations: the first in the order of the tables wins.
		{"i c t local n x", "create local x"},
		{"i d n wan", "destroy 3"},
		{"ipcp con n wan d x", "connect 3 x Management raw; connect 3 x Data Transfer raw"},
		{"ipcp di n wan d x", "disconnect 3 x Data Transfer; disconnect 3 x Management"},
		{"n c x", "name x round-robin"},
		{"n d x", "destroy name x"},
		{"n r x i wan", "name x spillover; register x 3"},
		{"b proc " + self + " n x", "bind process " + self + " x"},
		{"u proc 77 n x", "unbind process 77 x"},
		{"u proc 77", "unbind process 77 a; unbind process 77 b"},
		{"b i wan n x", "bind ipcp 3 x"},
		{"u i wan n x", "unbind ipcp 3 x"},
		{"u p oping n x", `unbind oping "x"`},
		{"u p oping", `unbind oping ""`},
		// A repeated keyword overrides.
		{"ipcp create type udp4 name a name b type local", "create local b"},
		// Wildcards.
		{"name register x layer net*", "name x spillover; register x 3; register x 4"},
		{"name register x layer net ipcp wan2", "name x spillover; register x 3; register x 4"},
		{"name register x ipcp *", "name x spillover; register x 1; register x 2; register x 3; register x 4; register x 5"},
		{"ipcp bootstrap name uni.* layer l", "bootstrap 1 unicast l; bootstrap 2 unicast l"},
		{"ipcp enroll name uni.* layer net", "enroll 1 net; enroll 2 net"},
		{"ipcp connect name wan dst x component d*", "connect 3 x Data Transfer raw"},
		{"ipcp connect name wan dst x qos data", "connect 3 x Management raw; connect 3 x Data Transfer data"},
		{"ipcp disconnect name wan dst x component mgmt", "disconnect 3 x Management"},
		// A broadcast IPCP has no management.
		{"ipcp connect name bc dst x", "connect 5 x Data Transfer raw"},
		{"ipcp connect name bc dst x component *", "connect 5 x Data Transfer raw"},
		{"ipcp disconnect name bc dst x", "disconnect 5 x Data Transfer"},
		// Types in bootstrap may be shortened.
		{"ipcp bootstrap type udp name u layer l ip 192.0.2.1", "create udp4 u; bootstrap 90 udp4 l"},
		{"ipcp bootstrap type eth name u layer l dev e0", "create eth-dix u; bootstrap 90 eth-dix l"},
		{"ipcp bootstrap type u name n layer l", "create unicast n; bootstrap 90 unicast l"},
		{"ipcp bootstrap type b name n layer l autobind", "create broadcast n; bind ipcp 90 n; bind ipcp 90 l; bootstrap 90 broadcast l"},
		// Enrolment binds afterwards, to the layer that was joined.
		{"ipcp enroll name n dst uni.x autobind", "create unicast n; enroll 90 uni.x; bind ipcp 90 n; bind ipcp 90 net"},
	} {
		f := node()
		r := irmOn(f, strings.Fields(c.args)...)
		if r.code != 0 || r.out != "" || r.err != "" {
			t.Errorf("irm %s: %v", c.args, r)
		}
		var got []string
		for _, l := range f.log {
			if !strings.HasPrefix(l, "list ") {
				got = append(got, l)
			}
		}
		if s := strings.Join(got, "; "); s != c.want {
			t.Errorf("irm %s:\n got %s\nwant %s", c.args, s, c.want)
		}
		if f.closed != 1 {
			t.Errorf("irm %s: %d connections closed", c.args, f.closed)
		}
	}
}

// TestFailures: every failure has a reason on stderr and ends with 1.
func TestFailures(t *testing.T) {
	long := strings.Repeat("x", 256)
	for _, c := range []struct {
		args, want string
		fail       string // a request that the daemon refuses
	}{
		{args: "bogus", want: `"bogus" is unknown, try "irm help".`},
		{args: "ipcp bogus", want: `"bogus" is unknown, try "irm ipcp help".`},
		{args: "name bogus", want: `"bogus" is unknown, try "irm name help".`},
		{args: "bind bogus", want: `"bogus" is unknown, try "irm bind help".`},
		{args: "ipcp create bogus x", want: `Unknown option: "bogus".`},
		{args: "ipcp create type foo name x", want: `IPCP type "foo" is unknown.`},
		{args: "ipcp create type loc name x", want: `IPCP type "loc" is unknown.`}, // exact here
		{args: "ipcp create type local name " + long, want: "IPCP name too long."},
		{args: "ipcp create type eth-llc name x", want: "irm: create IPCP \"x\": IPCP type eth-llc is not available yet: unknown IPCP type (-1001)"},
		{args: "ipcp bootstrap name x layer y", want: "No IPCPs matching x found; type is needed to create one."},
		{args: "ipcp bootstrap name x* layer y type local", want: "No IPCPs matching x* found."},
		{args: "ipcp bootstrap name wan layer y type local", want: "Types do not match.\nirm: IPCP wan has type udp4."},
		{args: "ipcp bootstrap name x layer " + long, want: "Layer name too long."},
		{args: "ipcp bootstrap name x layer y hash", want: "The value of hash is missing."},
		{args: "ipcp bootstrap type udp4 name x layer y", want: "The keyword ip is needed."},
		{args: "ipcp bootstrap type udp4 name x layer y ip ::1", want: `Invalid IPv4 address: "::1".`},
		{args: "ipcp bootstrap type udp6 name x layer y ip 1.2.3.4", want: `Invalid IPv6 address: "1.2.3.4".`},
		{args: "ipcp bootstrap type udp4 name x layer y ip 0.0.0.0", want: "Cannot use IPv4 address: 0.0.0.0."},
		{args: "ipcp bootstrap type udp4 name x layer y ip 1.2.3.4 dns x", want: `Invalid IPv4 address: "x".`},
		{args: "ipcp bootstrap type udp4 name x layer y ip 1.2.3.4 port x", want: "Unknown parameter for port: \"x\".\nirm: a number from 1 to 65535 is wanted."},
		{args: "ipcp bootstrap type udp4 name x layer y ip 1.2.3.4 host x", want: `Invalid host: "x", it must be <service>=<address>.`},
		{args: "ipcp bootstrap type udp4 name x layer y ip 1.2.3.4 host x=y", want: `Invalid IPv4 address: "y".`},
		{args: "ipcp bootstrap type eth-dix name x layer y", want: "The keyword dev is needed."},
		{args: "ipcp bootstrap type eth-dix name x layer y dev e ethertype 0x5FF", want: "Invalid Ethertype: \"0x5FF\".\nRecommended range: 0xA000-0xEFFF."},
		{args: "ipcp bootstrap type eth-dix name x layer y dev e ethertype FFFF", want: "Invalid Ethertype: \"FFFF\".\nRecommended range: 0xA000-0xEFFF."},
		{args: "ipcp bootstrap type unicast name x layer y routing foo", want: `Unknown parameter for routing: "foo".`},
		{args: "ipcp bootstrap name uni.a layer l autobind", fail: "bootstrap", want: "irm: IPCP uni.a: refused by the test"},
		{args: "ipcp enroll name x", want: "The keyword name, and layer or dst, are needed."},
		{args: "ipcp enroll name x layer y type local", want: `IPCP type "local" is none that enrolls.`},
		{args: "ipcp enroll name uni.a layer other dst d", want: "Enrollment destination does not match requested layer.\nirm: IPCP uni.a is in layer net now."},
		{args: "ipcp connect name none dst x", want: `There is no IPCP with the name "none", see "irm ipcp list".`},
		{args: "ipcp connect name wan dst x component foo", want: `Component "foo" is unknown.`},
		{args: "ipcp connect name bc dst x component mgmt", want: "irm: IPCP bc: type broadcast has no component mgmt."},
		{args: "ipcp connect name wan dst x", fail: "connect", want: "irm: IPCP wan: refused by the test"},
		{args: "ipcp list type foo", want: `IPCP type "foo" is unknown.`},
		{args: "name create " + long, want: "Name too long."},
		{args: "name create x sencpath /nosuch/file", want: "Failed to check path /nosuch/file: no such file or directory"},
		{args: "name destroy x", fail: "destroy", want: "irm: refused by the test"},
		{args: "name destroy a b", want: "Exactly one name is needed."},
		{args: "name register x", want: "An ipcp or a layer is needed."},
		{args: "name register x ipcp w*", fail: "register x 4", want: "Failed to register with wan2\nirm: IPCP wan2: refused by the test"},
		{args: "name list a b", want: `"b" is unknown, try "irm name list --help".`},
		{args: "bind program /etc name x", want: "Cannot execute /etc, please check permissions."},
		{args: "bind program nosuchprogram name x", want: "nosuchprogram does not exist."},
		{args: "bind process 0 name x", want: `"0" is not a valid process id.`},
		{args: "bind ipcp none name x", want: `There is no IPCP with the name "none", see "irm ipcp list".`},
		{args: "unbind ipcp none name x", want: `There is no IPCP with the name "none", see "irm ipcp list".`},
		{args: "unbind ipcp wan", want: "The ipcp and the keyword name are needed."},
		{args: "status x", want: `Unknown option: "x".`},
		{args: "status", fail: "status", want: "irm: refused by the test"},
		{args: "--timeout x status", want: `irm: --timeout "x" is not a duration such as 500ms or 10s`},
		{args: "status --run-dir", want: "irm: the value of --run-dir is missing"},
	} {
		f := node()
		f.fail, f.absent = c.fail, []ipcp.Type{ipcp.EthLLC}
		r := irmOn(f, strings.Fields(c.args)...)
		if r.code != 1 || r.err != c.want+"\n" {
			t.Errorf("irm %s: exit %d\n got %q\nwant %q", c.args, r.code, r.err, c.want)
		}
	}
}

// TestAutobindUndone: what was bound before a failed bootstrap is unbound.
func TestAutobindUndone(t *testing.T) {
	f := node()
	f.fail = "bootstrap"
	irmOn(f, "ipcp", "bootstrap", "name", "uni.a", "layer", "l", "autobind")
	want := []string{"list ipcps", "bind ipcp 1 uni.a", "bind ipcp 1 l", "bootstrap 1 unicast l",
		"unbind ipcp 1 uni.a", "unbind ipcp 1 l"}
	if !reflect.DeepEqual(f.log, want) {
		t.Errorf("requests %q", f.log)
	}
}

func TestMistakeCreatesNothing(t *testing.T) {
	f := node()
	irmOn(f, strings.Fields("ipcp bootstrap type udp4 name x layer y ip 1.2.3.4 mtu 1")...)
	if len(f.log) != 0 {
		t.Errorf("requests %q", f.log)
	}
}

func TestBootstrapConfig(t *testing.T) {
	ip := netip.MustParseAddr
	wd, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args string
		want ipcp.Config
	}{
		{"type udp4 ip 192.0.2.1", ipcp.Config{Type: ipcp.UDP4, Layer: "l", Hash: layer.SHA3_256,
			UDP: ipcp.UDPConfig{Addr: ip("192.0.2.1"), Port: 3435}}},
		{"type udp6 ip 2001:db8::1 dns 2001:db8::53 port 4000 mtu 9000 hosts hosts host a=b=2001:db8::2 host a=b=2001:db8::3",
			ipcp.Config{Type: ipcp.UDP6, Layer: "l", Hash: layer.SHA3_256, UDP: ipcp.UDPConfig{Addr: ip("2001:db8::1"), DNS: ip("2001:db8::53"),
				Port: 4000, MTU: 9000, HostsFile: wd + "/hosts", Hosts: map[string][]netip.Addr{"a=b": {ip("2001:db8::2"), ip("2001:db8::3")}}}}},
		{"type eth-dix dev e0 ethertype a123 hash SHA3_384", ipcp.Config{Type: ipcp.EthDIX, Layer: "l", Hash: layer.SHA3_384,
			Eth: ipcp.EthConfig{Device: "e0", Ethertype: 0xA123}}},
		{"type eth-llc dev e0", ipcp.Config{Type: ipcp.EthLLC, Layer: "l", Hash: layer.SHA3_256, Eth: ipcp.EthConfig{Device: "e0"}}},
		{"type unicast addr 4 eid 8 ttl 9 addr_auth flat directory DHT routing ecmp congestion none dht_alpha 1 dht_k 2 " +
			"dht_t_expire 30 dht_t_refresh 4 dht_t_replicate 5 ls_t_timeo 6 ls_t_update 7 ls_t_recalc 8",
			ipcp.Config{Type: ipcp.Unicast, Layer: "l", Hash: layer.SHA3_256, Unicast: ipcp.UnicastConfig{AddrSize: 4, EIDSize: 8, MaxTTL: 9,
				AddrAuth: "flat", Directory: "DHT", Routing: "ecmp", Congestion: "none", LSTimeo: 6, LSUpdate: 7, LSRecalc: 8,
				DHTAlpha: 1, DHTK: 2, DHTExpire: 30, DHTRefresh: 4, DHTReplic: 5}}},
	} {
		f := node()
		if r := irmOn(f, strings.Fields("ipcp bootstrap name x layer l "+c.args)...); r.code != 0 || r.err != "" {
			t.Errorf("%s: %v", c.args, r)
		}
		if !reflect.DeepEqual(f.cfg, c.want) {
			t.Errorf("%s:\n got %+v\nwant %+v", c.args, f.cfg, c.want)
		}
	}
}

// TestWarnings: words without effect are told, and the command goes on.
func TestWarnings(t *testing.T) {
	for args, want := range map[string]string{
		"ipcp bootstrap type local name x layer l autobind":                "Can not bind this IPCP type,autobind disabled.",
		"ipcp bootstrap type local name x layer l port 1":                  "irm: port means nothing to a local IPCP: ignored.",
		"ipcp connect name wan dst x qos foo":                              "Unknown QoS cube, defaulting to raw.",
		"name register x layer nolayer":                                    `No IPCP matches, nothing done; see "irm ipcp list".`,
		"bind program /proc/self/exe name x -- -l":                         "irm: arguments of " + executable(t) + " mean nothing without auto: ignored.",
		"ipcp bootstrap type udp4 name x layer l ip 1.2.3.4 hash SHA3_512": "",
		"ipcp bootstrap type local name x layer l hash SHA3_224":           "",
		"--run-dir /x ipcp bootstrap type local name x layer l":            "",
		"ipcp bootstrap --timeout=1m type local name x layer l":            "",
	} {
		r := irmOn(node(), strings.Fields(args)...)
		if r.code != 0 || strings.TrimSpace(r.err) != want {
			t.Errorf("irm %s: %v", args, r)
		}
	}
}

func executable(t *testing.T) string {
	t.Helper()
	path, err := os.Readlink("/proc/self/exe")
	if err != nil {
		t.Skip("no /proc: ", err)
	}
	return path
}

// TestProgramArguments: they are kept verbatim, whatever they look like.
func TestProgramArguments(t *testing.T) {
	f := node()
	r := irmOn(f, "bind", "program", "/proc/self/exe", "name", "x", "auto", "--", "--json", "--help", "", "a b", "--")
	if want := "bind " + executable(t) + ` x true ["--json" "--help" "" "a b" "--"]`; r.code != 0 || f.log[0] != want {
		t.Errorf("%v, requests %q", r, f.log)
	}
}

// TestAutoIsExact: auto may not be shortened.
func TestAutoIsExact(t *testing.T) {
	if r := irmOn(node(), "bind", "program", "/proc/self/exe", "name", "x", "aut"); r.code != 1 || !strings.Contains(r.err, `"aut"`) {
		t.Errorf("%v", r)
	}
}

func TestEmptyWordIsFirst(t *testing.T) {
	f := &fake{}
	if r := irmOn(f, "", "list"); r.code != 0 || r.out != "No IPCPs in system.\n\n" {
		t.Errorf("%v", r)
	}
}

// TestTimeout: a daemon that does not answer is given up.
func TestTimeout(t *testing.T) {
	var errs strings.Builder
	code := Run(context.Background(), []string{"--timeout", "1ms", "status"}, Env{Stdout: &errs, Stderr: &errs,
		Dial: func(ctx context.Context, _ string) (Client, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}})
	if want := "irm: status: no answer within 1ms (--timeout): context deadline exceeded\n"; code != 1 || errs.String() != want {
		t.Errorf("exit %d, %q", code, errs.String())
	}
}

// TestRunDir: the option reaches Dial.
func TestRunDir(t *testing.T) {
	var got string
	Run(context.Background(), []string{"status", "--run-dir=/run/x"}, Env{Stdout: &strings.Builder{}, Stderr: &strings.Builder{},
		Dial: func(_ context.Context, runDir string) (Client, error) {
			got = runDir
			return &fake{}, nil
		}})
	if got != "/run/x" {
		t.Errorf("run dir %q", got)
	}
}

// TestOutputLost: a list that cannot be written is a failure.
func TestOutputLost(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip(err)
	}
	defer full.Close()
	var errs strings.Builder
	code := Run(context.Background(), []string{"ipcp", "list"}, Env{Stdout: full, Stderr: &errs,
		Dial: func(context.Context, string) (Client, error) { return node(), nil }})
	if code != 1 || !strings.HasPrefix(errs.String(), "irm: write output: ") {
		t.Errorf("exit %d, %q", code, errs.String())
	}
}

func TestStatusText(t *testing.T) {
	r := irmOn(node(), "status")
	if r.code != 0 || !strings.HasPrefix(r.out, "irmd 0.1, process 42, up ") ||
		!strings.HasSuffix(r.out, "\n5 IPCPs, 0 names, 0 programs, 0 processes, 0 flows\n") {
		t.Errorf("%v", r)
	}
}

func TestWild(t *testing.T) {
	for _, c := range []struct {
		pattern, text string
		want          bool
	}{
		{"", "", true}, {"a", "a", true}, {"a", "ab", false}, {"*", "", true}, {"*", "x", true}, {"a*", "a", true},
		{"a*c", "abc", true}, {"a*c", "ac", true}, {"a*c", "acb", false}, {"*b*", "abc", true}, {"*b*", "ac", false},
		{"a*b*c", "a-b-b-c", true}, {"ab*ba", "aba", false}, {"**", "x", true}, {"a[bc]", "ab", false}, {"a[bc]", "a[bc]", true},
	} {
		if got := wild(c.pattern, c.text); got != c.want {
			t.Errorf("wild(%q, %q) = %v", c.pattern, c.text, got)
		}
	}
}
