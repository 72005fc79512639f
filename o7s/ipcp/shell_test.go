// SPDX-License-Identifier: BSD-3-Clause

package ipcp

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"o7gw/o7s/bubble"
	"o7gw/o7s/layer"
	"o7gw/o7s/qos"
)

var (
	quiet = Env{Name: "test", Log: slog.New(slog.DiscardHandler)}
	conf  = Config{Type: Unicast, Layer: "net", Hash: layer.SHA3_256}
	name  = layer.SHA3_256.Sum("oping")
)

// everything returns operations that succeed and note their names.
func everything(called *[]string) Ops {
	note := func(op string) error {
		*called = append(*called, op)
		return nil
	}
	info := Info{Layer: "net", Hash: layer.SHA3_256, MTU: 1000, MPL: time.Second}
	return Ops{
		Bootstrap:  func(context.Context, Config) (Info, error) { return info, note("bootstrap") },
		Enroll:     func(context.Context, string) (Info, error) { return info, note("enroll") },
		Register:   func(context.Context, layer.Hash) error { return note("register") },
		Unregister: func(context.Context, layer.Hash) error { return note("unregister") },
		Query:      func(context.Context, layer.Hash) error { return note("query") },
		Allocate: func(context.Context, layer.Hash, qos.Spec, []byte) (layer.Port, []byte, error) {
			return nil, nil, note("allocate")
		},
		Join:       func(context.Context, layer.Hash) (layer.Port, error) { return nil, note("join") },
		Connect:    func(context.Context, string, string, qos.Spec) error { return note("connect") },
		Disconnect: func(context.Context, string, string) error { return note("disconnect") },
		Close:      func() error { return note("close") },
	}
}

// calls are all operations on an IPC process, each with a hash where it has
// one.
var calls = map[string]func(IPCP, layer.Hash) error{
	"bootstrap":  func(p IPCP, _ layer.Hash) error { return p.Bootstrap(context.Background(), conf) },
	"enroll":     func(p IPCP, _ layer.Hash) error { return p.Enroll(context.Background(), "x") },
	"register":   func(p IPCP, h layer.Hash) error { return p.Register(context.Background(), h) },
	"unregister": func(p IPCP, h layer.Hash) error { return p.Unregister(context.Background(), h) },
	"query":      func(p IPCP, h layer.Hash) error { return p.Query(context.Background(), h) },
	"allocate": func(p IPCP, h layer.Hash) error {
		_, _, err := p.Allocate(context.Background(), h, qos.Raw, nil)
		return err
	},
	"join":       func(p IPCP, h layer.Hash) error { _, err := p.Join(context.Background(), h); return err },
	"connect":    func(p IPCP, _ layer.Hash) error { return p.Connect(context.Background(), "x", "Management", qos.Raw) },
	"disconnect": func(p IPCP, _ layer.Hash) error { return p.Disconnect(context.Background(), "x", "Management") },
}

func needsLayer(op string) bool { return op != "bootstrap" && op != "enroll" }

func TestShellStates(t *testing.T) {
	for op, call := range calls {
		var called []string
		var s Shell
		if s.State() != Null {
			t.Fatalf("state %v before Init", s.State())
		}
		s.Init(Unicast, quiet, everything(&called))
		if s.State() != Boot || s.Info() != (Info{}) {
			t.Fatalf("after Init: %v, %+v", s.State(), s.Info())
		}
		if needsLayer(op) {
			if err := call(&s, name); !errors.Is(err, layer.ErrIPCPState) || len(called) != 0 {
				t.Errorf("%s in BOOT: %v, called %v", op, err, called)
			}
			if err := s.Bootstrap(t.Context(), conf); err != nil {
				t.Fatal(err)
			}
		}
		called = nil
		if err := call(&s, name); err != nil || len(called) != 1 || called[0] != op {
			t.Errorf("%s: %v, called %v", op, err, called)
		}
		if s.State() != Operational || s.Info().MTU != 1000 {
			t.Errorf("after %s: %v, %+v", op, s.State(), s.Info())
		}
		if !needsLayer(op) {
			if err := call(&s, name); !errors.Is(err, layer.ErrIPCPState) {
				t.Errorf("second %s: %v", op, err)
			}
		}
		called = nil
		s.Close()
		s.Close()
		if len(called) != 1 || s.State() != Null {
			t.Errorf("after Close: called %v, %v", called, s.State())
		}
		if err := call(&s, name); !errors.Is(err, layer.ErrIPCPState) {
			t.Errorf("%s after Close: %v", op, err)
		}
	}
}

