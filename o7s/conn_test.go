// SPDX-License-Identifier: BSD-3-Clause

package o7s_test

import (
	"net"
	"testing"
	"time"

	"golang.org/x/net/nettest"

	"o7gw/o7s"
	"o7gw/o7s/flow"
	"o7gw/o7s/layer"
	"o7gw/o7s/qos"
)

// TestNetConn: a reliable flow is a net.Conn, whatever carries it.
func TestNetConn(t *testing.T) {
	for name, c := range map[string]struct {
		rings, direct bool
		caps          layer.Caps
		spec          qos.Spec
	}{
		"port":   {spec: qos.Data, caps: layer.CapFRCP},
		"ring":   {spec: qos.Data, caps: layer.CapFRCP, rings: true},
		"direct": {spec: qos.Data, rings: true, direct: true},
	} {
		t.Run(name, func(t *testing.T) {
			nettest.TestConn(t, func() (c1, c2 net.Conn, stop func(), err error) {
				x := newExchange(c.rings)
				x.change = func(a *flow.Attachment) { a.Direct, a.PeerCaps = c.direct, c.caps }
				s1, s2 := x.stack(), x.stack()
				l, err := s2.Listen(t.Context(), "conn")
				if err != nil {
					return nil, nil, nil, err
				}
				f1, err := s1.Dial(t.Context(), "conn", o7s.WithQoS(c.spec))
				if err != nil {
					return nil, nil, nil, err
				}
				f2, err := l.AcceptFlow(t.Context())
				if err != nil {
					return nil, nil, nil, err
				}
				stop = func() {
					// Both ends at once: each waits for the other to take all.
					f1.SetLinger(time.Second)
					f2.SetLinger(time.Second)
					done := make(chan struct{})
					go func() { s2.Close(); close(done) }()
					s1.Close()
					<-done
				}
				return f1, f2, stop, nil
			})
		})
	}
}
