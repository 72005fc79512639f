// SPDX-License-Identifier: BSD-3-Clause

package names

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func newPool(t testing.TB, v4, v6 string, max int) *Pool {
	t.Helper()
	var r [2]netip.Prefix
	for i, s := range []string{v4, v6} {
		if s != "" {
			r[i] = netip.MustParsePrefix(s)
		}
	}
	p, err := NewPool(r[0], r[1], max)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func defaultPool(t testing.TB) *Pool {
	d := Defaults()
	return newPool(t, d.V4.String(), d.V6.String(), d.Max)
}

func assign(t testing.TB, p *Pool, service string) (v4, v6 netip.Addr) {
	t.Helper()
	v4, v6, err := p.Assign(service)
	if err != nil {
		t.Fatalf("assign %s: %v", service, err)
	}
	return v4, v6
}

// The addresses of a name are those of every gateway and version: these stand
// in the caches and notes of users.
func TestPoolGolden(t *testing.T) {
	p := defaultPool(t)
	for name, want := range map[string]string{
		"web": "198.18.211.236 fd61:19fe:dbd5:0:39b:3d1e:1392:9298",
		"a.b": "198.19.244.114 fd61:19fe:dbd5:0:72d:f568:c354:82b2",
	} {
		v4, v6 := assign(t, p, name)
		if got := v4.String() + " " + v6.String(); got != want {
			t.Errorf("%s has %s, want %s", name, got, want)
		}
	}
}

func TestPoolIsStable(t *testing.T) {
	var names []string
	for i := range 3000 {
		names = append(names, fmt.Sprintf("service-%d", i))
	}
	first, again := defaultPool(t), defaultPool(t)
	v4, v6 := map[string]netip.Addr{}, map[string]netip.Addr{}
	for _, n := range names {
		v4[n], v6[n] = assign(t, first, n)
	}
	moved := 0
	for _, n := range slices.Backward(names) { // whatever the order
		a4, a6 := assign(t, again, n)
		if a6 != v6[n] {
			t.Errorf("%s has %v and then %v", n, v6[n], a6)
		}
		if a4 != v4[n] {
			moved++
		}
	}
	// 3000 names in 131068 places: 34 pairs that collide.
	if moved > 200 {
		t.Errorf("%d of %d IPv4 addresses differ after a restart", moved, len(names))
	}
	for _, n := range names {
		if a4, a6 := assign(t, first, n); a4 != v4[n] || a6 != v6[n] {
			t.Fatalf("%s has other addresses the second time", n)
		}
	}
}

func TestPoolLookup(t *testing.T) {
	p := defaultPool(t)
	v4, v6 := assign(t, p, "web")
	for _, a := range []netip.Addr{v4, v6, netip.AddrFrom16(v4.As16())} {
		if name, ok := p.Lookup(a); !ok || name != "web" || !p.Contains(a) {
			t.Errorf("%v: %q, %v, in the ranges: %v", a, name, ok, p.Contains(a))
		}
	}
	r4, r6 := p.Resolver()
	i4, i6 := p.Interface()
	for a, want := range map[netip.Addr]string{r4: "198.18.0.1", r6: "fd61:19fe:dbd5::1", i4: "198.18.0.2", i6: "fd61:19fe:dbd5::2"} {
		if a.String() != want || !p.Contains(a) {
			t.Errorf("reserved address %v, want %s", a, want)
		}
		if name, ok := p.Lookup(a); ok {
			t.Errorf("%v stands for %q", a, name)
		}
	}
	for _, s := range []string{"198.17.255.255", "198.20.0.0", "fd61:19fe:dbd5:1::1", "127.0.0.1", "::"} {
		if p.Contains(netip.MustParseAddr(s)) {
			t.Errorf("%s is not in the ranges", s)
		}
	}
	if p.Contains(netip.Addr{}) {
		t.Error("no address is in the ranges")
	}
	if got := p.Names(10); !slices.Equal(got, []Assigned{{"web", v4, v6}}) {
		t.Errorf("names %v", got)
	}
}

func TestPoolOneFamily(t *testing.T) {
	if v4, v6 := assign(t, newPool(t, "10.99.0.0/16", "", 10), "web"); !v4.Is4() || v6.IsValid() {
		t.Errorf("IPv4 only: %v, %v", v4, v6)
	}
	p := newPool(t, "", "fd00::/64", 10)
	if v4, v6 := assign(t, p, "web"); v4.IsValid() || !v6.Is6() {
		t.Errorf("IPv6 only: %v, %v", v4, v6)
	}
	if _, ok := p.Lookup(netip.Addr{}); ok {
		t.Error("the address of the range that is missing stands for a name")
	}
}

func TestPoolRanges(t *testing.T) {
	for _, c := range []struct{ v4, v6, says string }{
		{"", "", "no range"},
		{"fd00::/64", "", "family"},
		{"", "10.0.0.0/8", "family"},
		{"10.0.0.1/8", "", "10.0.0.0/8"},
		{"10.0.0.0/30", "", "small"},
		{"", "fd00::/126", "small"},
		{"127.0.0.0/8", "", "something else"},
		{"0.0.0.0/0", "", "something else"},
		{"224.0.0.0/8", "", "something else"},
		{"", "fe80::/64", "something else"},
	} {
		var v4, v6 netip.Prefix
		if c.v4 != "" {
			v4 = netip.MustParsePrefix(c.v4)
		}
		if c.v6 != "" {
			v6 = netip.MustParsePrefix(c.v6)
		}
		if _, err := NewPool(v4, v6, 10); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s %s: error %v does not say %q", c.v4, c.v6, err, c.says)
		}
	}
	if _, err := NewPool(netip.MustParsePrefix("10.0.0.0/8"), netip.Prefix{}, 0); err == nil {
		t.Error("a pool for no names")
	}
}

