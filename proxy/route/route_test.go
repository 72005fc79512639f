// SPDX-License-Identifier: BSD-3-Clause

package route

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"o7gw/o7s/qos"
	"o7gw/proxy/session"
)

// pool is one address that stands for a name, and the range that it is from.
type pool struct{}

func (pool) Contains(a netip.Addr) bool {
	return netip.MustParsePrefix("198.18.0.0/15").Contains(a)
}

func (pool) Lookup(a netip.Addr) (string, bool) {
	return "pooled", a == netip.MustParseAddr("198.18.0.9")
}

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

func table() *Table {
	p := netip.MustParsePrefix
	return New(Config{
		Zones: []string{"o7s", "Example.Net."},
		Exits: []Exit{
			{Service: "web-exit", Prefixes: []netip.Prefix{p("0.0.0.0/0")}, Hosts: []string{"*"}, Ports: []PortRange{{80, 80}, {8000, 8099}}, Protos: []session.Proto{session.TCP}},
			{Service: "lab", Prefixes: []netip.Prefix{p("10.0.0.0/8"), p("2001:db8::/32")}, Hosts: []string{"*.lab.org", "lab.org"}},
			{Service: "lab2", Prefixes: []netip.Prefix{p("10.1.0.0/16")}},
			{Service: "nothing"},
		},
		QoS: []QoSRule{
			{Protos: []session.Proto{session.UDP}, DSCP: []uint8{46}, QoS: qos.Voice},
			{Ports: []PortRange{{22, 22}}, Services: []string{"host"}, QoS: qos.Best},
			{Protos: []session.Proto{session.UDP}, QoS: qos.Video},
		},
	}, pool{})
}

func TestFindAll(t *testing.T) {
	tcp, udp := session.TCP, session.UDP
	for _, c := range []struct {
		d    Dest
		want string // services
		req  session.Request
		err  error
	}{
		{Dest{Host: "web.o7s", Port: 80, Proto: tcp}, "web", session.Request{Proto: tcp, Port: 80}, nil},
		{Dest{Host: "A.B.O7S.", Port: 1, Proto: udp}, "a.b", session.Request{Proto: udp, Port: 1}, nil},
		{Dest{Host: "x.example.net", Port: 1, Proto: tcp}, "x", session.Request{Proto: tcp, Port: 1}, nil},
		{Dest{Host: "o7s", Port: 80, Proto: tcp}, "", session.Request{}, session.NotFound},
		{Dest{Host: "webo7s", Port: 81, Proto: tcp}, "", session.Request{}, session.Unreachable},
		{Dest{Addr: addr("198.18.0.9"), Port: 5, Proto: tcp}, "pooled", session.Request{Proto: tcp, Port: 5}, nil},
		{Dest{Addr: addr("::ffff:198.18.0.9"), Port: 5, Proto: tcp}, "pooled", session.Request{Proto: tcp, Port: 5}, nil},
		{Dest{Host: "198.18.0.9", Port: 5, Proto: tcp}, "pooled", session.Request{Proto: tcp, Port: 5}, nil},
		// An address of the pool never goes to an exit.
		{Dest{Addr: addr("198.18.0.8"), Port: 80, Proto: tcp}, "", session.Request{}, session.Unreachable},
		{Dest{Addr: addr("10.1.2.3"), Port: 80, Proto: tcp}, "web-exit lab lab2", session.Request{Proto: tcp, Addr: addr("10.1.2.3"), Port: 80}, nil},
		{Dest{Addr: addr("10.1.2.3"), Port: 8100, Proto: tcp}, "lab lab2", session.Request{Proto: tcp, Addr: addr("10.1.2.3"), Port: 8100}, nil},
		{Dest{Host: "10.1.2.3", Port: 80, Proto: udp}, "lab lab2", session.Request{Proto: udp, Addr: addr("10.1.2.3"), Port: 80}, nil},
		{Dest{Host: "[2001:db8::1]", Port: 81, Proto: tcp}, "lab", session.Request{Proto: tcp, Addr: addr("2001:db8::1"), Port: 81}, nil},
		{Dest{Addr: addr("2001:db8::1%eth0"), Port: 81, Proto: tcp}, "lab", session.Request{Proto: tcp, Addr: addr("2001:db8::1"), Port: 81}, nil},
		{Dest{Addr: addr("192.0.2.1"), Port: 81, Proto: tcp}, "", session.Request{}, session.Unreachable},
		{Dest{Host: "a.b.LAB.org", Port: 22, Proto: tcp}, "lab", session.Request{Proto: tcp, Host: "a.b.lab.org", Port: 22}, nil},
		{Dest{Host: "lab.org", Port: 80, Proto: tcp}, "web-exit lab", session.Request{Proto: tcp, Host: "lab.org", Port: 80}, nil},
		{Dest{Host: "notlab.org", Port: 22, Proto: tcp}, "", session.Request{}, session.Unreachable},
		{Dest{Port: 22, Proto: tcp}, "", session.Request{}, session.Unreachable},
	} {
		ways, err := table().FindAll(c.d)
		var got []string
		for _, w := range ways {
			got = append(got, w.Service)
			if w.Request != c.req {
				t.Errorf("%+v: request %+v, want %+v", c.d, w.Request, c.req)
			}
		}
		if strings.Join(got, " ") != c.want || !errors.Is(err, c.err) {
			t.Errorf("%+v: %v, %v; want %q, %v", c.d, got, err, c.want, c.err)
		}
		w, err := table().Find(c.d)
		if err == nil && w.Service != got[0] || !errors.Is(err, c.err) {
			t.Errorf("%+v: Find returns %+v, %v", c.d, w, err)
		}
	}
}

func TestQoS(t *testing.T) {
	for _, c := range []struct {
		d    Dest
		want qos.Spec
	}{
		{Dest{Host: "host.o7s", Port: 5060, Proto: session.UDP, DSCP: 46}, qos.Voice},
		{Dest{Host: "host.o7s", Port: 5060, Proto: session.UDP}, qos.Video},
		{Dest{Host: "host.o7s", Port: 22, Proto: session.TCP, DSCP: 46}, qos.Best},
		{Dest{Host: "other.o7s", Port: 22, Proto: session.TCP}, qos.Spec{}},
		{Dest{Addr: addr("10.0.0.1"), Port: 22, Proto: session.UDP}, qos.Video},
	} {
		if w, err := table().Find(c.d); err != nil || w.QoS != c.want {
			t.Errorf("%+v: %v, %v; want %v", c.d, w.QoS, err, c.want)
		}
	}
}

func FuzzParsePorts(f *testing.F) {
	for _, s := range []string{"80", "80, 8000-8099", "0", "9-8", "1-65535", "", ",", "1-2-3", " 7 - 9 ", "65536", "-1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		ranges, err := ParsePorts(s)
		if (err == nil) != (len(ranges) > 0) {
			t.Fatalf("%q: %v, %v", s, ranges, err)
		}
		for _, r := range ranges {
			if r.First == 0 || r.First > r.Last || !Ports(ranges, r.First) || !Ports(ranges, r.Last) {
				t.Fatalf("%q: %v", s, r)
			}
		}
	})
}

func TestParsePorts(t *testing.T) {
	got, err := ParsePorts("80, 8000 - 8099")
	if err != nil || !slices.Equal(got, []PortRange{{80, 80}, {8000, 8099}}) {
		t.Error(got, err)
	}
	for _, bad := range []string{"", "0", "0-5", "9-8", "1-2-3", "http", "65536", "1,", "-1"} {
		if got, err := ParsePorts(bad); err == nil {
			t.Errorf("%q is read as %v", bad, got)
		}
	}
}
