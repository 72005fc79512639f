// SPDX-License-Identifier: BSD-3-Clause

package expose_test

import (
	"testing"

	"o7gw/proxy/session"
)

// TestSeveral: two gateways expose one name; who dials reaches one of them, and
// the other one when that drains or dies.
func TestSeveral(t *testing.T) {
	for n, name := range []string{"udp", "unicast"} {
		t.Run(name, func(t *testing.T) {
			const svc = "svc"
			hosts := map[string][]int{svc: {1, 2}}
			if name == "unicast" {
				hosts = map[string][]int{"first.member": {0}}
			}
			m := members(t, byte(10+10*n), 3, hosts)
			if name == "unicast" {
				unicast(t, m)
			}
			client := m[0]
			for i, greeting := range []string{"1", "2"} {
				at, _ := echoTCP(t, "127.0.0.1:0", greeting)
				cfg := config(svc)
				cfg.TCP = map[uint16]string{80: at}
				start(t, cfg, m[1+i])
			}
			// reach returns who has answered, and the open session.
			reach := func() string {
				t.Helper()
				var by string
				eventually(t, "nobody answers", func() bool {
					c, err := dialTCP(t, client, svc, session.Request{})
					if err != nil {
						t.Log(err)
						return false
					}
					by = read(t, c, 1)
					works(t, c)
					c.Close()
					return true
				})
				return by
			}
			count := map[string]int{}
			for range 20 {
				count[reach()]++
			}
			t.Logf("sessions by gateway: %v", count)
			first := reach()
			m[first[0]-'0'].stop()
			for range 3 {
				if by := reach(); by == first {
					t.Fatalf("gateway %s answers, which is dead", by)
				}
			}
		})
	}
}
