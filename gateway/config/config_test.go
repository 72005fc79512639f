// SPDX-License-Identifier: BSD-3-Clause

package config

import (
	"bytes"
	"encoding/json"
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

// Lines of the sample that are commented out: keys at their default, and tables
// that are off.
var (
	regexpComment = regexp.MustCompile(`(?m)^# ([a-z_0-9]+ = .*)$`)
	regexpOff     = regexp.MustCompile(`(?m)^#: (.*)$`)
)

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
	// Every table can be turned on, and the defaults that the comments name are
	// those of the program.
	on := regexpOff.ReplaceAll(data, []byte("$1"))
	full, err := Parse(on, "on")
	if err != nil {
		t.Fatalf("%v\n%s", err, on)
	}
	uncommented := regexpComment.ReplaceAll(on, []byte("$1"))
	// Keys whose comments show an example, where nothing set is the default.
	for _, line := range []string{
		`connect = "office.vpn"`, "allow = []", "rate = 100.0", "burst = 100", `health = "tcp"`, `qos = "data"`, "port = 80",
		`token = "0123456789abcdef"`,
	} {
		if n := len(uncommented); true {
			uncommented = bytes.ReplaceAll(uncommented, []byte("\n"+line+"\n"), []byte("\n"))
			if len(uncommented) == n {
				t.Errorf("the sample has no %q", line)
			}
		}
	}
	g, err := Parse(uncommented, "uncommented")
	if err != nil {
		t.Fatalf("%v\n%s", err, uncommented)
	}
	g.Filename, full.Filename = "", ""
	g.Node, full.Node = nil, nil
	normal(g)
	normal(full)
	got, _ := json.MarshalIndent(g, "", " ")
	all, _ := json.MarshalIndent(full, "", " ")
	if !bytes.Equal(got, all) {
		t.Errorf("got  %s\nwant %s", got, all)
	}
}

// normal makes what means the same equal: no ports are all ports.
func normal(f *File) {
	for i := range f.Routes {
		f.Routes[i].Ports, f.Routes[i].Protos = nil, nil
	}
	for i := range f.QoS {
		f.QoS[i].Ports = nil
	}
	clearEmpty(reflect.ValueOf(f).Elem())
}

// clearEmpty makes empty slices and maps nil.
func clearEmpty(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			clearEmpty(v.Elem())
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				clearEmpty(v.Field(i))
			}
		}
	case reflect.Slice, reflect.Map:
		if v.Len() == 0 {
			v.SetZero()
		} else if v.Kind() == reflect.Slice {
			for i := range v.Len() {
				clearEmpty(v.Index(i))
			}
		}
	}
}

func TestEveryKeyIsDocumented(t *testing.T) {
	tables := map[string]bool{}
	for _, k := range Kinds {
		tables[k.Name] = true
	}
	inTable := false
	keys := func(v any) (out []string) {
		for i := range reflect.TypeOf(v).NumField() {
			f := reflect.TypeOf(v).Field(i)
			if f.Anonymous && f.Type.Kind() == reflect.Struct && f.Type.Name() == "limits" {
				for j := range f.Type.NumField() {
					out = append(out, f.Type.Field(j).Tag.Get("toml"))
				}
			}
			if tag := f.Tag.Get("toml"); tag != "" && (inTable || !tables[tag]) {
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
	inTable = true
	for name, table := range map[string]any{
		"tunnel": tunnelTable{}, "segment": segmentTable{}, "intercept": interceptTable{}, "names": namesTable{}, "expose": exposeTable{},
		"exit": exitTable{}, "forward": forwardTable{}, "socks": socksTable{}, "http": httpTable{}, "route": routeTable{}, "qos": qosTable{}, "web": webTable{},
	} {
		i := slices.IndexFunc(Kinds, func(k Kind) bool { return k.Name == name })
		if i < 0 {
			t.Errorf("%s is not documented", name)
			continue
		}
		got, want := names(Kinds[i].Keys), keys(table)
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%s: documented %v, known %v", name, got, want)
		}
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