func TestShellNotSupported(t *testing.T) {
	for op, call := range calls {
		var s Shell
		s.Init(Unicast, quiet, Ops{})
		if err := call(&s, name); !errors.Is(err, layer.ErrNotSupported) {
			t.Errorf("%s: %v", op, err)
		}
		s.Close()
	}
}

func TestShellHashLength(t *testing.T) {
	var called []string
	var s Shell
	s.Init(Unicast, quiet, everything(&called))
	defer s.Close()
	if err := s.Bootstrap(t.Context(), conf); err != nil {
		t.Fatal(err)
	}
	called = nil
	for _, h := range []layer.Hash{"", name[:31], name + "x", layer.MD5.Sum("oping")} {
		for _, op := range []string{"register", "unregister", "query", "allocate", "join"} {
			if err := calls[op](&s, h); !errors.Is(err, layer.ErrInvalid) || len(called) != 0 {
				t.Errorf("%s with %d bytes: %v, called %v", op, len(h), err, called)
			}
		}
	}
}

func TestShellConfig(t *testing.T) {
	var called []string
	for what, change := range map[string]func(*Config){
		"other type": func(c *Config) { c.Type = Local },
		"no name":    func(c *Config) { c.Layer = "" },
		"long name":  func(c *Config) { c.Layer = strings.Repeat("x", 256) },
		"no hash":    func(c *Config) { c.Hash = 4 },
	} {
		var s Shell
		s.Init(Unicast, quiet, everything(&called))
		c := conf
		change(&c)
		if err := s.Bootstrap(t.Context(), c); !errors.Is(err, layer.ErrInvalid) || s.State() != Boot {
			t.Errorf("%s: %v, %v", what, err, s.State())
		}
		s.Close()
	}
	var s Shell
	s.Init(UDP4, quiet, everything(&called))
	if err := s.Bootstrap(t.Context(), Config{Type: UDP4, Layer: strings.Repeat("x", 255), Hash: 4}); err != nil {
		t.Errorf("udp has its own hash: %v", err)
	}
}

func TestShellFailedBootstrapCanBeRepeated(t *testing.T) {
	var called []string
	ops := everything(&called)
	fail := errors.New("no such device")
	ops.Bootstrap = func(context.Context, Config) (Info, error) { return Info{}, fail }
	var s Shell
	s.Init(Unicast, quiet, ops)
	defer s.Close()
	for range 2 {
		if err := s.Bootstrap(t.Context(), conf); !errors.Is(err, fail) || s.State() != Boot {
			t.Fatalf("%v, %v", err, s.State())
		}
	}
}

// Close ends operations that wait, and only then the IPC process.
func TestShellClose(t *testing.T) {
	for _, op := range []string{"bootstrap", "query"} {
		bubble.Test(t, func(t *testing.T) {
			var called []string
			ops := everything(&called)
			began := make(chan struct{})
			wait := func(ctx context.Context) error {
				close(began)
				<-ctx.Done()
				time.Sleep(time.Second)
				called = append(called, op)
				return nil
			}
			ops.Query = func(ctx context.Context, _ layer.Hash) error { return wait(ctx) }
			if op == "bootstrap" {
				ops.Bootstrap = func(ctx context.Context, _ Config) (Info, error) { return Info{}, wait(ctx) }
			}
			var s Shell
			s.Init(Unicast, quiet, ops)
			if op == "query" {
				if err := s.Bootstrap(t.Context(), conf); err != nil {
					t.Fatal(err)
				}
			}
			called = nil
			ended := make(chan error)
			go func() { ended <- calls[op](&s, name) }()
			<-began
			if op == "bootstrap" {
				if err := s.Enroll(t.Context(), "x"); s.State() != Init || !errors.Is(err, layer.ErrIPCPState) {
					t.Errorf("during bootstrap: %v, %v", s.State(), err)
				}
			}
			go s.Close()
			synctest.Wait()
			if s.State() != Shutdown {
				t.Errorf("while closing: %v", s.State())
			}
			if err := <-ended; op == "bootstrap" && !errors.Is(err, layer.ErrIPCPState) {
				t.Errorf("bootstrap of a closed IPCP: %v", err)
			}
			synctest.Wait()
			if s.State() != Null || strings.Join(called, " ") != op+" close" {
				t.Errorf("closed: %v, called %v", s.State(), called)
			}
		})
	}
}
