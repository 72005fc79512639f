// SPDX-License-Identifier: BSD-3-Clause

package irm

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"o7gw/o7s/bubble"
	"o7gw/o7s/ipcp"
	"o7gw/o7s/layer"
	"o7gw/o7s/oap"
	"o7gw/o7s/qos"
)

// TestNoAnswer: a flow request that got lost is made anew, and after some the next
// layer has its turn.
func TestNoAnswer(t *testing.T) {
	for what, c := range map[string]struct {
		first, second int // lost requests in each of two layers
		gone          bool
		want          error
		took          time.Duration
		requests      [2]int
	}{
		"none lost":           {requests: [2]int{1, 0}},
		"one lost":            {first: 1, took: noAnswerTime, requests: [2]int{2, 0}},
		"first layer silent":  {first: 100, took: 2 * noAnswerTime, requests: [2]int{2, 1}},
		"second layer worse":  {first: 3, second: 100, took: 5 * noAnswerTime, requests: [2]int{4, 2}},
		"both silent":         {first: 100, second: 100, want: layer.ErrTimedOut, took: 10 * time.Second, requests: [2]int{6, 4}},
		"nobody any more":     {first: 100, gone: true, want: layer.ErrTimedOut, took: noAnswerTime, requests: [2]int{1, 0}},
		"server was restored": {first: 2, second: 2, took: 4 * noAnswerTime, requests: [2]int{3, 2}},
	} {
		t.Run(what, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				n := new(fakeNet)
				a, b := New(Options{Factory: n.factory}), New(Options{Factory: n.factory})
				var here [2]*fakeIPCP
				for k, typ := range []ipcp.Type{ipcp.UDP4, ipcp.UDP6} {
					_, here[k] = inLayer(t, a, typ, typ.String())
					inLayer(t, b, typ, typ.String())
				}
				here[0].noAnswer, here[1].noAnswer = c.first, c.second
				server, client := attach(t, b, 0, "server"), attach(t, a, 0, "client")
				if _, err := server.Listen(t.Context(), "svc"); err != nil {
					t.Fatal(err)
				}
				go func() {
					if f, err := server.Accept(context.Background(), "svc"); err == nil {
						f.Dealloc()
					}
				}()
				if c.gone {
					time.AfterFunc(noAnswerTime/2, func() { n.unknown.Store(true) })
				}
				ctx, cancel := context.WithTimeout(t.Context(), 9500*time.Millisecond)
				defer cancel()
				begin := time.Now()
				f, err := client.Alloc(ctx, "svc", qos.Raw)
				if took := time.Since(begin).Round(noAnswerTime); took != c.took || !errors.Is(err, c.want) {
					t.Errorf("%v after %v, want %v after %v", err, took, c.want, c.took)
				}
				if got := [2]int{len(here[0].requests), len(here[1].requests)}; got != c.requests {
					t.Errorf("%v requests, want %v", got, c.requests)
				}
				var ids [][]byte
				for _, r := range slices.Concat(here[0].requests, here[1].requests) {
					h, err := oap.Parse(r, 0)
					if err != nil || slices.ContainsFunc(ids, func(id []byte) bool { return bytes.Equal(id, h.ID[:]) }) {
						t.Errorf("request %x is not fresh: %v", r, err)
					}
					ids = append(ids, slices.Clone(h.ID[:]))
				}
				if err == nil {
					f.Dealloc()
				}
				if l := a.ListFlows(); len(l) != 0 {
					t.Errorf("flows left: %+v", l)
				}
				for _, i := range []*IRM{a, b} {
					if err := i.Close(context.Background()); err != nil {
						t.Error(err)
					}
				}
			})
		})
	}
}

// TestNoAnswerAtOnce: a layer that does not even wait is not asked without
// pause.
func TestNoAnswerAtOnce(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		n := new(fakeNet)
		i := New(Options{Factory: n.factory})
		_, f := inLayer(t, i, ipcp.UDP4, "net")
		m, err := i.member(i.ListIPCPs()[0].ID)
		if err != nil {
			t.Fatal(err)
		}
		m.ipcp = hasty{f}
		p := attach(t, i, 0, "client")
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if _, err := p.Alloc(ctx, "svc", qos.Raw); !errors.Is(err, layer.ErrTimedOut) {
			t.Errorf("got %v", err)
		}
		if f.queries > 101 {
			t.Errorf("asked %d times", f.queries)
		}
		if err := i.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
}

// hasty says at once that nobody answers.
type hasty struct{ *fakeIPCP }

func (hasty) Allocate(context.Context, layer.Hash, qos.Spec, []byte) (layer.Port, []byte, error) {
	return nil, nil, layer.ErrNoAnswer
}
