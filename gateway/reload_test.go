// SPDX-License-Identifier: BSD-3-Clause

//go:build linux

package gateway

import (
	"net/netip"
	"slices"
	"testing"

	"o7gw/proxy/route"
	"o7gw/proxy/session"
)

// TestReloadObjects: objects of all kinds come, change and go, and those that
// stay read the new routes.
func TestReloadObjects(t *testing.T) {
	needRoot(t)
	dir := t.TempDir()
	const (
		socks   = "[socks]\nlisten = [\"127.0.0.1:1081\"]\n"
		through = "[[route]]\nexit = \"gw.test\"\nprefixes = [\"10.0.0.0/8\"]\n"
		named   = "[names]\nzone = \"test\"\n[[intercept]]\nname = \"i\"\ndevice = \"r0\"\nnames = true\n"
	)
	g := begin(t, conf(t, dir, "127.0.0.1", socks))
	defer g.Close()
	reload := func(text string, want ...Change) {
		t.Helper()
		if got := g.Reload(t.Context(), conf(t, dir, "127.0.0.1", text)); !slices.Equal(got, want) {
			t.Errorf("reload: %v, want %v", got, want)
		}
	}
	find := func(d route.Dest) error {
		_, err := g.routing.table().Find(d)
		return err
	}
	beyond := route.Dest{Addr: netip.MustParseAddr("10.1.2.3"), Port: 80, Proto: session.TCP}
	if find(beyond) == nil {
		t.Error("a way without a route")
	}
	reload(socks+through+named, Change{"names", "started", ""}, Change{"intercept i", "started", ""}, Change{"socks", "unchanged", ""})
	if err := find(beyond); err != nil {
		t.Error(err)
	}
	if err := find(route.Dest{Host: "web.test", Port: 80, Proto: session.TCP}); err != nil {
		t.Error(err)
	}
	v4, _, err := g.names.pool.Assign("web")
	if err != nil {
		t.Fatal(err)
	}
	if err := find(route.Dest{Addr: v4, Port: 80, Proto: session.TCP}); err != nil {
		t.Error(err)
	}
	reload(socks, Change{"intercept i", "stopped", ""}, Change{"names", "stopped", ""}, Change{"socks", "unchanged", ""})
	if find(beyond) == nil || find(route.Dest{Addr: v4, Port: 80, Proto: session.TCP}) == nil {
		t.Error("routes of the old file")
	}
}
