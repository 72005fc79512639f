// SPDX-License-Identifier: BSD-3-Clause

package control

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"o7gw/o7s/layer"
	"o7gw/o7s/qos"
)

func TestCancelledAccept(t *testing.T) {
	d := startDaemon(t, nil)
	c := d.dial(t)
	listenOn(t, c, "n")
	ctx, cancel := context.WithCancel(testContext(t))
	failed := make(chan error, 1)
	go func() {
		_, err := c.Accept(ctx, "n")
		failed <- err
	}()
	accepts := func() int { return d.irm.ListProcesses()[0].Accepts }
	eventually(t, "accept waits", func() bool { return accepts() == 1 })
	cancel()
	if err := <-failed; !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	eventually(t, "accept has ended in the daemon", func() bool { return accepts() == 0 })
}

func TestDeadlineReachesDaemon(t *testing.T) {
	d := startDaemon(t, nil)
	c := d.dial(t)
	listenOn(t, c, "n")
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	_, err := c.Accept(ctx, "n")
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v", err)
	}
	eventually(t, "accept has ended in the daemon", func() bool { return d.irm.ListProcesses()[0].Accepts == 0 })
}

// TestCancelRaces cancels accepts and allocs at all moments: no flow may be
// left, and none may be lost of those that both sides have.
func TestCancelRaces(t *testing.T) {
	for _, c := range []struct {
		name string
		pair func(testing.TB) (*daemon, *daemon)
	}{
		{"direct", func(t testing.TB) (*daemon, *daemon) { d := startDaemon(t, nil); return d, d }},
		{"bridged", pairOfDaemons},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, b := c.pair(t)
			files := openFiles(t)
			client, server := a.dial(t), b.dial(t)
			listenOn(t, server, "n")
			// From never, to long after.
			soon := func() (context.Context, context.CancelFunc) {
				return context.WithTimeout(testContext(t), time.Duration(rand.Int64N(int64(3*time.Millisecond))))
			}
			var accepting sync.WaitGroup
			var stop atomic.Bool
			var got, taken atomic.Int64
			for range 4 {
				accepting.Go(func() {
					for !stop.Load() {
						ctx, cancel := soon()
						f, err := server.Accept(ctx, "n")
						if err == nil {
							taken.Add(1)
							closeFlow(f)
						} else if !errors.Is(err, context.DeadlineExceeded) {
							t.Errorf("accept: %v", err)
						}
						cancel()
					}
				})
			}
			var allocating sync.WaitGroup
			for range 4 {
				allocating.Go(func() {
					for range 75 {
						ctx, cancel := soon()
						f, err := client.Alloc(ctx, "n", qos.Raw)
						if err == nil {
							got.Add(1)
							closeFlow(f)
						} else if !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, layer.ErrIPCP) {
							// ErrIPCP: the time was up while the layer was asked.
							t.Errorf("alloc: %v", err)
						}
						cancel()
					}
				})
			}
			allocating.Wait()
			stop.Store(true)
			accepting.Wait()
			for _, d := range []*daemon{a, b} {
				eventually(t, "no flow is left", func() bool { return len(d.irm.ListFlows()) == 0 })
			}
			client.Close()
			server.Close()
			eventually(t, "no descriptor is left", func() bool { return openFiles(t) <= files })
			t.Logf("%d allocated, %d accepted", got.Load(), taken.Load())
		})
	}
}
