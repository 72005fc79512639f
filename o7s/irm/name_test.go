// SPDX-License-Identifier: BSD-3-Clause

package irm

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"o7gw/o7s/ipcp"
	"o7gw/o7s/layer"
	"o7gw/o7s/qos"
	"o7gw/o7s/security"
)

func nameOf(i *IRM, s string) *NameInfo {
	for _, n := range i.ListNames() {
		if n.Name == s {
			return &n
		}
	}
	return nil
}

func TestNames(t *testing.T) {
	i := node(t, new(fakeNet), nil)
	info := NameInfo{Name: "b", Policy: RoundRobin, Owner: 7, Server: Protection{Paths: security.Paths{Enc: "e"}}, Client: Protection{Paths: security.Paths{Key: "k"}}}
	for _, n := range []NameInfo{info, {Name: "a", Policy: Spillover}, {Name: "b", Policy: Spillover}} {
		if err := i.CreateName(n); err != nil {
			t.Fatal(err)
		}
	}
	l := i.ListNames()
	if len(l) != 2 || l[0].Name != "a" || l[0].Policy != Spillover || !reflect.DeepEqual(l[1], info) {
		t.Errorf("names %+v", l)
	}
	for _, bad := range []NameInfo{{}, {Name: strings.Repeat("x", 256)}, {Name: "x", Policy: 9}} {
		if err := i.CreateName(bad); !errors.Is(err, layer.ErrInvalid) {
			t.Errorf("%.10q: %v", bad.Name, err)
		}
	}
	if err := i.DestroyName("a"); err != nil {
		t.Fatal(err)
	}
	if err := i.DestroyName("a"); !errors.Is(err, layer.ErrNoName) {
		t.Errorf("destroyed twice: %v", err)
	}
	if len(i.hashes) != len(algos) {
		t.Errorf("%d hashes for one name", len(i.hashes))
	}
}

func TestRegistrations(t *testing.T) {
	net := new(fakeNet)
	i := node(t, net, nil)
	id, f := inLayer(t, i, ipcp.UDP4, "net")
	unused, err := i.CreateIPCP(ipcp.UDP6, "unused")
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	if err := i.Register(ctx, "svc", unused); !errors.Is(err, layer.ErrIPCPState) {
		t.Errorf("register without a layer: %v", err)
	}
	if err := i.Register(ctx, "svc", 99); !errors.Is(err, ErrNotFound) {
		t.Errorf("register with nobody: %v", err)
	}
	if n := nameOf(i, "svc"); n != nil {
		t.Errorf("failed registration made %+v", n)
	}
	for range 2 {
		if err := i.Register(ctx, "svc", id); err != nil {
			t.Fatal(err)
		}
	}
	want := []Registration{{IPCP: id, Name: "net-udp4", Hash: layer.MD5.Sum("svc")}}
	if n := nameOf(i, "svc"); f.has("svc") != 1 || !reflect.DeepEqual(n.Registered, want) || n.Policy != Spillover {
		t.Errorf("registered %d times, %+v", f.has("svc"), n)
	}
	// A listener comes and goes; what the administrator registered stays.
	p := attach(t, i, 0, "server")
	stop, err := p.Listen(ctx, "svc")
	if err != nil {
		t.Fatal(err)
	}
	stop()
	if f.has("svc") != 1 {
		t.Errorf("registered %d times", f.has("svc"))
	}
	if err := i.Unregister(ctx, "svc", id); err != nil {
		t.Fatal(err)
	}
	if err := i.Unregister(ctx, "nothing", id); err != nil {
		t.Errorf("unregister an unknown name: %v", err)
	}
	if f.has("svc") != 0 || nameOf(i, "svc") == nil {
		t.Errorf("still registered, or name gone")
	}
	// Destroying a name unregisters it; destroying an IPCP forgets it.
	for _, n := range []string{"x", "y"} {
		if err := i.Register(ctx, n, id); err != nil {
			t.Fatal(err)
		}
	}
	if err := i.DestroyName("x"); err != nil || f.has("x") != 0 {
		t.Errorf("destroyed name is registered, %v", err)
	}
	if err := i.DestroyIPCP(id); err != nil || f.State() != ipcp.Null || f.has("y") != 0 {
		t.Errorf("destroyed IPCP: %v, %v, %d", err, f.State(), f.has("y"))
	}
	if n := nameOf(i, "y"); n == nil || len(n.Registered) != 0 {
		t.Errorf("name %+v", n)
	}
	// A refusal by the layer.
	id, f = inLayer(t, i, ipcp.UDP4, "net")
	f.failReg = layer.ErrPermission
	if err := i.Register(ctx, "y", id); !errors.Is(err, layer.ErrPermission) {
		t.Errorf("register: %v", err)
	}
	f.failReg = nil
	stop, err = p.Listen(ctx, "z")
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	if f.has("y") != 0 || f.has("z") != 1 {
		t.Error("the failed registration was repeated, or the good one not made")
	}
}

