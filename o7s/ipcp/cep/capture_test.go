// SPDX-License-Identifier: BSD-3-Clause

package cep_test

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"testing/synctest"

	"o7gw/o7s/bubble"
	"o7gw/o7s/ipcp/capture"
	"o7gw/o7s/ipcp/cep"
	"o7gw/o7s/ipcp/cep/lower"
	"o7gw/o7s/ipcp/sim"
	"o7gw/o7s/qos"
)

// recorded calls f for each recorded connection.
func recorded(t *testing.T, f func(name string, flow *capture.Flow)) {
	t.Helper()
	seen := 0
	for _, name := range capture.Names() {
		flows, err := capture.Load(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, flow := range flows {
			if flow.Kind != capture.Raw {
				f(name, flow)
				seen++
			}
		}
	}
	// Three connections in each unicast recording, two in the broadcast one.
	if seen != 6*3+2 {
		t.Errorf("%d connections were recorded, want 20", seen)
	}
}

// announced returns what a recorded connection's component must announce
// (spec 10 §6.1), without the address.
func announced(name string, k capture.Kind) cep.Info {
	switch {
	case k == capture.Enrollment:
		return cep.Info{Component: cep.Enrollment, Protocol: "OEP", Version: 1}
	case k == capture.Management:
		return cep.Info{Component: cep.Management, Protocol: "LSP", Version: 1}
	case strings.HasPrefix(name, "bc-"):
		return cep.Info{Component: cep.DataTransfer}
	}
	return cep.Info{Component: cep.DataTransfer, Protocol: "dtp", Version: 1, Syntax: 2}
}

func TestCapture(t *testing.T) {
	recorded(t, func(name string, f *capture.Flow) {
		asked, answered := f.CEP()
		for _, b := range [][]byte{asked, answered} {
			got, err := cep.Parse(b)
			if err != nil {
				t.Errorf("%s: %v of % x", name, err, b)
				continue
			}
			want := announced(name, f.Kind)
			want.Address = got.Address
			if got != want {
				t.Errorf("%s: parsed %+v, want %+v", name, got, want)
			}
			if hasAddress := f.Kind != capture.Enrollment && want.Protocol != ""; hasAddress != (got.Address != 0) {
				t.Errorf("%s: %v with address %x", name, f.Kind, got.Address)
			}
			if again := got.Append(nil); !bytes.Equal(again, b) {
				t.Errorf("%s: % x became % x", name, b, again)
			}
		}
	})
}

// The recorded initiator against our acceptor: it gets byte for byte what the
// recorded acceptor answered, and what it sends next arrives.
func TestCaptureInitiator(t *testing.T) {
	recorded(t, func(name string, f *capture.Flow) {
		bubble.Test(t, func(t *testing.T) {
			w := newWorld(t, sim.Params{})
			own, err := cep.Parse(f.Packets[1].Data)
			if err != nil {
				t.Fatal(err)
			}
			m := w.member("us", own)
			own.Ours, own.Caps = true, cep.CapKeepalive // which the prototype must not see
			m.announce(own)
			flow, err := w.layer.Host().Allocate(context.Background(), "us", qos.Raw)
			if err != nil {
				t.Fatal(err)
			}
			var r lower.Reader
			flow.Receive(&r)
			asked, answered := f.CEP()
			lower.Send(flow, asked)
			synctest.Wait()
			if got := r.Got(); len(got) != 1 || got[0] != string(answered) {
				t.Fatalf("%s: answered %x, recorded %x", name, got, answered)
			}
			var want []string
			for _, p := range f.Payload() {
				if p.FromRequester {
					lower.Send(flow, p.Data)
					want = append(want, string(p.Data))
				}
			}
			synctest.Wait()
			c := m.taken(own.Component, 1)[0]
			peer, _ := cep.Parse(asked)
			if c.Peer() != peer || c.Ours() || c.Initiated() {
				t.Errorf("%s: connection of %+v", name, c.Peer())
			}
			if i, o := m.liveness(c); i != 0 || o != 0 {
				t.Errorf("%s: liveness %v, %v toward a prototype", name, i, o)
			}
			equal(t, m.reader(c).Got(), want)
		})
	})
}

// Our initiator against the recorded acceptor, which gets the recorded message
// with one field more, and whose answer makes the connection.
func TestCaptureAcceptor(t *testing.T) {
	recorded(t, func(name string, f *capture.Flow) {
		bubble.Test(t, func(t *testing.T) {
			w := newWorld(t, sim.Params{})
			asked, answered := f.CEP()
			own, err := cep.Parse(asked)
			if err != nil {
				t.Fatal(err)
			}
			own.Caps = cep.CapKeepalive
			m := w.member("us", own)
			there := w.layer.Host("them")
			var want []string
			go func() {
				flow, err := there.Accept(context.Background())
				if err != nil {
					t.Error(err)
					return
				}
				var r lower.Reader
				flow.Receive(&r)
				synctest.Wait()
				plain, _ := cep.Parse(asked)
				plain.Ours, plain.Caps = true, cep.CapKeepalive
				if got := r.Got(); len(got) != 1 || got[0] != string(plain.Append(nil)) || !strings.HasPrefix(got[0], string(asked)) {
					t.Errorf("%s: asked %x, recorded %x", name, got, asked)
				}
				// All at once: nothing behind the answer may be lost.
				all := [][]byte{answered}
				for _, p := range f.Payload() {
					if !p.FromRequester {
						all = append(all, p.Data)
						want = append(want, string(p.Data))
					}
				}
				lower.Send(flow, all...)
			}()
			c, err := m.Dial(context.Background(), "them", own.Component, qos.Raw)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			defer c.Close()
			if peer, _ := cep.Parse(answered); c.Peer() != peer || c.Ours() {
				t.Errorf("%s: connection to %+v", name, c.Peer())
			}
			synctest.Wait()
			var r lower.Reader
			c.Receive(&r)
			equal(t, r.Got(), want)
		})
	})
}
