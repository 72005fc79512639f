// SPDX-License-Identifier: BSD-3-Clause

package config

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"o7gw/o7s/ipcp"
	"o7gw/o7s/irm"
	"o7gw/o7s/layer"
	"o7gw/o7s/qos"
	"o7gw/o7s/security"
)

// journal is a Target that keeps what exists, and fails the n-th call that
// makes something.
type journal struct {
	mu    sync.Mutex
	tries map[string]int // of what failed for want of others
	// absent are beginnings of enrolments and connections that fail, since
	// the other side is not there, that many times.
	absent map[string]int
	life   context.Context // of what runs in the background
	calls  []string
	exists map[string]bool
	// claimed are names that were to be created and existed.
	claimed []irm.NameInfo
	failAt  int // 0: never
	made    int
	types   map[ipcp.Type]bool // that are there; nil: all
	ids     int
}

// errInjected is no error that time heals.
var errInjected = fmt.Errorf("injected: %w", layer.ErrNotSupported)

// away is what an enrolment or connection meets if the other side is not there.
func (j *journal) away(what string) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	for begin, times := range j.absent {
		if strings.HasPrefix(what, begin) && j.tries[begin] < times {
			if j.tries == nil {
				j.tries = map[string]int{}
			}
			j.tries[begin]++
			return layer.ErrIPCP
		}
	}
	return nil
}

// steps are what was made so far.
func (j *journal) steps() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.calls)
}

func (j *journal) tried(begin string) int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.tries[begin]
}

func (j *journal) Go(f func(context.Context)) bool {
	if j.life == nil {
		j.life = context.Background()
	}
	go f(j.life)
	return true
}

func (j *journal) make(what string) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.made++; j.made == j.failAt {
		return errInjected
	}
	if j.exists == nil {
		j.exists = map[string]bool{}
	}
	if j.exists[what] {
		return irm.ErrExists
	}
	j.exists[what] = true
	j.calls = append(j.calls, what)
	return nil
}

func (j *journal) unmake(what string) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if !j.exists[what] {
		return irm.ErrNotFound
	}
	delete(j.exists, what)
	return nil
}

func (j *journal) CreateIPCP(t ipcp.Type, name string) (int, error) {
	if j.types != nil && !j.types[t] {
		return 0, fmt.Errorf("create IPCP: IPCP type %s is not available yet: %w", t, layer.ErrIPCPType)
	}
	j.ids++
	return j.ids, j.make(fmt.Sprintf("ipcp %d", j.ids))
}

func (j *journal) DestroyIPCP(id int) error {
	j.mu.Lock()
	for _, kind := range []string{"boot", "enroll", "connect"} { // goes with it
		for k := range j.exists {
			if strings.HasPrefix(k, fmt.Sprintf("%s %d ", kind, id)) {
				delete(j.exists, k)
			}
		}
	}
	j.mu.Unlock()
	return j.unmake(fmt.Sprintf("ipcp %d", id))
}

func (j *journal) Bootstrap(_ context.Context, id int, cfg ipcp.Config) error {
	return j.make(fmt.Sprintf("boot %d %s", id, cfg.Layer))
}

func (j *journal) Enroll(_ context.Context, id int, dst string) (ipcp.Info, error) {
	what := fmt.Sprintf("enroll %d %s", id, dst)
	if err := j.away(what); err != nil {
		return ipcp.Info{}, err
	}
	return ipcp.Info{Layer: "layer-of-" + dst}, j.make(what)
}

func (j *journal) Connect(_ context.Context, id int, dst, component string, qs qos.Spec) error {
	what := fmt.Sprintf("connect %d %s %s %s", id, dst, component, qs)
	if err := j.away(what); err != nil {
		return err
	}
	return j.make(what)
}

func (j *journal) CreateName(n irm.NameInfo) error {
	j.mu.Lock()
	for k := range j.exists {
		if strings.HasPrefix(k, "name "+n.Name+" ") {
			j.claimed = append(j.claimed, n)
			j.mu.Unlock()
			return nil
		}
	}
	j.mu.Unlock()
	return j.make("name " + n.Name + " " + n.Policy.String())
}

func (j *journal) DestroyName(name string) error {
	for k := range j.exists {
		if strings.HasPrefix(k, "name "+name+" ") {
			return j.unmake(k)
		}
	}
	return layer.ErrNoName
}

func (j *journal) ListNames() []irm.NameInfo {
	var list []irm.NameInfo
	for k := range j.exists {
		if f := strings.Fields(k); f[0] == "name" {
			list = append(list, irm.NameInfo{Name: f[1]})
		}
	}
	return list
}

func (j *journal) BindProgram(b irm.ProgramBinding) error {
	if !b.Creds.Admin {
		return layer.ErrPermission
	}
	return j.make("program " + b.Path + " " + b.Name)
}

func (j *journal) UnbindProgram(program, name string) error {
	return j.unmake("program " + program + " " + name)
}

func (j *journal) BindIPCP(pid int, name string) error {
	return j.make(fmt.Sprintf("bind %d %s", pid, name))
}