func TestListen(t *testing.T) {
	net := new(fakeNet)
	i := node(t, net, nil)
	_, f := inLayer(t, i, ipcp.UDP4, "net")
	p, q := attach(t, i, 7, "p"), attach(t, i, 7, "q")
	stopP, err := p.Listen(t.Context(), "svc")
	if err != nil {
		t.Fatal(err)
	}
	stopQ, err := q.Listen(t.Context(), "svc")
	if err != nil {
		t.Fatal(err)
	}
	_, later := inLayer(t, i, ipcp.UDP6, "later")
	id, err := i.CreateIPCP(ipcp.UDP6, "enrolled")
	if err != nil {
		t.Fatal(err)
	}
	if info, err := i.Enroll(t.Context(), id, "peer"); err != nil || info.Layer != "of-peer" {
		t.Fatalf("enroll: %+v, %v", info, err)
	}
	m, _ := i.member(id)
	if f.has("svc") != 1 || later.has("svc") != 1 || m.ipcp.(*fakeIPCP).has("svc") != 1 {
		t.Error("not registered everywhere once")
	}
	if n := nameOf(i, "svc"); n.Owner != 7 || len(n.Processes) != 2 || len(n.Registered) != 3 {
		t.Errorf("name %+v", n)
	}
	stopP()
	stopP()
	if f.has("svc") != 1 {
		t.Error("unregistered while somebody listens")
	}
	stopQ()
	if f.has("svc") != 0 || later.has("svc") != 0 || nameOf(i, "svc") != nil {
		t.Errorf("left: %+v", nameOf(i, "svc"))
	}
	// One layer that refuses is a warning, all are an error.
	f.failReg = layer.ErrPermission
	stop, err := p.Listen(t.Context(), "svc")
	if err != nil {
		t.Fatal(err)
	}
	stop()
	later.failReg, m.ipcp.(*fakeIPCP).failReg = layer.ErrPermission, layer.ErrPermission
	if _, err := p.Listen(t.Context(), "svc"); !errors.Is(err, layer.ErrPermission) {
		t.Errorf("listen: %v", err)
	}
	if nameOf(i, "svc") != nil || len(p.names) != 0 {
		t.Error("failed Listen left its name")
	}
}

