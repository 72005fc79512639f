// SPDX-License-Identifier: BSD-3-Clause

package resolved

import (
	"bufio"
	"context"
	"errors"
	"net/netip"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// bus starts a private message bus and makes it the system bus of this test.
func bus(t *testing.T) {
	t.Helper()
	program, err := exec.LookPath("dbus-daemon")
	if err != nil {
		t.Skip("no dbus-daemon here (Debian: dbus)")
	}
	cmd := exec.Command(program, "--session", "--nofork", "--nopidfile", "--print-address",
		"--address=unix:path="+filepath.Join(t.TempDir(), "bus"))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	address, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("dbus-daemon says no address: %v", err)
	}
	t.Setenv("DBUS_SYSTEM_BUS_ADDRESS", strings.TrimSpace(address))
}

// fake is a systemd-resolved that notes what it is told.
type fake struct {
	mu       sync.Mutex
	calls    []string // methods, in order
	servers  map[int32][]server
	old      map[int32][]oldServer
	domains  map[int32][]domain
	settings map[string]any
	reverted []int32
	fail     map[string]*dbus.Error
}

// start puts the fake on the bus; methods in without are not there.
func (f *fake) start(t *testing.T, without ...string) {
	t.Helper()
	f.servers, f.domains, f.settings = map[int32][]server{}, map[int32][]domain{}, map[string]any{}
	f.old = map[int32][]oldServer{}
	conn, err := dbus.ConnectSystemBus()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		conn.ReleaseName(busName)
		conn.Close()
	})
	setting := func(method string) func(link int32, value string) *dbus.Error {
		return func(link int32, value string) *dbus.Error {
			return f.note(method, func() { f.settings[method] = value })
		}
	}
	methods := map[string]any{
		"SetLinkDNSEx": func(link int32, s []server) *dbus.Error {
			return f.note("SetLinkDNSEx", func() { f.servers[link] = s })
		},
		"SetLinkDNS": func(link int32, s []oldServer) *dbus.Error {
			return f.note("SetLinkDNS", func() { f.old[link] = s })
		},
		"SetLinkDomains": func(link int32, d []domain) *dbus.Error {
			return f.note("SetLinkDomains", func() { f.domains[link] = d })
		},
		"SetLinkDefaultRoute": func(link int32, on bool) *dbus.Error {
			return f.note("SetLinkDefaultRoute", func() { f.settings["SetLinkDefaultRoute"] = on })
		},
		"RevertLink": func(link int32) *dbus.Error {
			return f.note("RevertLink", func() { f.reverted = append(f.reverted, link) })
		},
		"SetLinkDNSSEC":       setting("SetLinkDNSSEC"),
		"SetLinkDNSOverTLS":   setting("SetLinkDNSOverTLS"),
		"SetLinkLLMNR":        setting("SetLinkLLMNR"),
		"SetLinkMulticastDNS": setting("SetLinkMulticastDNS"),
	}
	for _, m := range without {
		delete(methods, m)
	}
	if err := conn.ExportMethodTable(methods, path, strings.TrimSuffix(manager, ".")); err != nil {
		t.Fatal(err)
	}
	if got, err := conn.RequestName(busName, dbus.NameFlagDoNotQueue); err != nil || got != dbus.RequestNameReplyPrimaryOwner {
		t.Fatalf("take the name: %v, %v", got, err)
	}
}

func (f *fake) note(method string, do func()) *dbus.Error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, method)
	if err := f.fail[method]; err != nil {
		return err
	}
	do()
	return nil
}

var (
	resolvers = []netip.AddrPort{netip.MustParseAddrPort("198.18.0.1:53"), netip.MustParseAddrPort("[fd61:19fe:dbd5::1]:53")}
	zones     = []string{"o7s.", "18.198.in-addr.arpa"}
)

func TestSetAndUndo(t *testing.T) {
	bus(t)
	f := &fake{}
	f.start(t)
	undo, err := Set(t.Context(), 7, resolvers, zones)
	if err != nil {
		t.Fatal(err)
	}
	f.mu.Lock()
	wantServers := []server{
		{afINET, []byte{198, 18, 0, 1}, 53, ""},
		{afINET6, netip.MustParseAddr("fd61:19fe:dbd5::1").AsSlice(), 53, ""},
	}
	if !reflect.DeepEqual(f.servers[7], wantServers) {
		t.Errorf("servers %+v, want %+v", f.servers[7], wantServers)
	}
	if want := []domain{{"o7s", true}, {"18.198.in-addr.arpa", true}}; !reflect.DeepEqual(f.domains[7], want) {
		t.Errorf("domains %+v, want %+v", f.domains[7], want)
	}
	want := map[string]any{"SetLinkDefaultRoute": false, "SetLinkDNSSEC": "no", "SetLinkDNSOverTLS": "no", "SetLinkLLMNR": "no", "SetLinkMulticastDNS": "no"}
	if !reflect.DeepEqual(f.settings, want) {
		t.Errorf("settings %v, want %v", f.settings, want)
	}
	if f.calls[0] != "SetLinkDomains" || f.calls[len(f.calls)-1] != "SetLinkDNSEx" {
		t.Errorf("calls %v: for a moment all names of the machine were asked here", f.calls)
	}
	if len(f.reverted) != 0 {
		t.Error("reverted at once")
	}
	f.mu.Unlock()
	undo()
	undo()
	f.mu.Lock()
	defer f.mu.Unlock()
	if !reflect.DeepEqual(f.reverted, []int32{7}) {
		t.Errorf("reverted links %v, want 7 once", f.reverted)
	}
}

