// SPDX-License-Identifier: BSD-3-Clause

package unicast_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"o7gw/o7s/bubble"
	"o7gw/o7s/ipcp"
	"o7gw/o7s/ipcp/cep"
	"o7gw/o7s/layer"
	"o7gw/o7s/packet"
	"o7gw/o7s/qos"
)

// mute makes host 1 of two accept flows for the name "mute" and, after so many
// messages of a member, say nothing more.
func mute(t *testing.T, messages int) *world {
	w := newWorld(t, 30, 2)
	w.cable(0, 1, cable100)
	n := w.nodes[1]
	if _, err := n.app.Listen(context.Background(), "mute"); err != nil {
		t.Fatal(err)
	}
	n.done.Go(func() {
		for {
			f, err := n.app.Accept(context.Background(), "mute")
			if err != nil {
				return
			}
			i := &intruder{f: f}
			if messages > 0 {
				i.send(hello(cep.Enrollment, 0).Append(nil))
			}
			f.Port().Receive(i)
		}
	})
	return w
}

// TestContext: operations end with their context, whatever the peer does not say,
// and can be repeated after they have failed.
func TestContext(t *testing.T) {
	for messages := range 2 {
		bubble.Test(t, func(t *testing.T) {
			w := mute(t, messages)
			defer w.close()
			n := w.nodes[0]
			state := func() ipcp.State {
				for _, i := range n.irm.ListIPCPs() {
					if i.ID == n.uni {
						return i.State
					}
				}
				return ipcp.Null
			}
			within := func(what string, d time.Duration, f func(ctx context.Context) error) {
				t.Helper()
				ctx, cancel := context.WithTimeout(context.Background(), d)
				defer cancel()
				start := time.Now()
				if err := f(ctx); err == nil {
					t.Errorf("%s: no error", what)
				}
				if took := time.Since(start); took > d {
					t.Errorf("%s took %v, more than %v", what, took, d)
				}
			}
			enroll := func(ctx context.Context) error {
				_, err := n.irm.Enroll(ctx, n.uni, "mute")
				return err
			}
			within("enrolment", 100*time.Millisecond, enroll)
			within("enrolment", 20*time.Second, enroll)
			if s := state(); s != ipcp.Boot {
				t.Fatalf("state %v after failures", s)
			}
			bad := ipcp.Config{Type: ipcp.Unicast, Layer: layerName, Hash: layer.SHA3_256, Unicast: ipcp.UnicastConfig{AddrSize: 3}}
			within("bootstrap", time.Second, func(ctx context.Context) error { return n.irm.Bootstrap(ctx, n.uni, bad) })
			if s := state(); s != ipcp.Boot {
				t.Fatalf("state %v after failures", s)
			}
			n.bootstrap(ipcp.UnicastConfig{})
			if s := state(); s != ipcp.Operational {
				t.Fatalf("state %v after bootstrap", s)
			}
			within("connect", 100*time.Millisecond, func(ctx context.Context) error {
				return n.irm.Connect(ctx, n.uni, "mute", cep.Management, qos.Raw)
			})
			within("connect", 20*time.Second, func(ctx context.Context) error {
				return n.irm.Connect(ctx, n.uni, "mute", cep.Management, qos.Raw)
			})
			if err := n.irm.Disconnect(context.Background(), n.uni, "mute", cep.Management); err != nil {
				t.Error(err)
			}
			// And it is a member like any other.
			w.nodes[1].enroll(0)
			w.nodes[1].serve("echo")
			n.reaches(5*time.Second, "echo")
		})
	}
}

// TestDestroyMeanwhile: an IPC process is destroyed while it does something.
func TestDestroyMeanwhile(t *testing.T) {
	for name, op := range map[string]func(n *node) error{
		"enrolment": func(n *node) error { _, err := n.irm.Enroll(context.Background(), n.uni, "mute"); return err },
		"connection": func(n *node) error {
			return n.irm.Connect(context.Background(), n.uni, "mute", cep.Management, qos.Raw)
		},
		"flow": func(n *node) error { // nobody accepts it
			_, err := n.dial("idle")
			return err
		},
		"query": func(n *node) error { _, err := n.dial("nobody"); return err },
	} {
		for _, after := range []time.Duration{0, 150 * time.Microsecond, 300 * time.Microsecond, 50 * time.Millisecond, 500 * time.Millisecond} {
			t.Run(fmt.Sprintf("%s,%v", name, after), func(t *testing.T) {
				bubble.Test(t, func(t *testing.T) {
					w := mute(t, 1)
					defer w.close()
					n := w.nodes[0]
					if name != "enrolment" {
						n.bootstrap(ipcp.UnicastConfig{})
						w.nodes[1].enroll(0)
						// Somebody is bound to the name, but accepts nothing.
						if _, err := w.nodes[1].app.Listen(context.Background(), "idle"); err != nil {
							t.Fatal(err)
						}
						time.Sleep(time.Second)
					}
					done := make(chan error, 1)
					go func() { done <- op(n) }()
					time.Sleep(after)
					start := time.Now()
					if err := n.irm.DestroyIPCP(n.uni); err != nil {
						t.Error(err)
					}
					if took := time.Since(start); took > 10*time.Millisecond {
						t.Errorf("destroyed after %v", took)
					}
					if err := <-done; err == nil {
						t.Error("no error")
					}
					if took := time.Since(start); took > 3*time.Second {
						t.Errorf("the operation went on for %v", took)
					}
				})
			})
		}
	}
}