// clock is the time of a pool.
type clock struct{ time.Time }

func (c *clock) set(p *Pool) { p.now = func() time.Time { return c.Time } }

func (c *clock) sleep(d time.Duration) { c.Time = c.Add(d) }

func TestPoolMakesRoom(t *testing.T) {
	p := newPool(t, "10.0.0.0/24", "", 3)
	c := clock{time.Unix(0, 0)}
	c.set(p)
	p.SetTTL(time.Minute)
	assign(t, p, "a")
	assign(t, p, "b")
	cAddr, _ := assign(t, p, "c")
	if _, _, err := p.Assign("d"); !errors.Is(err, errPoolFull) {
		t.Fatalf("a fourth name: %v", err)
	}
	c.sleep(time.Minute + grace - 1)
	if _, _, err := p.Assign("d"); !errors.Is(err, errPoolFull) {
		t.Fatalf("a fourth name while the others may be used: %v", err)
	}
	p.Hold("a")
	p.Hold("a")
	p.Lookup(cAddr) // somebody connects
	c.sleep(1)
	assign(t, p, "d")
	if p.has("b") || !p.has("a") || !p.has("c") {
		t.Errorf("names %v: b was the only one not in use", p.Names(9))
	}
	c.sleep(time.Hour)
	assign(t, p, "e")
	assign(t, p, "f")
	if _, _, err := p.Assign("g"); err == nil || !p.has("a") || p.Len() != 3 {
		t.Errorf("names %v, error %v: a is held", p.Names(9), err)
	}
	if got := p.Names(1); len(got) != 1 || got[0].Name != "a" {
		t.Errorf("one name: %v, want the one that is held", got)
	}
	p.Release("a")
	c.sleep(time.Hour)
	if assign(t, p, "g"); !p.has("a") {
		t.Error("a is held once more, and gone")
	}
	p.Release("a")
	p.Release("a") // once too often: nothing happens
	c.sleep(time.Hour)
	for _, n := range []string{"h", "i", "j"} {
		assign(t, p, n)
	}
	if p.has("a") || p.Len() != 3 || p.Hold("a") {
		t.Errorf("names %v: a is no longer held", p.Names(9))
	}
}

// One client that asks for everything leaves room for others, and what is in
// use stays.
func TestPoolShare(t *testing.T) {
	p := newPool(t, "10.0.0.0/16", "fd00::/64", 1000)
	c := clock{time.Unix(0, 0)}
	c.set(p)
	greedy, other := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	web, _, err := p.assign("web", other)
	if err != nil {
		t.Fatal(err)
	}
	refused := 0
	for i := range 10000 {
		if _, _, err := p.assign(fmt.Sprint("x", i), greedy); err != nil {
			refused++
		}
	}
	if p.Len() != 501 || refused != 9500 {
		t.Errorf("%d names, %d refused: want half of 1000 and web", p.Len(), refused)
	}
	if _, _, err := p.assign("mail", other); err != nil {
		t.Errorf("no room for another client: %v", err)
	}
	c.sleep(time.Hour) // nothing is in use: its own oldest names make room
	if _, _, err := p.assign("y", greedy); err != nil || p.has("x0") || !p.has("web") {
		t.Errorf("one more name: %v, x0: %v, web: %v", err, p.has("x0"), p.has("web"))
	}
	if name, ok := p.Lookup(web); !ok || name != "web" {
		t.Errorf("%v is %q", web, name)
	}
}