func (j *journal) UnbindIPCP(pid int, name string) error {
	return j.unmake(fmt.Sprintf("bind %d %s", pid, name))
}

func (j *journal) Register(_ context.Context, name string, id int) error {
	return j.make(fmt.Sprintf("register %s %d", name, id))
}

func (j *journal) Unregister(_ context.Context, name string, id int) error {
	return j.unmake(fmt.Sprintf("register %s %d", name, id))
}

var discard = slog.New(slog.DiscardHandler)

func TestApplyMachineB(t *testing.T) {
	j := &journal{}
	if err := mustLoad(t, "testdata/machine-b.toml").Apply(context.Background(), j, discard); err != nil {
		t.Fatal(err)
	}
	equal(t, "steps", j.calls, []string{
		"name core spillover", "name core.a spillover", "name shop.web spillover",
		"ipcp 1", "boot 1 lan", "register core 1", "name core.b spillover", "register core.b 1",
		"ipcp 2", "enroll 2 core", "bind 2 core.b", "name layer-of-core spillover", "bind 2 layer-of-core",
		"connect 2 core.a Management raw", "connect 2 core.a Data Transfer raw",
	})
}

// TestApplyUndoes fails at every step in turn: nothing may be left but what
// was there before.
func TestApplyUndoes(t *testing.T) {
	for _, path := range []string{"testdata/machine-a.toml", "testdata/machine-b.toml"} {
		f := mustLoad(t, path)
		steps := 0
		for failAt := 1; ; failAt++ {
			j := &journal{failAt: failAt, exists: map[string]bool{"name core round-robin": true}}
			err := f.Apply(context.Background(), j, discard)
			if err == nil {
				break
			}
			if steps++; !errors.Is(err, errInjected) || !strings.HasPrefix(err.Error(), path+":") {
				t.Errorf("%s, step %d: %v", path, failAt, err)
			}
			if len(j.exists) != 1 || !j.exists["name core round-robin"] {
				t.Errorf("%s, step %d left %v", path, failAt, j.exists)
			}
		}
		if steps < 10 {
			t.Errorf("%s has %d steps", path, steps)
		}
	}
}

// TestApplyReportsTypeAndSteps: a type that does not exist is told with its
// line, and the log tells what was done and undone.
func TestApplyReportsTypeAndSteps(t *testing.T) {
	f := mustLoad(t, "testdata/machine-a.toml")
	var log bytes.Buffer
	j := &journal{types: map[ipcp.Type]bool{ipcp.Local: true}}
	err := f.Apply(context.Background(), j, slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	if want := "testdata/machine-a.toml:9: eth-dix.lan0: create IPCP: IPCP type eth-dix is not available yet"; err == nil || !strings.HasPrefix(err.Error(), want) || !errors.Is(err, layer.ErrIPCPType) {
		t.Errorf("got %v\nwant %s", err, want)
	}
	for _, line := range []string{"Created name shop.web.", "Bound program /usr/local/bin/webd to name shop.web.", "Undone: Created name shop.web."} {
		if !strings.Contains(log.String(), line) {
			t.Errorf("the log lacks %q:\n%s", line, log.String())
		}
	}
	j.types[ipcp.EthDIX] = true
	if err := f.Apply(context.Background(), j, discard); err == nil || !strings.Contains(err.Error(), ":15: unicast.core.a: create IPCP: IPCP type unicast is not available yet") {
		t.Errorf("unicast: %v", err)
	}
}

func TestApplyTellsWhatItCannotUndo(t *testing.T) {
	j := &stubborn{journal{failAt: 5}}
	err := mustLoad(t, "testdata/machine-a.toml").Apply(context.Background(), j, discard)
	if err == nil || !errors.Is(err, errInjected) || !strings.Contains(err.Error(), "undo configuration: ") {
		t.Errorf("%v", err)
	}
}

// stubborn destroys no name.
type stubborn struct{ journal }

func (s *stubborn) DestroyName(string) error { return layer.ErrPermission }

// TestApplyProtectsNamesThatExist: a process may have been faster than the
// file, and what the file says of security still holds.
func TestApplyProtectsNamesThatExist(t *testing.T) {
	f, err := Parse([]byte("[name.x]\nserver_require = \"encryption\"\nclient_require = \"authentication,encryption\"\nserver_key_file = \"/k\"\n"), "f")
	if err != nil {
		t.Fatal(err)
	}
	j := &journal{exists: map[string]bool{"name x round-robin": true}}
	if err := f.Apply(context.Background(), j, discard); err != nil {
		t.Fatal(err)
	}
	want := irm.NameInfo{
		Name: "x", Policy: irm.Spillover,
		Server: irm.Protection{Paths: security.Paths{Key: "/k"}, Require: security.Require{Encryption: true}},
		Client: irm.Protection{Require: security.Require{Encryption: true, Authentication: true}},
	}
	if len(j.claimed) != 1 || !reflect.DeepEqual(j.claimed[0], want) {
		t.Errorf("got %+v, want %+v", j.claimed, want)
	}
}
