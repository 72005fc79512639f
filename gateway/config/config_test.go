// SPDX-License-Identifier: BSD-3-Clause

package config

import (
	"bytes"
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"o7gw/gateway/tunnel"
	"o7gw/o7s/qos"
)

var regexpComment = regexp.MustCompile(`(?m)^# ([a-z_]+ = .*)$`)

var update = flag.Bool("update", false, "write the golden files")

// Each testdata/*.toml has a mistake or several; *.err holds the error.
func TestGoldenErrors(t *testing.T) {
	files, err := filepath.Glob("testdata/*.toml")
	if err != nil || len(files) < 10 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, path := range files {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		_, err = Parse(data, filepath.Base(path))
		if err == nil {
			t.Errorf("%s: no error", path)
			continue
		}
		golden := strings.TrimSuffix(path, ".toml") + ".err"
		got := err.Error() + "\n"
		if *update {
			if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if got != string(want) {
			t.Errorf("%s:\ngot  %swant %s", path, got, want)
		}
	}
}

const full = `irmd = false
run_dir = "/run/x"

[udp4.net]
bootstrap = "net"
ip = "192.0.2.7"
hosts = { "office.vpn" = "192.0.2.1" }

[[tunnel]]
name = "a"
device = "tun7"
connect = "office.vpn"
mode = "o7gw"
address = ["10.77.0.2/24", "fd00:77::2/64"]
announce = ["192.168.7.0/24"]
allow = ["0.0.0.0/0", "::/0"]
routes = false
relay = true
mtu = 1400
mss_clamp = false
max_peers = 3
qos = "voice"
timeout = "9s"
reconnect_min = "100ms"
reconnect_max = "1m"

[[tunnel]]
name = "b"
listen = "other.vpn"
mode = "plain"
address = ["10.78.0.1/24"]
`

func TestParse(t *testing.T) {
	f, err := Parse([]byte(full), "full.toml")
	if err != nil {
		t.Fatal(err)
	}
	p := func(s ...string) (out []netip.Prefix) {
		for _, x := range s {
			out = append(out, netip.MustParsePrefix(x))
		}
		return out
	}
	want := tunnel.Config{
		Name: "a", Device: "tun7", Connect: "office.vpn",
		Addresses: p("10.77.0.2/24", "fd00:77::2/64"), Announce: p("192.168.7.0/24"), Allow: p("0.0.0.0/0", "::/0"),
		Relay: true, MTU: 1400, MaxPeers: 3, QoS: qos.Voice, Timeout: 9 * time.Second,
		ReconnectMin: 100 * time.Millisecond, ReconnectMax: time.Minute,
	}
	if !reflect.DeepEqual(f.Tunnels[0], want) {
		t.Errorf("got  %+v\nwant %+v", f.Tunnels[0], want)
	}
	b := tunnel.Defaults()
	b.Name, b.Listen, b.Plain, b.Addresses = "b", "other.vpn", true, p("10.78.0.1/24")
	if !reflect.DeepEqual(f.Tunnels[1], b) {
		t.Errorf("got  %+v\nwant %+v", f.Tunnels[1], b)
	}
	if f.RunDir != "/run/x" || len(f.Node.IPCPs) != 1 || f.Node.IPCPs[0].Name != "net" {
		t.Errorf("%+v", f)
	}
}

// The file in configs is what genconf prints, it is right, and it leaves
// everything at its default.
func TestSample(t *testing.T) {
	var b bytes.Buffer
	if err := Sample(&b); err != nil {
		t.Fatal(err)
	}
	const shipped = "../../configs/o7gw.toml"
	if *update {
		if err := os.WriteFile(shipped, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	data, err := os.ReadFile(shipped)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(data, b.Bytes()) {
		t.Errorf("%s differs from what genconf prints; run go test ./gateway/config -update", shipped)
	}
	f, err := Parse(data, "o7gw.toml")
	if err != nil {
		t.Fatal(err)
	}
	want := tunnel.Defaults()
	want.Name, want.Listen = "office", "office.vpn"
	want.Addresses = []netip.Prefix{netip.MustParsePrefix("10.77.0.1/24"), netip.MustParsePrefix("fd00:77::1/64")}
	if !reflect.DeepEqual(f.Tunnels[0], want) {
		t.Errorf("got  %+v\nwant %+v", f.Tunnels[0], want)
	}
	// The defaults that the comments name are those of the program.
	uncommented := regexpComment.ReplaceAll(data, []byte("$1"))
	uncommented = bytes.Replace(uncommented, []byte("connect = \"office.vpn\"\n"), nil, 1)
	uncommented = bytes.Replace(uncommented, []byte("allow = []\n"), nil, 1)
	g, err := Parse(uncommented, "uncommented")
	if err != nil {
		t.Fatalf("%v\n%s", err, uncommented)
	}
	if !reflect.DeepEqual(g.Tunnels, f.Tunnels) {
		t.Errorf("got  %+v\nwant %+v", g.Tunnels[0], f.Tunnels[0])
	}
}

func TestEveryKeyIsDocumented(t *testing.T) {
	keys := func(v any) (out []string) {
		for i := range reflect.TypeOf(v).NumField() {
			f := reflect.TypeOf(v).Field(i)
			if tag := f.Tag.Get("toml"); tag != "" && f.Type.Kind() != reflect.Map && tag != "tunnel" {
				out = append(out, tag)
			}
		}
		return out
	}
	names := func(list []Key) (out []string) {
		for _, k := range list {
			out = append(out, k.Name)
			if k.Doc == "" || k.Reload == "" {
				t.Errorf("%s lacks text", k.Name)
			}
		}
		return out
	}
	if got, want := names(TopKeys), keys(document{}); !slices.Equal(got, want) {
		t.Errorf("top: documented %v, known %v", got, want)
	}
	if got, want := names(TunnelKeys), keys(tunnelTable{}); !slices.Equal(got, want) {
		t.Errorf("tunnel: documented %v, known %v", got, want)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(full))
	files, _ := filepath.Glob("testdata/*.toml")
	for _, path := range files {
		if data, err := os.ReadFile(path); err == nil {
			f.Add(data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if _, err := Parse(data, "fuzz"); err != nil && !strings.HasPrefix(err.Error(), "fuzz:") {
			t.Fatalf("error without a place: %v", err)
		}
	})
}
