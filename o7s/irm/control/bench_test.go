// SPDX-License-Identifier: BSD-3-Clause

package control

import (
	"testing"

	"o7gw/o7s/qos"
)

func BenchmarkStatus(b *testing.B) {
	c := startDaemon(b, nil).dial(b)
	ctx := testContext(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Status(ctx); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkFlow allocates, accepts and ends a flow between two clients.
func BenchmarkFlow(b *testing.B) {
	for _, bench := range []struct {
		name string
		pair func(testing.TB) (*daemon, *daemon)
	}{
		{"direct", func(t testing.TB) (*daemon, *daemon) { d := startDaemon(t, nil); return d, d }},
		{"bridged", pairOfDaemons},
	} {
		b.Run(bench.name, func(b *testing.B) {
			from, to := bench.pair(b)
			client, server := from.dial(b), to.dial(b)
			listenOn(b, server, "n")
			ctx := testContext(b)
			accepted := make(chan error, 1)
			go func() {
				for {
					f, err := server.Accept(ctx, "n")
					if err != nil {
						accepted <- err
						return
					}
					closeFlow(f)
				}
			}()
			b.ReportAllocs()
			for b.Loop() {
				f, err := client.Alloc(ctx, "n", qos.Raw)
				if err != nil {
					b.Fatal(err)
				}
				closeFlow(f)
			}
			server.Close()
			<-accepted
		})
	}
}
