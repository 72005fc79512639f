// SPDX-License-Identifier: BSD-3-Clause

package sim

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"o7gw/o7s/ipcp"
	"o7gw/o7s/layer"
	"o7gw/o7s/qos"
)

var name = layer.SHA3_256.Sum("oping")

type upper func(*layer.Request)

func (u upper) FlowRequested(r *layer.Request) { u(r) }

// member attaches an operational IPC process to the link.
func member(t *testing.T, l *Link, up upper) *IPCP {
	t.Helper()
	p := l.NewIPCP(ipcp.EthDIX, ipcp.Env{Name: "sim", Upper: up, Log: slog.New(slog.DiscardHandler)})
	t.Cleanup(func() { p.Close() })
	if err := p.Bootstrap(t.Context(), ipcp.Config{Type: ipcp.EthDIX, Layer: "shim", Hash: layer.SHA3_256}); err != nil {
		t.Fatal(err)
	}
	return p
}

// acceptor takes every flow, answers with its piggyback and keeps the ports.
type acceptor struct{ ports []layer.Port }

func (a *acceptor) FlowRequested(r *layer.Request) {
	if p, err := r.Accept([]byte("re: " + string(r.Data))); err == nil {
		a.ports = append(a.ports, p)
	}
}

func register(t *testing.T, p *IPCP) {
	t.Helper()
	if err := p.Register(t.Context(), name); err != nil {
		t.Fatal(err)
	}
}

func TestFlowBetweenIPCPs(t *testing.T) {
	inBubble(t, 20, func(t *testing.T, n *Network) {
		l := n.NewLink(Params{Delay: 10 * time.Millisecond, MTU: 1000, MPL: time.Second})
		var acc, acc2 acceptor
		client, other, server := member(t, l, nil), member(t, l, acc2.FlowRequested), member(t, l, acc.FlowRequested)
		if i := client.Info(); i != (ipcp.Info{Layer: "shim", Hash: layer.SHA3_256, MTU: 1000, MPL: time.Second}) {
			t.Errorf("%+v", i)
		}
		begin := time.Now()
		if err := client.Query(t.Context(), name); !errors.Is(err, layer.ErrNoName) || time.Since(begin) != 2*time.Second {
			t.Errorf("unknown name: %v after %v", err, time.Since(begin))
		}
		register(t, server)
		begin = time.Now()
		if err := client.Query(t.Context(), name); err != nil || time.Since(begin) != 20*time.Millisecond {
			t.Errorf("query: %v after %v", err, time.Since(begin))
		}
		a, data, err := client.Allocate(t.Context(), name, qos.Raw, []byte("hello"))
		if err != nil || string(data) != "re: hello" || time.Since(begin) != 40*time.Millisecond {
			t.Fatalf("%q, %v after %v", data, err, time.Since(begin))
		}
		ra, rb := listen(a), listen(acc.ports[0])
		a.Send(pkt("ping"))
		acc.ports[0].Send(pkt("pong"))
		settle()
		acc.ports[0].Close()
		settle()
		if ra.String() != "pong <closed>" || rb.String() != "ping" {
			t.Errorf("%v and %v", ra, rb)
		}
		// The service moves: a refusal clears the directory, and the next
		// allocation asks again.
		if err := client.Query(t.Context(), name); err != nil {
			t.Fatal(err)
		}
		server.Unregister(t.Context(), name)
		register(t, other)
		if _, _, err := client.Allocate(t.Context(), name, qos.Raw, nil); !errors.Is(err, layer.ErrNoName) {
			t.Errorf("where it was: %v", err)
		}
		if _, _, err := client.Allocate(t.Context(), name, qos.Raw, nil); err != nil || len(acc2.ports) != 1 {
			t.Errorf("where it is: %v", err)
		}
	})
}