// TestCloseUnderTraffic: hosts of a line end one after the other, all of them busy.
func TestCloseUnderTraffic(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		w := line(t, 31, 4, cable100, ipcp.UnicastConfig{})
		for i, n := range w.nodes {
			n.serve(fmt.Sprintf("s%d", i))
		}
		time.Sleep(3 * time.Second)
		stop := make(chan struct{})
		var busy sync.WaitGroup
		for i, n := range w.nodes {
			for j := range w.nodes {
				if i == j {
					continue
				}
				busy.Go(func() {
					for {
						select {
						case <-stop:
							return
						default:
						}
						c, err := n.dial(fmt.Sprintf("s%d", j))
						if err != nil {
							time.Sleep(10 * time.Millisecond)
							continue
						}
						for range 20 {
							batch := make([]*packet.Buffer, 8)
							packet.GetBatch(batch, 100)
							for _, b := range batch {
								b.Append([]byte("x"))
							}
							c.f.Port().Send(batch)
							time.Sleep(time.Millisecond)
						}
						c.f.Dealloc()
					}
				})
			}
		}
		time.Sleep(500 * time.Millisecond)
		for _, i := range []int{1, 0, 3, 2} {
			start := time.Now()
			w.nodes[i].stop()
			if took := time.Since(start); took > time.Second {
				t.Errorf("host %d ended after %v", i, took)
			}
			time.Sleep(100 * time.Millisecond)
		}
		close(stop)
		busy.Wait()
	})
}

// TestTwoInOneHost: two members of one host are neighbours by a flow that is
// no more than calls from one to the other.
func TestTwoInOneHost(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		w := line(t, 32, 2, cable100, ipcp.UnicastConfig{})
		defer w.close()
		n := w.nodes[1]
		other, err := n.irm.CreateIPCP(ipcp.Unicast, "u1b")
		if err == nil {
			err = n.irm.BindIPCP(other, "u1b")
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, err := n.irm.Enroll(context.Background(), other, "u1"); err != nil {
			t.Fatal(err)
		}
		connect := func(on func(ctx context.Context, id int, dst, component string) error) {
			t.Helper()
			for _, c := range []string{cep.Management, cep.DataTransfer} {
				if err := on(context.Background(), other, "u1", c); err != nil {
					t.Fatal(err)
				}
			}
		}
		up := func(ctx context.Context, id int, dst, component string) error {
			return n.irm.Connect(ctx, id, dst, component, qos.Raw)
		}
		connect(up)
		// A third host behind the second member.
		w.boot(2)
		w.cable(1, 2, cable100)
		if err := n.irm.Register(context.Background(), "u1b", n.ids[1]); err != nil {
			t.Fatal(err)
		}
		ctx := context.Background()
		if _, err := w.nodes[2].irm.Enroll(ctx, w.nodes[2].uni, "u1b"); err != nil {
			t.Fatal(err)
		}
		for _, c := range []string{cep.Management, cep.DataTransfer} {
			if err := w.nodes[2].irm.Connect(ctx, w.nodes[2].uni, "u1b", c, qos.Raw); err != nil {
				t.Fatal(err)
			}
		}
		w.nodes[2].serve("echo")
		w.nodes[0].reaches(5*time.Second, "echo")
		stop := make(chan struct{})
		var busy sync.WaitGroup
		for range 2 {
			c := w.nodes[0].mustDial("echo")
			busy.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
						c.send("x")
						time.Sleep(100 * time.Microsecond)
					}
				}
			})
		}
		for range 20 {
			connect(n.irm.Disconnect)
			connect(up)
		}
		w.nodes[0].reaches(20*time.Second, "echo")
		if err := n.irm.DestroyIPCP(other); err != nil {
			t.Fatal(err)
		}
		close(stop)
		busy.Wait()
		if _, err := w.nodes[0].dial("echo"); !errors.Is(err, layer.ErrIPCP) && !errors.Is(err, layer.ErrTimedOut) {
			t.Errorf("flow to a member that is cut off: %v", err)
		}
	})
}

// TestWhoAvoidsCongestion: applications are told whether the layer does.
func TestWhoAvoidsCongestion(t *testing.T) {
	for policy, want := range map[string]bool{"": false, "mb-ecn": false, "none": true} {
		t.Run("policy "+policy, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				w := line(t, 33, 2, cable100, ipcp.UnicastConfig{Congestion: policy})
				defer w.close()
				w.nodes[0].serve("echo")
				c := w.nodes[1].mustDial("echo") // on the member that has enrolled
				if got := c.f.Terms().Shim; got != want {
					t.Errorf("the sender has to avoid congestion: %v, want %v", got, want)
				}
			})
		})
	}
}