// Whatever happens: an address stands for one name, is never one of the
// reserved, and is not given to another name while it may be in use.
func TestPoolProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, err := NewPool(netip.MustParsePrefix("10.0.0.0/28"), netip.MustParsePrefix("fd00::/124"), 8)
		if err != nil {
			t.Fatal(err)
		}
		c := clock{time.Unix(0, 0)}
		c.set(p)
		type usage struct {
			name  string
			until time.Time
		}
		told := map[netip.Addr]usage{}
		held := map[string]int{}
		name := rapid.SampledFrom(strings.Split("abcdefghijklmnopqrstuvwxyz", ""))
		who := rapid.SampledFrom([]netip.Addr{{}, netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")})
		use := func(a netip.Addr, n string) {
			if u, ok := told[a]; ok && u.name != n && c.Before(u.until) {
				t.Fatalf("%v stands for %s, was told for %s, which may be in use", a, n, u.name)
			}
			told[a] = usage{n, c.Add(p.keep)}
		}
		t.Repeat(map[string]func(*rapid.T){
			"assign": func(t *rapid.T) {
				n := name.Draw(t, "name")
				v4, v6, err := p.assign(n, who.Draw(t, "client"))
				if err != nil {
					return
				}
				for _, a := range []netip.Addr{v4, v6} {
					last := a.AsSlice()[len(a.AsSlice())-1]
					if !p.Contains(a) || last < reserved || last == 15 {
						t.Fatalf("%s has %v", n, a)
					}
					use(a, n)
				}
			},
			"lookup": func(t *rapid.T) {
				a := p.v4.at(uint64(rapid.IntRange(0, 15).Draw(t, "address")))
				if n, ok := p.Lookup(a); ok {
					use(a, n)
				} else if u, ok := told[a]; ok && c.Before(u.until) {
					t.Fatalf("%v is forgotten in use", a)
				}
			},
			"hold": func(t *rapid.T) {
				if n := name.Draw(t, "name"); p.Hold(n) {
					held[n]++
				}
			},
			"release": func(t *rapid.T) {
				n := name.Draw(t, "name")
				if held[n] > 0 {
					held[n]--
				}
				p.Release(n)
			},
			"sleep": func(t *rapid.T) { c.sleep(time.Duration(rapid.IntRange(0, 250).Draw(t, "s")) * time.Second) },
			"": func(t *rapid.T) {
				if len(p.byName) > p.max || len(p.byAddr) != 2*len(p.byName) {
					t.Fatalf("%d names, %d addresses, at most %d", len(p.byName), len(p.byAddr), p.max)
				}
				owned := 0
				for _, s := range p.shares {
					if owned += s.names; s.names == 0 || s.names > p.max/2 {
						t.Fatalf("a client has %d of %d names", s.names, p.max)
					}
				}
				for n := range held {
					if held[n] > 0 && !p.has(n) {
						t.Fatalf("%s is held, and gone", n)
					}
				}
				for n, a := range p.byName {
					if a.service != n || p.byAddr[a.v4] != a || p.byAddr[a.v6] != a {
						t.Fatalf("the addresses of %s are not its own", n)
					}
				}
			},
		})
	})
}

func TestPoolParallel(t *testing.T) {
	p := newPool(t, "10.0.0.0/24", "fd00::/64", 50)
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for j := range 500 {
				n := fmt.Sprint((i + j) % 60)
				if v4, v6, err := p.Assign(n); err == nil {
					for _, a := range []netip.Addr{v4, v6} {
						if got, ok := p.Lookup(a); !ok || got != n {
							t.Errorf("%v is %q, want %q", a, got, n)
						}
					}
				}
				if p.Hold(n) {
					p.Release(n)
				}
			}
		})
	}
	wg.Wait()
}

func BenchmarkAssign(b *testing.B) {
	p := defaultPool(b)
	assign(b, p, "web")
	b.ReportAllocs()
	for b.Loop() {
		p.Assign("web")
	}
}