func TestRefusals(t *testing.T) {
	inBubble(t, 21, func(t *testing.T, n *Network) {
		l := n.NewLink(Params{Delay: time.Millisecond})
		answers := map[string]func(*layer.Request){
			"refuse": func(r *layer.Request) { r.Refuse(layer.ErrAuth); r.Refuse(layer.ErrCrypt) },
			"bare":   func(r *layer.Request) { r.Refuse(0) },
			"later":  func(r *layer.Request) { time.AfterFunc(time.Second, func() { r.Refuse(layer.ErrCrypt) }) },
			"ignore": func(r *layer.Request) {
				r.Ignore()
				if _, err := r.Accept(nil); !errors.Is(err, layer.ErrNotAllocated) {
					t.Errorf("accepted what was ignored: %v", err)
				}
			},
		}
		client := member(t, l, nil)
		server := member(t, l, func(r *layer.Request) { answers[string(r.Data)](r) })
		register(t, server)
		for what, want := range map[string]error{
			"refuse": layer.ErrAuth, "bare": layer.ErrIPCP, "later": layer.ErrCrypt, "ignore": layer.ErrNoAnswer,
		} {
			if _, _, err := client.Allocate(t.Context(), name, qos.Raw, []byte(what)); !errors.Is(err, want) {
				t.Errorf("%s: %v, want %v", what, err, want)
			}
		}
		// A stale directory entry leads to a refusal at once.
		if err := client.Query(t.Context(), name); err != nil {
			t.Fatal(err)
		}
		server.Unregister(t.Context(), name)
		begin := time.Now()
		if _, _, err := client.Allocate(t.Context(), name, qos.Raw, nil); !errors.Is(err, layer.ErrNoName) || time.Since(begin) != 2*time.Millisecond {
			t.Errorf("%v after %v", err, time.Since(begin))
		}
		if len(client.station.ports)+len(server.station.ports) != 0 {
			t.Error("refused flows left ports")
		}
	})
}

// An answer that comes after the requester gave up ends the responder's flow.
func TestLateAnswer(t *testing.T) {
	inBubble(t, 22, func(t *testing.T, n *Network) {
		l := n.NewLink(Params{Delay: 400 * time.Millisecond})
		var acc acceptor
		client, server := member(t, l, nil), member(t, l, acc.FlowRequested)
		register(t, server)
		if err := client.Query(t.Context(), name); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 600*time.Millisecond)
		defer cancel()
		if _, _, err := client.Allocate(ctx, name, qos.Raw, nil); !errors.Is(err, layer.ErrTimedOut) {
			t.Fatal(err)
		}
		canceled, cancel := context.WithCancel(t.Context())
		time.AfterFunc(600*time.Millisecond, cancel)
		if err := client.Query(t.Context(), name); err != nil {
			t.Fatal(err)
		}
		if _, _, err := client.Allocate(canceled, name, qos.Raw, nil); !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		settle()
		if r := listen(acc.ports[0]); r.String() != "<closed>" || len(client.station.ports) != 0 {
			t.Errorf("responder sees %q", r)
		}
	})
}

func TestCarrierAndPartition(t *testing.T) {
	inBubble(t, 23, func(t *testing.T, n *Network) {
		l := n.NewLink(Params{Delay: time.Millisecond})
		var acc acceptor
		client, server := member(t, l, nil), member(t, l, acc.FlowRequested)
		register(t, server)
		a, _, err := client.Allocate(t.Context(), name, qos.Raw, nil)
		if err != nil {
			t.Fatal(err)
		}
		ra, rb := listen(a), listen(acc.ports[0])
		say := func(s string) { a.Send(pkt(s)); settle() }
		l.Partition([]*IPCP{client}, []*IPCP{server})
		say("partition")
		l.Partition([]*IPCP{client, server})
		say("together")
		l.Partition([]*IPCP{server})
		say("partition")
		l.Heal()
		say("healed")
		client.SetCarrier(false)
		say("unplugged")
		client.SetCarrier(true)
		say("plugged")
		l.SetUp(false)
		say("down")
		l.SetUp(true)
		say("up")
		if ra.String() != "<down> <up> <down> <up>" || rb.String() != "together healed plugged <down> <up> up" {
			t.Errorf("%v and %v", ra, rb)
		}
	})
}