func TestPermissions(t *testing.T) {
	i := node(t, new(fakeNet), nil)
	const alice, bob = 7, 8
	root, a, b := attach(t, i, 0, "root"), attach(t, i, alice, "a"), attach(t, i, bob, "b")
	for _, n := range []NameInfo{{Name: "roots"}, {Name: "alices", Owner: alice}} {
		if err := i.CreateName(n); err != nil {
			t.Fatal(err)
		}
	}
	if err := i.CreateName(NameInfo{Name: "bound"}); err != nil {
		t.Fatal(err)
	}
	for _, p := range []*Process{a, b} {
		if err := i.BindProcess(p.info.PID, "bound"); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		p       *Process
		name    string
		allowed bool
	}{
		{root, "roots", true}, {root, "alices", true}, {root, "bound", true},
		{a, "roots", false}, {a, "alices", true}, {a, "bound", true}, {a, "new", true},
		{b, "roots", false}, {b, "alices", false}, {b, "bound", true},
		{b, "new", false}, // alice has it now
	} {
		stop, err := c.p.Listen(t.Context(), c.name)
		switch {
		case c.allowed && err != nil, !c.allowed && !errors.Is(err, layer.ErrPermission):
			t.Errorf("user %d, name %s: %v", c.p.info.Creds.UID, c.name, err)
		case err == nil:
			t.Cleanup(stop)
		}
		err = c.p.Bind(c.name)
		if c.allowed && err != nil && !errors.Is(err, ErrExists) || !c.allowed && !errors.Is(err, layer.ErrPermission) {
			t.Errorf("bind: user %d, name %s: %v", c.p.info.Creds.UID, c.name, err)
		}
	}
	// Administrative requests.
	if err := a.info.Creds.RequireAdmin("create an IPCP"); !errors.Is(err, layer.ErrPermission) || !strings.Contains(err.Error(), "create an IPCP") {
		t.Errorf("require admin: %v", err)
	}
	if err := root.info.Creds.RequireAdmin("x"); err != nil {
		t.Error(err)
	}
	if err := i.BindProgram(ProgramBinding{Path: "/bin/x", Name: "alices", Creds: a.info.Creds}); !errors.Is(err, layer.ErrPermission) {
		t.Errorf("bind program: %v", err)
	}
	// Anybody may ask for a flow.
	if _, err := b.Alloc(t.Context(), "nowhere", qos.Raw); !errors.Is(err, layer.ErrIPCP) {
		t.Errorf("alloc: %v", err)
	}
}

func TestProgramBindings(t *testing.T) {
	i := node(t, new(fakeNet), nil)
	admin := Creds{Admin: true}
	before := attach(t, i, 0, "/usr/bin/srv")
	for _, b := range []ProgramBinding{
		{Path: "/usr/bin/srv", Name: "one", Creds: admin},
		{Path: "/usr/bin/srv", Name: "two", Args: []string{"-l"}, Auto: true, Creds: admin},
		{Path: "/usr/bin/../bin/other", Name: "two", Creds: admin},
	} {
		if err := i.BindProgram(b); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		b    ProgramBinding
		want error
	}{
		{ProgramBinding{Path: "/opt/srv", Name: "one", Creds: admin}, ErrExists},
		{ProgramBinding{Path: "srv", Name: "one", Creds: admin}, layer.ErrInvalid},
		{ProgramBinding{Path: "/" + strings.Repeat("x", 255), Name: "one", Creds: admin}, layer.ErrInvalid},
		{ProgramBinding{Path: "/bin/srv", Creds: admin}, layer.ErrInvalid},
	} {
		if err := i.BindProgram(c.b); !errors.Is(err, c.want) {
			t.Errorf("%+v: %v", c.b, err)
		}
	}
	if err := i.CreateName(NameInfo{Name: "mine", Owner: 7}); err != nil {
		t.Fatal(err)
	}
	if err := i.BindProgram(ProgramBinding{Path: "/usr/bin/srv", Name: "mine", Creds: admin}); err != nil {
		t.Fatal(err)
	}
	if err := i.BindProgram(ProgramBinding{Path: "/usr/bin/srv", Name: "nines", Creds: Creds{UID: 9, Admin: true}}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		uid     uint32
		program string
		want    []string
	}{
		{0, "/usr/bin/srv", []string{"mine", "nines", "one", "two"}},
		{7, "/usr/bin/srv", []string{"mine"}}, // of another user than who bound it
		{7, "/home/7/srv", nil},
		{9, "/usr/bin/srv", []string{"nines"}}, // of the user who bound it
		{0, "srv", []string{"mine", "nines", "one", "two"}},
		{7, "srv", []string{"mine"}}, // a mere claim
		{8, "srv", nil},
		{8, "/usr/bin/other", nil},
	} {
		p := attach(t, i, c.uid, c.program)
		for _, info := range i.ListProcesses() {
			if info.PID == p.info.PID && !reflect.DeepEqual(info.Names, c.want) {
				t.Errorf("user %d, %s inherited %v, want %v", c.uid, c.program, info.Names, c.want)
			}
		}
		p.Close()
	}
	if len(before.names) != 0 {
		t.Error("a running process inherited a name")
	}
	l := i.ListPrograms()
	if len(l) != 2 || l[0].Program != "other" || l[1].Program != "srv" || len(l[1].Bindings) != 4 || l[1].Bindings[0].Name != "mine" {
		t.Errorf("programs %+v", l)
	}
	// Unbinding takes the auto-start, leaves running processes alone, and
	// takes path or base name.
	p := attach(t, i, 0, "srv")
	if err := i.UnbindProgram("/opt/srv", "two"); !errors.Is(err, ErrNotFound) {
		t.Errorf("unbind another path: %v", err)
	}
	if err := i.UnbindProgram("/usr/bin/srv", "two"); err != nil {
		t.Fatal(err)
	}
	if n := nameOf(i, "two"); len(n.Programs) != 1 || n.Programs[0].Path != "/usr/bin/other" || len(p.names) != 4 {
		t.Errorf("name %+v, process has %d", n, len(p.names))
	}
	if err := i.UnbindProgram("srv", ""); err != nil {
		t.Fatal(err)
	}
	if err := i.UnbindProgram("srv", "one"); !errors.Is(err, ErrNotFound) {
		t.Errorf("unbound twice: %v", err)
	}
}

