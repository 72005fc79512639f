// SPDX-License-Identifier: BSD-3-Clause

package tunnel

import (
	"sync/atomic"
	"testing"
	"time"

	"o7gw/o7s/bubble"
)

// A server that was restarted within a moment does not know the flow, and says
// nothing: the client dials again soon if it has something to send, and only
// then. A peer that has nothing to say but lives is kept.
func TestSilentPeerIsLeft(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		n := newFakeNet(1400)
		var dead atomic.Bool
		n.lose = func([]byte) bool { return dead.Load() }
		s, _ := start(t, n, server())
		defer s.Close()
		c, d := start(t, n, client("10.77.0.2/24"))
		defer c.Close()
		say := func(times int) {
			for range times {
				d.from <- datagram("10.77.0.2", "10.77.0.1", 100, true)
				time.Sleep(100 * time.Millisecond)
			}
		}
		flows := func() int {
			n.mu.Lock()
			defer n.mu.Unlock()
			return len(n.dials)
		}
		time.Sleep(time.Second)
		say(100)
		time.Sleep(2 * quiet)
		dead.Store(true)
		time.Sleep(time.Minute)
		if k := flows(); k != 1 {
			t.Fatalf("%d flows while there was nothing to say to the dead, or while the peer lived", k)
		}
		say(40)
		if flows() < 2 {
			t.Fatal("no new flow 4 s after the first packet")
		}
		dead.Store(false)
		time.Sleep(exchangeLimit + client().ReconnectMax)
		if st := c.Status(); len(st.Peers) != 1 || !st.Peers[0].Exchanged {
			t.Errorf("not connected again: %+v", st)
		}
	})
}
