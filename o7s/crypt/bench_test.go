// SPDX-License-Identifier: BSD-3-Clause

package crypt

import (
	"crypto/cipher"
	"encoding/binary"
	"fmt"
	"testing"
	"time"

	ciphers "o7gw/o7s/oap/cipher"
	"o7gw/o7s/packet"
)

// bare is what a Box is compared with: the cipher, in place, on as many packets, with
// nothing but a counter for an IV.
type bare struct {
	aead    cipher.AEAD
	iv      [IVLen]byte
	count   uint64
	packets [packet.BatchSize][]byte
}

func newBare(b *testing.B, number uint16, n int) *bare {
	a, err := newAEAD(number, testKey())
	if err != nil {
		b.Fatal(err)
	}
	c := &bare{aead: a}
	for i := range c.packets {
		c.packets[i] = make([]byte, n, n+TagLen)
	}
	return c
}

func (c *bare) seal() {
	for i, p := range c.packets {
		binary.BigEndian.PutUint64(c.iv[4:], c.count+uint64(i))
		c.packets[i] = c.aead.Seal(p[:0], c.iv[:], p, nil)
	}
}

func (c *bare) open() (opened int) {
	for i, p := range c.packets {
		binary.BigEndian.PutUint64(c.iv[4:], c.count+uint64(i))
		if plain, err := c.aead.Open(p[:0], c.iv[:], p, nil); err == nil {
			c.packets[i] = plain
			opened++
		}
	}
	c.count += uint64(len(c.packets))
	return opened
}

// alternate seals and opens batches in turn. Besides the average of both it reports
// what each takes per packet in the fastest batch, which others on the machine
// disturb less.
func alternate(b *testing.B, n int, seal func(), open func() (opened int)) {
	fastestSeal, fastestOpen := time.Hour, time.Hour
	b.ReportAllocs()
	b.SetBytes(int64(n))
	b.ResetTimer()
	for i := 0; i < b.N; i += packet.BatchSize {
		start := time.Now()
		seal()
		sealed := time.Now()
		opened := open()
		fastestOpen = min(fastestOpen, time.Since(sealed))
		fastestSeal = min(fastestSeal, sealed.Sub(start))
		if opened != packet.BatchSize {
			b.Fatalf("%d opened", opened)
		}
	}
	b.ReportMetric(float64(fastestSeal.Nanoseconds())/packet.BatchSize, "ns/seal")
	b.ReportMetric(float64(fastestOpen.Nanoseconds())/packet.BatchSize, "ns/open")
}

func BenchmarkBox(b *testing.B) {
	for _, number := range []uint16{AES256GCM, AES128GCM, ChaCha20Poly1305} {
		for _, n := range []int{64, 1024, 1400} {
			name := fmt.Sprintf("%s/%d/", ciphers.Name(number), n)
			b.Run(name+"bare", func(b *testing.B) {
				c := newBare(b, number, n)
				alternate(b, n, c.seal, c.open)
			})
			for peer, sequenced := range map[string]bool{"ours": true, "prototype": false} {
				b.Run(name+peer, func(b *testing.B) {
					client, server := ends(b, number, sequenced, 0)
					batch := make([]*packet.Buffer, packet.BatchSize)
					packet.GetBatch(batch, n)
					for _, p := range batch {
						p.SetLen(n)
					}
					alternate(b, n, func() { client.Seal(batch) }, func() int { return len(server.Open(batch)) })
					packet.ReleaseBatch(batch)
				})
			}
		}
	}
}

// BenchmarkForged is what a packet costs that an attacker made.
func BenchmarkForged(b *testing.B) {
	for peer, sequenced := range map[string]bool{"ours": true, "prototype": false} {
		b.Run(peer, func(b *testing.B) {
			client, server := ends(b, AES256GCM, sequenced, 0)
			batch := make([]*packet.Buffer, packet.BatchSize)
			b.ReportAllocs()
			for i := 0; i < b.N; i += len(batch) {
				packet.GetBatch(batch, 1400)
				for j, p := range batch {
					p.SetLen(1400)
					binary.BigEndian.PutUint32(p.Bytes(), client.prefix^uint32(j%2)<<31)
					binary.BigEndian.PutUint64(p.Bytes()[4:], uint64(i+j))
				}
				if got := server.Open(batch); len(got) != 0 {
					b.Fatal("opened")
				}
			}
			if s := server.Stats(); s.Forged < uint64(b.N) {
				b.Fatalf("%+v", s)
			}
		})
	}
}

func BenchmarkCRC(b *testing.B) {
	batch := make([]*packet.Buffer, packet.BatchSize)
	packet.GetBatch(batch, 1400)
	for _, p := range batch {
		p.SetLen(1400)
	}
	b.ReportAllocs()
	b.SetBytes(1400)
	for i := 0; i < b.N; i += len(batch) {
		AppendCRC(batch)
		if got := CheckCRC(batch); len(got) != len(batch) {
			b.Fatalf("%d taken", len(got))
		}
	}
	packet.ReleaseBatch(batch)
}
