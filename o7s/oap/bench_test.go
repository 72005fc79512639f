// SPDX-License-Identifier: BSD-3-Clause

package oap

import (
	"crypto/rand"
	"testing"
	"time"

	"o7gw/o7s/oap/encconf"
	"o7gw/o7s/oap/kex"
)

// BenchmarkHandshake measures both ends of a whole handshake in one goroutine:
// the server shows an ECDSA P-256 certificate, and with "both" the client too.
func BenchmarkHandshake(b *testing.B) {
	ca := newAuthority(b)
	user, svc := ca.issue("user", "p256"), ca.issue("svc", "p256")
	for _, name := range kex.Names() {
		a, _ := kex.ByName(name)
		enc := encconf.Default()
		enc.Kex = a
		client := &Policy{Name: "svc", Store: ca.store, Enc: enc, RequireAuthentication: true}
		both := *client
		both.Creds = user
		server := &Policy{Name: "svc", Store: ca.store, Enc: enc, Creds: svc}
		for certs, p := range map[string]*Policy{"server": client, "both": &both} {
			b.Run(name+"/"+certs, func(b *testing.B) {
				b.ReportAllocs()
				var s Server
				now := vectorTime
				for b.Loop() {
					now = now.Add(time.Microsecond)
					c := request(b, now, rand.Reader, p, nil)
					pending, err := s.Accept(now, c.Request())
					if err != nil {
						b.Fatal(err)
					}
					_, resp := answer(b, now, rand.Reader, pending, server, nil)
					if _, err := c.Finish(now, resp); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