// TestSquatting: who binds a name before its rightful owner comes does not
// keep it.
func TestSquatting(t *testing.T) {
	for what, claim := range map[string]func(i *IRM) error{
		"create name": func(i *IRM) error { return i.CreateName(NameInfo{Name: "svc", Owner: 7}) },
		"bind program": func(i *IRM) error {
			return i.BindProgram(ProgramBinding{Path: "/bin/srv", Name: "svc", Creds: Creds{UID: 7, Admin: true}})
		},
	} {
		t.Run(what, func(t *testing.T) {
			i := node(t, new(fakeNet), nil)
			squatter, friend := attach(t, i, 8, "x"), attach(t, i, 7, "y")
			stop, err := squatter.Listen(t.Context(), "svc")
			if err != nil {
				t.Fatal(err)
			}
			accepted := make(chan error, 1)
			go func() {
				_, err := squatter.Accept(t.Context(), "svc")
				accepted <- err
			}()
			if err := claim(i); err != nil {
				t.Fatal(err)
			}
			if err := <-accepted; !errors.Is(err, layer.ErrNoName) {
				t.Errorf("squatter's accept: %v", err)
			}
			stop()
			if _, err := squatter.Listen(t.Context(), "svc"); !errors.Is(err, layer.ErrPermission) {
				t.Errorf("squatter's second try: %v", err)
			}
			if _, err := friend.Listen(t.Context(), "svc"); err != nil {
				t.Errorf("the owner: %v", err)
			}
			if n := nameOf(i, "svc"); n.Owner != 7 || len(n.Processes) != 1 {
				t.Errorf("name %+v", n)
			}
		})
	}
}

func TestBindProcess(t *testing.T) {
	i := node(t, new(fakeNet), nil)
	p := attach(t, i, 7, "p")
	if err := i.BindProcess(p.info.PID, "svc"); err != nil {
		t.Fatal(err)
	}
	if err := i.BindProcess(p.info.PID, "svc"); !errors.Is(err, ErrExists) {
		t.Errorf("bound twice: %v", err)
	}
	if err := i.BindProcess(1, "svc"); !errors.Is(err, ErrNotFound) {
		t.Errorf("unknown process: %v", err)
	}
	id, _ := inLayer(t, i, ipcp.UDP4, "net")
	if err := i.BindIPCP(id, "svc"); !errors.Is(err, layer.ErrNotSupported) {
		t.Errorf("shim: %v", err)
	}
	if err := p.Unbind("svc"); err != nil {
		t.Fatal(err)
	}
	if err := i.UnbindProcess(p.info.PID, "svc"); !errors.Is(err, ErrNotFound) {
		t.Errorf("unbound twice: %v", err)
	}
	if nameOf(i, "svc") == nil {
		t.Error("the administrator's name is gone")
	}
	if err := p.Bind("own"); err != nil {
		t.Fatal(err)
	}
	if err := p.Unbind("own"); err != nil || nameOf(i, "own") != nil {
		t.Errorf("unbind: %v, %+v", err, nameOf(i, "own"))
	}
}