// A flow that is accepted while the link is down knows it from the start.
func TestAcceptWhileDown(t *testing.T) {
	inBubble(t, 27, func(t *testing.T, n *Network) {
		l := n.NewLink(Params{Delay: time.Millisecond})
		var req *layer.Request
		client, server := member(t, l, nil), member(t, l, func(r *layer.Request) { req = r })
		register(t, server)
		failed := make(chan error)
		go func() {
			_, _, err := client.Allocate(t.Context(), name, qos.Raw, nil)
			failed <- err
		}()
		time.Sleep(time.Second)
		l.SetUp(false)
		b, err := req.Accept(nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := <-failed; !errors.Is(err, layer.ErrNoAnswer) {
			t.Errorf("requester: %v", err)
		}
		if r := listen(b); r.String() != "<down>" {
			t.Errorf("responder sees %q", r)
		}
	})
}

func TestCloseIPCP(t *testing.T) {
	inBubble(t, 24, func(t *testing.T, n *Network) {
		l := n.NewLink(Params{Delay: time.Millisecond})
		var acc acceptor
		client, server := member(t, l, nil), member(t, l, acc.FlowRequested)
		register(t, server)
		a, _, err := client.Allocate(t.Context(), name, qos.Raw, nil)
		if err != nil {
			t.Fatal(err)
		}
		ra, rb := listen(a), listen(acc.ports[0])
		failed := make(chan error)
		go func() { failed <- client.Query(t.Context(), layer.SHA3_256.Sum("unknown")) }()
		synctest.Wait()
		begin := time.Now()
		client.Close()
		if err := <-failed; err == nil || time.Since(begin) != 0 {
			t.Errorf("query ended with %v after %v", err, time.Since(begin))
		}
		settle()
		a.Send(pkt("x"))
		a.Close()
		if ra.String() != "<closed>" || rb.String() != "<closed>" {
			t.Errorf("%v and %v", ra, rb)
		}
		if len(l.stations) != 1 || len(server.station.ways) != 0 {
			t.Error("closed member is still attached")
		}
	})
}

// Messages are lost like packets: the query is repeated, the request is not.
func TestLossyAllocation(t *testing.T) {
	inBubble(t, 25, func(t *testing.T, n *Network) {
		l := n.NewLink(Params{Delay: time.Millisecond, Loss: 0.3})
		var acc acceptor
		client, server := member(t, l, nil), member(t, l, acc.FlowRequested)
		register(t, server)
		ok := 0
		for range 100 {
			begin := time.Now()
			a, _, err := client.Allocate(t.Context(), name, qos.Raw, nil)
			switch {
			case err == nil:
				ok++
				a.Close()
			case errors.Is(err, layer.ErrNoAnswer) && time.Since(begin) <= queryLimit+answerWait:
			case errors.Is(err, layer.ErrNoName):
			default:
				t.Fatal(err)
			}
		}
		if ok < 30 || ok > 70 {
			t.Errorf("%d of 100 flows, expected about 49", ok)
		}
	})
}

func TestUDPTypesUseMD5(t *testing.T) {
	inBubble(t, 26, func(t *testing.T, n *Network) {
		p := n.NewLink(Params{}).NewIPCP(ipcp.UDP6, ipcp.Env{Log: slog.New(slog.DiscardHandler)})
		defer p.Close()
		if err := p.Bootstrap(t.Context(), ipcp.Config{Type: ipcp.UDP6, Layer: "x"}); err != nil {
			t.Fatal(err)
		}
		if p.Info().Hash != layer.MD5 {
			t.Errorf("%+v", p.Info())
		}
		if err := p.Register(t.Context(), name); !errors.Is(err, layer.ErrInvalid) {
			t.Errorf("hash of another length: %v", err)
		}
	})
}
