// SPDX-License-Identifier: BSD-3-Clause

package crypt

import (
	"encoding/binary"
	"fmt"
	"testing"
	"time"

	"o7gw/o7s/packet"
)

// timed seals and opens batches of packets of n bytes and reports the time
// that each direction takes for one, apart.
func timed(b *testing.B, n int, seal func([]*packet.Buffer), open func([]*packet.Buffer) []*packet.Buffer) {
	batch := make([]*packet.Buffer, packet.BatchSize)
	packet.GetBatch(batch, n)
	for _, p := range batch {
		p.SetLen(n)
	}
	var sealing, opening time.Duration
	b.ReportAllocs()
	b.SetBytes(int64(n))
	b.ResetTimer()
	for i := 0; i < b.N; i += len(batch) {
		start := time.Now()
		seal(batch)
		between := time.Now()
		opened := open(batch)
		end := time.Now()
		if len(opened) != len(batch) {
			b.Fatalf("%d opened", len(opened))
		}
		sealing += between.Sub(start)
		opening += end.Sub(between)
	}
	count := float64((b.N + len(batch) - 1) / len(batch) * len(batch))
	b.ReportMetric(float64(sealing.Nanoseconds())/count, "ns/seal")
	b.ReportMetric(float64(opening.Nanoseconds())/count, "ns/open")
	packet.ReleaseBatch(batch)
}

// BenchmarkBox compares with the bare cipher, which does nothing but count.
func BenchmarkBox(b *testing.B) {
	for _, number := range []uint16{AES256GCM, AES128GCM, ChaCha20Poly1305} {
		for _, n := range []int{64, 1024, 1400} {
			name := fmt.Sprintf("%s/%d/", Name(number), n)
			b.Run(name+"bare", func(b *testing.B) {
				a, err := newAEAD(number, testKey())
				if err != nil {
					b.Fatal(err)
				}
				iv, work := make([]byte, IVLen), make([]byte, n, n+TagLen)
				count := uint64(0)
				seal := func(batch []*packet.Buffer) {
					for range batch {
						count++
						binary.BigEndian.PutUint64(iv[4:], count)
						work = a.Seal(work[:0], iv, work[:n], nil)
					}
				}
				// Opening wants something sealed, so it is found as the difference.
				both := func(batch []*packet.Buffer) []*packet.Buffer {
					for range batch {
						count++
						binary.BigEndian.PutUint64(iv[4:], count)
						work = a.Seal(work[:0], iv, work[:n], nil)
						if _, err := a.Open(work[:0], iv, work, nil); err != nil {
							b.Fatal(err)
						}
					}
					return batch
				}
				timed(b, n, seal, both)
			})
			for _, sequenced := range []bool{true, false} {
				peer := map[bool]string{true: "ours", false: "prototype"}[sequenced]
				b.Run(name+peer, func(b *testing.B) {
					client, server := ends(b, number, sequenced, 0)
					timed(b, n, client.Seal, server.Open)
				})
			}
		}
	}
}
