// SPDX-License-Identifier: BSD-3-Clause

package fa

import (
	"sync/atomic"
	"testing"
	"time"

	"o7gw/o7s/bubble"
	"o7gw/o7s/ipcp/unicast/ca"
	"o7gw/o7s/packet"
	"o7gw/o7s/qos"
)

// A user who waits while the flow is paused loses nothing, however fast he is.
func TestPausedLosesNothing(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		p := newPair(t, ca.MBECN, qos.Raw)
		defer p.close()
		f := p.client.(*flow)
		p.a.Manage(buffers(string(update{eid: f.eid}.append(nil)))) // 3.9 MB/s
		var k sink
		p.accepted.Receive(&k)
		resumed := make(chan struct{}, 1)
		pauses := 0
		const n = 5000
		for i := 0; i < n; i += packet.BatchSize {
			for f.Paused(func() { resumed <- struct{}{} }) {
				pauses++
				<-resumed
			}
			f.Send(numbered(i, min(packet.BatchSize, n-i), 1000))
		}
		time.Sleep(10 * time.Second)
		if got := len(k.packets()); got != n || pauses == 0 {
			t.Errorf("%d of %d packets came, after %d pauses", got, n, pauses)
		}
	})
}

// A user who waits is told of the end of the flow, once.
func TestPausedFlowEnds(t *testing.T) {
	for _, end := range []func(p *pair){
		func(p *pair) { p.a.Close() },
		func(p *pair) { p.accepted.Close() },
	} {
		bubble.Test(t, func(t *testing.T) {
			p := newPair(t, ca.MBECN, qos.Raw)
			defer p.close()
			f := p.client.(*flow)
			p.a.Manage(buffers(string(update{eid: f.eid}.append(nil))))
			for i := 0; i < maxQueue; i += packet.BatchSize {
				f.Send(numbered(i, packet.BatchSize, 1400))
			}
			var told atomic.Int32
			if !f.Paused(func() { told.Add(1) }) {
				t.Fatal("a flow with a full queue is not paused")
			}
			end(p)
			time.Sleep(time.Minute)
			if told.Load() != 1 {
				t.Errorf("told %d times", told.Load())
			}
			if f.Paused(func() {}) {
				t.Error("an ended flow is paused")
			}
		})
	}
}