func TestOldVersion(t *testing.T) {
	bus(t)
	f := &fake{}
	f.start(t, "SetLinkDNSEx", "SetLinkDefaultRoute", "SetLinkDNSOverTLS")
	undo, err := Set(t.Context(), 3, resolvers[:1], zones[:1])
	if err != nil {
		t.Fatal(err)
	}
	defer undo()
	f.mu.Lock()
	if want := []oldServer{{afINET, []byte{198, 18, 0, 1}}}; !reflect.DeepEqual(f.old[3], want) {
		t.Errorf("servers %+v, want %+v", f.old[3], want)
	}
	f.mu.Unlock()
	odd := []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:5353")}
	_, err = Set(t.Context(), 4, odd, zones)
	f.mu.Lock()
	defer f.mu.Unlock()
	if err == nil || f.old[4] != nil {
		t.Errorf("a port that cannot be said: error %v, servers %v", err, f.old[4])
	}
	if !reflect.DeepEqual(f.reverted, []int32{4}) {
		t.Errorf("reverted links %v, want 4", f.reverted)
	}
}

func TestErrorsLeaveNothing(t *testing.T) {
	bus(t)
	for name, hint := range map[string]string{errDenied: "polkit", errInteractive: "polkit", errBusy: "networkd", "org.freedesktop.resolve1.NoSuchLink": "SetLinkDNSEx"} {
		t.Run(name, func(t *testing.T) {
			f := &fake{fail: map[string]*dbus.Error{"SetLinkDNSEx": dbus.NewError(name, []any{"no"})}}
			f.start(t)
			_, err := Set(t.Context(), 9, resolvers, zones)
			f.mu.Lock()
			defer f.mu.Unlock()
			if err == nil || !strings.Contains(err.Error(), hint) || errors.Is(err, ErrNotRunning) {
				t.Errorf("error %v does not say %q", err, hint)
			}
			if !reflect.DeepEqual(f.reverted, []int32{9}) {
				t.Errorf("reverted links %v, want 9: domains stay without servers", f.reverted)
			}
		})
	}
}

func TestNotRunning(t *testing.T) {
	t.Run("no bus", func(t *testing.T) {
		t.Setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path="+filepath.Join(t.TempDir(), "none"))
		if _, err := Set(t.Context(), 1, resolvers, zones); !errors.Is(err, ErrNotRunning) {
			t.Errorf("error %v, want ErrNotRunning", err)
		}
	})
	t.Run("no service", func(t *testing.T) {
		bus(t)
		if _, err := Set(t.Context(), 1, resolvers, zones); !errors.Is(err, ErrNotRunning) {
			t.Errorf("error %v, want ErrNotRunning", err)
		}
	})
}

// A service that hangs costs its client the time that it has, no more.
func TestHanging(t *testing.T) {
	bus(t)
	f := &fake{}
	f.start(t)
	f.mu.Lock()
	defer f.mu.Unlock()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	reverted := make(chan struct{})
	go func() { // the way back needs the service, too
		<-ctx.Done()
		f.mu.Unlock()
		close(reverted)
	}()
	_, err := Set(ctx, 1, resolvers, zones)
	<-reverted
	f.mu.Lock()
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v, want the end of the time", err)
	}
}

func TestHint(t *testing.T) {
	for _, c := range []struct {
		servers []netip.AddrPort
		want    []string
		not     string
	}{
		{resolvers, []string{"server=/o7s/198.18.0.1;", "nameserver 198.18.0.1"}, "#"},
		{[]netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:5353")}, []string{"server=/o7s/127.0.0.1#5353;"}, "resolv.conf"},
	} {
		hint := Hint(c.servers, []string{"o7s"})
		for _, w := range c.want {
			if !strings.Contains(hint, w) {
				t.Errorf("hint %q does not say %q", hint, w)
			}
		}
		if strings.Contains(hint, c.not) || strings.Contains(hint, "\n") {
			t.Errorf("hint %q is not for these servers", hint)
		}
	}
	if Hint(nil, nil) == "" {
		t.Error("no hint without servers")
	}
}