func TestIPCPs(t *testing.T) {
	i := node(t, new(fakeNet), nil)
	ids := map[string]int{}
	for _, c := range []struct {
		name string
		t    ipcp.Type
	}{{"u6", ipcp.UDP6}, {"u4", ipcp.UDP4}, {"loc", ipcp.Local}, {"u4b", ipcp.UDP4}, {"bc", ipcp.Broadcast}} {
		id, err := i.CreateIPCP(c.t, c.name)
		if err != nil {
			t.Fatal(err)
		}
		ids[c.name] = id
	}
	var order []string
	for _, l := range i.ListIPCPs() {
		order = append(order, l.Name)
		if l.State != ipcp.Boot || l.Layer != "" || l.MTU != 0 {
			t.Errorf("%+v", l)
		}
	}
	if got := strings.Join(order, " "); got != "loc bc u4 u4b u6" {
		t.Errorf("order %s", got)
	}
	if _, err := i.CreateIPCP(ipcp.UDP4, "loc"); !errors.Is(err, ErrExists) {
		t.Errorf("same name: %v", err)
	}
	if _, err := i.CreateIPCP(ipcp.EthLLC, "uni"); !errors.Is(err, layer.ErrIPCPType) || !strings.Contains(err.Error(), "uni") {
		t.Errorf("unknown type: %v", err)
	}
	ctx := t.Context()
	if err := i.Bootstrap(ctx, ids["u4"], ipcp.Config{Type: ipcp.UDP6, Layer: "x"}); !errors.Is(err, layer.ErrIPCPType) {
		t.Errorf("wrong type: %v", err)
	}
	if err := i.Bootstrap(ctx, ids["u4"], ipcp.Config{Type: ipcp.UDP4}); !errors.Is(err, layer.ErrInvalid) {
		t.Errorf("no layer name: %v", err)
	}
	if err := i.Bootstrap(ctx, 99, ipcp.Config{}); !errors.Is(err, ErrNotFound) {
		t.Errorf("unknown id: %v", err)
	}
	if err := i.Bootstrap(ctx, ids["loc"], ipcp.Config{Type: ipcp.Local, Layer: "here", Hash: layer.SHA3_256}); err != nil {
		t.Fatal(err)
	}
	if err := i.Bootstrap(ctx, ids["loc"], ipcp.Config{Type: ipcp.Local, Layer: "here"}); !errors.Is(err, layer.ErrIPCPState) {
		t.Errorf("bootstrapped twice: %v", err)
	}
	if l := i.ListIPCPs()[0]; l.State != ipcp.Operational || l.Layer != "here" || l.Hash != layer.SHA3_256 || l.MTU == 0 {
		t.Errorf("%+v", l)
	}
	if err := i.Connect(ctx, ids["bc"], "dst", "Data Transfer", qos.Raw); err != nil {
		t.Error(err)
	}
	if err := i.Disconnect(ctx, ids["bc"], "dst", "Data Transfer"); !errors.Is(err, layer.ErrNotSupported) {
		t.Errorf("disconnect: %v", err)
	}
	if err := i.DestroyIPCP(ids["u4"]); err != nil {
		t.Fatal(err)
	}
	if err := i.DestroyIPCP(ids["u4"]); !errors.Is(err, ErrNotFound) {
		t.Errorf("destroyed twice: %v", err)
	}
}
