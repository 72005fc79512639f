// SPDX-License-Identifier: BSD-3-Clause

package irm

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"o7gw/o7s/bubble"
	"o7gw/o7s/ipcp"
	"o7gw/o7s/layer"
)

// TestQuery: what Query says, and that it takes the layers' time and no more
// than its context.
func TestQuery(t *testing.T) {
	for what, c := range map[string]struct {
		typ            ipcp.Type // of the layer; Local: no layer
		serve          bool      // on this node
		unknown, hangs bool
		limit          time.Duration
		want           error
		took           time.Duration
	}{
		"known to the layer":      {typ: ipcp.UDP4},
		"not known to the layer":  {typ: ipcp.UDP4, unknown: true, want: layer.ErrNoName},
		"no layer":                {want: layer.ErrNoName},
		"served here":             {serve: true},
		"served here, layer asks": {typ: ipcp.UDP4, serve: true, hangs: true},
		"nobody on a wire says":   {typ: ipcp.UDP4, hangs: true, want: layer.ErrNoName, took: queryRounds * queryTimeout},
		"silent directory":        {typ: ipcp.Unicast, hangs: true, want: layer.ErrTimedOut, took: queryTimeoutUnicast},
		"context ends":            {typ: ipcp.Unicast, hangs: true, limit: time.Second, want: layer.ErrTimedOut, took: time.Second},
	} {
		t.Run(what, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				net := new(fakeNet)
				i := New(Options{Factory: net.factory})
				if c.typ != ipcp.Local {
					inLayer(t, i, c.typ, "l")
				}
				p := attach(t, i, 0, "client")
				if c.serve {
					if _, err := attach(t, i, 0, "server").Listen(t.Context(), "svc"); err != nil {
						t.Fatal(err)
					}
				}
				net.unknown.Store(c.unknown)
				net.hangs.Store(c.hangs)
				ctx := t.Context()
				if c.limit != 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, c.limit)
					defer cancel()
				}
				begin := time.Now()
				err := p.Query(ctx, "svc")
				if took := time.Since(begin); !errors.Is(err, c.want) || took != c.took {
					t.Errorf("%v after %v, want %v after %v", err, took, c.want, c.took)
				}
				if err := i.Close(context.Background()); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func TestQueryIsGivenUp(t *testing.T) {
	net := new(fakeNet)
	i := node(t, net, nil)
	inLayer(t, i, ipcp.UDP4, "l")
	p := attach(t, i, 0, "client")
	for _, s := range []string{"", strings.Repeat("x", 256)} {
		if err := p.Query(t.Context(), s); !errors.Is(err, layer.ErrInvalid) {
			t.Errorf("name of %d bytes: %v", len(s), err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	net.hangs.Store(true)
	if err := p.Query(ctx, "svc"); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	p.Close()
	if err := p.Query(t.Context(), "svc"); !errors.Is(err, ErrDetached) {
		t.Errorf("detached: %v", err)
	}
}
