// SPDX-License-Identifier: BSD-3-Clause

package node

import (
	"context"
	"errors"
	"testing"
	"time"

	"o7gw/o7s"
	"o7gw/o7s/layer"
)

// TestQueryAndLayer: in the node's process and at its socket, a name can be asked
// for without a flow, and a flow says which layer carries it.
func TestQueryAndLayer(t *testing.T) {
	run := t.TempDir()
	client, server := start(t, Config{RunDir: run}), start(t, Config{})
	bootstrap(t, client, "127.0.0.1", "127.0.0.2", "svc")
	bootstrap(t, server, "127.0.0.2", "127.0.0.2")
	app, err := o7s.Connect(t.Context(), run)
	if err != nil {
		t.Fatal(err)
	}
	defer app.Close()
	l, err := server.Stack().Listen(t.Context(), "svc")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	accepted := make(chan *o7s.Flow)
	go func() {
		defer close(accepted)
		for {
			f, err := l.AcceptFlow(context.Background())
			if err != nil {
				return
			}
			accepted <- f
		}
	}()
	for what, c := range map[string]struct {
		from  *o7s.Stack
		layer string
	}{
		"embedded":   {client.Stack(), "net"},
		"at socket":  {app, "net"},
		"at service": {server.Stack(), ""},
	} {
		if err := c.from.Query(t.Context(), "svc"); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		if err := c.from.Query(ctx, "none"); !errors.Is(err, layer.ErrNoName) {
			t.Errorf("%s: name that nobody knows: %v", what, err)
		}
		cancel()
		ended, end := context.WithCancel(t.Context())
		end()
		if err := c.from.Query(ended, "none"); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: cancelled: %v", what, err)
		}
		f, err := c.from.Dial(t.Context(), "svc")
		if err != nil {
			t.Fatal(err)
		}
		g := <-accepted
		if f.Layer() != c.layer || g.Layer() != c.layer {
			t.Errorf("%s: client sees layer %q, server %q, want %q", what, f.Layer(), g.Layer(), c.layer)
		}
		f.Close()
		g.Close()
	}
	l.Close()
	<-accepted
}
