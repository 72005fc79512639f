// SPDX-License-Identifier: BSD-3-Clause

package control

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"o7gw/o7s/flow"
	"o7gw/o7s/layer"
	"o7gw/o7s/qos"
)

func TestDirectFlow(t *testing.T) {
	d := startDaemon(t, nil)
	server, client := d.dial(t), d.dial(t)
	stop := listenOn(t, server, "echo")
	mine, its := flows(t, client, server, "echo")
	if mine.Name != "echo" || its.Name != "echo" || mine.QoS != qos.Raw || its.QoS != qos.Raw || mine.ID == its.ID {
		t.Errorf("attachments %+v and %+v", mine, its)
	}
	carries(t, mine, its, "there")
	carries(t, its, mine, "and back")
	if err := write(mine, []byte("last")); err != nil {
		t.Fatal(err)
	}
	closeFlow(mine)
	buf := make([]byte, 16)
	if n, err := read(its, buf); err != nil || string(buf[:n]) != "last" {
		t.Fatalf("read %q, %v", buf[:n], err)
	}
	ends(t, its)
	closeFlow(its)
	eventually(t, "no flow is left", func() bool { return len(d.irm.ListFlows()) == 0 })
	stop()
	if _, err := client.Alloc(testContext(t), "echo", qos.Raw); !errors.Is(err, layer.ErrIPCP) {
		t.Errorf("alloc of a name that nobody serves: %v", err)
	}
}

func TestBridgedFlow(t *testing.T) {
	a, b := pairOfDaemons(t)
	server, client := b.dial(t), a.dial(t)
	listenOn(t, server, "echo")
	for range 3 {
		mine, its := flows(t, client, server, "echo")
		if mine.MTU <= 0 || mine.MTU > 1500 || mine.MPL <= 0 {
			t.Errorf("attachment %+v", mine)
		}
		// More than a batch, in both directions, in order.
		var wg sync.WaitGroup
		for _, dir := range [][2]*flow.Attachment{{mine, its}, {its, mine}} {
			wg.Go(func() {
				for n := range 300 {
					if err := carry(dir[0], dir[1], fmt.Sprintf("%d %s", n, strings.Repeat("x", n))); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		wg.Wait()
		// What was written before the close arrives, and then the end.
		for n := range 50 {
			if err := write(mine, []byte{byte(n)}); err != nil {
				t.Fatal(err)
			}
		}
		closeFlow(mine)
		buf := make([]byte, 16)
		for n := range 50 {
			if k, err := read(its, buf); err != nil || k != 1 || buf[0] != byte(n) {
				t.Fatalf("packet %d: %v %v", n, buf[:k], err)
			}
		}
		ends(t, its)
		closeFlow(its)
	}
	for _, d := range []*daemon{a, b} {
		eventually(t, "no flow is left", func() bool { return len(d.irm.ListFlows()) == 0 })
	}
}

// TestDataOfTheDead: what a process wrote arrives though it closed its
// connection right after.
func TestDataOfTheDead(t *testing.T) {
	a, b := pairOfDaemons(t)
	server, client := b.dial(t), a.dial(t)
	listenOn(t, server, "sink")
	mine, its := flows(t, client, server, "sink")
	defer closeFlow(its)
	for n := range 200 {
		if err := write(mine, []byte{byte(n)}); err != nil {
			t.Fatal(err)
		}
	}
	closeFlow(mine)
	client.Close()
	buf := make([]byte, 16)
	for n := range 200 {
		if k, err := read(its, buf); err != nil || k != 1 || buf[0] != byte(n) {
			t.Fatalf("packet %d: %v %v", n, buf[:k], err)
		}
	}
	ends(t, its)
}

// TestFlowEndsWithItsRing: the daemons free a flow between them when either
// application has closed its ring; nobody needs to tell them.
func TestFlowEndsWithItsRing(t *testing.T) {
	a, b := pairOfDaemons(t)
	server, client := b.dial(t), a.dial(t)
	listenOn(t, server, "sink")
	for n := range 20 {
		mine, its := flows(t, client, server, "sink")
		carries(t, its, mine, "last words")
		if n%2 == 0 {
			mine, its = its, mine
		}
		mine.Ring.Close()
		for _, d := range []*daemon{a, b} {
			eventually(t, "the flow is gone", func() bool { return len(d.irm.ListFlows()) == 0 })
		}
		ends(t, its)
		closeFlow(its)
	}
}

// TestAbandonedFlow: a client that goes without deallocating.
func TestAbandonedFlow(t *testing.T) {
	a, b := pairOfDaemons(t)
	server, client := b.dial(t), a.dial(t)
	listenOn(t, server, "sink")
	mine, its := flows(t, client, server, "sink")
	client.Close()
	ends(t, its)
	ends(t, mine)
	mine.Ring.Close()
	closeFlow(its)
}

// TestDaemonStops: both applications see the end of a flow whose daemon shuts
// down, and the client of the daemon hears of it.
func TestDaemonStops(t *testing.T) {
	a, b := pairOfDaemons(t)
	server, client := b.dial(t), a.dial(t)
	listenOn(t, server, "x")
	mine, its := flows(t, client, server, "x")
	a.stop()
	ends(t, mine)
	ends(t, its)
	<-client.Done()
	if err := client.Err(); !errors.Is(err, layer.ErrIRMd) {
		t.Errorf("client: %v", err)
	}
	closeFlow(mine)
	closeFlow(its)
}

func TestCarrierReachesApplication(t *testing.T) {
	a, b, link := pairOnLink(t)
	server, client := b.dial(t), a.dial(t)
	listenOn(t, server, "x")
	mine, its := flows(t, client, server, "x")
	defer closeFlow(its)
	defer closeFlow(mine)
	link.SetUp(false)
	eventually(t, "flow is down", func() bool { return mine.Ring.Down() && its.Ring.Down() })
	link.SetUp(true)
	eventually(t, "flow is up", func() bool { return !mine.Ring.Down() && !its.Ring.Down() })
	carries(t, mine, its, "again")
}

func TestAllocRefused(t *testing.T) {
	d := startDaemon(t, nil)
	c := d.dial(t)
	_, err := c.Alloc(testContext(t), "nobody", qos.Raw)
	var refused *Error
	if !errors.As(err, &refused) || !errors.Is(err, layer.ErrIPCP) || !strings.Contains(err.Error(), "nobody") {
		t.Errorf("unknown name: %v", err)
	}
	if _, err := c.Join(testContext(t), "nolayer"); !errors.Is(err, layer.ErrIPCP) {
		t.Errorf("unknown layer: %v", err)
	}
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := c.Alloc(gone, "nobody", qos.Raw); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled before: %v", err)
	}
}

func TestNamesAreBytes(t *testing.T) {
	d := startDaemon(t, nil)
	server, client := d.dial(t), d.dial(t)
	name := "\xff\x00 ä" + strings.Repeat("\xfe", 200)
	listenOn(t, server, name)
	mine, its := flows(t, client, server, name)
	if its.Name != name {
		t.Errorf("name %q", its.Name)
	}
	closeFlow(mine)
	closeFlow(its)
}
