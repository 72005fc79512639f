// SPDX-License-Identifier: BSD-3-Clause

package frcp

import (
	"hash/crc64"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"o7gw/o7s/packet"

	"pgregory.net/rapid"
)

// drawPath draws a direction of a link.
func drawPath(t *rapid.T, name string) path {
	p := path{
		delay:     time.Duration(rapid.IntRange(0, 500).Draw(t, name+" delay ms")) * time.Millisecond,
		jitter:    time.Duration(rapid.IntRange(0, 20).Draw(t, name+" jitter ms")) * time.Millisecond,
		loss:      float64(rapid.IntRange(0, 30).Draw(t, name+" loss %")) / 100,
		duplicate: float64(rapid.IntRange(0, 20).Draw(t, name+" duplicates %")) / 100,
		reorder:   float64(rapid.IntRange(0, 20).Draw(t, name+" reordered %")) / 100,
		late:      time.Duration(rapid.IntRange(1, 100).Draw(t, name+" late ms")) * time.Millisecond,
	}
	if rapid.Bool().Draw(t, name+" bursts") {
		p.burst = 10
		p.loss /= 10
	}
	if rapid.Bool().Draw(t, name+" limited") {
		p.rate = float64(rapid.IntRange(1, 200).Draw(t, name+" Mbit/s")) * mbit
		p.queue = rapid.IntRange(20000, 1000000).Draw(t, name+" queue")
	}
	return p
}

// TestEveryByteOnceInOrder: whatever the paths do, what was written before the end is
// read once, in order, and then the end; or, if they are cut for good, both see an error.
func TestEveryByteOnceInOrder(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		seed := rapid.Uint64().Draw(rt, "seed")
		rng := rand.New(rand.NewPCG(seed, 9))
		mode := rapid.SampledFrom([]string{"none", "bbr", "plain"}).Draw(rt, "mode")
		a, b := plain(true, rng.Uint32()), plain(true, rng.Uint32())
		switch mode {
		case "none":
			a, b = ours(rng, nil)
		case "bbr":
			a, b = ours(rng, bbr)
		}
		ab, ba := drawPath(rt, "ab"), drawPath(rt, "ba")
		cut := rapid.IntRange(0, 9).Draw(rt, "cut") == 0
		w := newBus(t, seed, a, b, ab, ba)
		n := 600
		if mode == "plain" {
			n = 150 // recovers only by timeouts
		}
		w.a.write, w.b.write = rapid.IntRange(0, n).Draw(rt, "a writes"), rapid.IntRange(0, n).Draw(rt, "b writes")
		w.a.size = func(i uint64) int { return int(i * 7919 % 1400) }
		if rapid.Bool().Draw(rt, "slow reader") {
			w.b.readStep = 3 * time.Millisecond
		}
		total := w.a.write + w.b.write
		done := finishing(w, a, b)
		if cut && total > 0 {
			w.run(time.Duration(rapid.IntRange(0, 2000).Draw(rt, "cut at ms"))*time.Millisecond, done)
			w.a.out.loss, w.b.out.loss = 1, 1
			w.run(time.Hour, done)
			// An end whose data had all been acknowledged has no reason to complain.
			for i, e := range []*Endpoint{a, b} {
				n := []*node{w.a, w.b}[i]
				if e.Err() == nil && (n.write > 0 || !e.Flushed()) {
					rt.Fatalf("end %d: no error, %d not written: %s", i, n.write, describe(e))
				}
			}
			return
		}
		if !w.run(2*time.Hour, func() bool { return done() && w.delivered() }) || a.Err() != nil || b.Err() != nil || !w.delivered() || mode != "plain" && (!a.EOF() || !b.EOF()) {
			rt.Fatalf("at %v: a %v read %d of %d %s\nb %v read %d of %d %s", w.now-time.Hour,
				a.Err(), w.a.got, w.b.written, describe(a), b.Err(), w.b.got, w.a.written, describe(b))
		}
	})
}

// TestChecksums sends a long stream over a path that loses, reorders and duplicates, and compares
// checksums. O7S_FRCP_GIGABYTES=10 is the full figure.
func TestChecksums(t *testing.T) {
	bytes := int64(30e6)
	if s := os.Getenv("O7S_FRCP_GIGABYTES"); s != "" {
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		bytes = n * 1e9
	}
	a, b := ours(rand.New(rand.NewPCG(1, 2)), bbr)
	l := path{delay: 5 * time.Millisecond, loss: 0.01, duplicate: 0.01, reorder: 0.01, late: 3 * time.Millisecond, rate: 1000 * mbit, queue: 2000000}
	w := newBus(t, 1, a, b, l, l)
	table := crc64.MakeTable(crc64.ECMA)
	in, out := crc64.New(table), crc64.New(table)
	src := rand.New(rand.NewPCG(1, 11))
	pool := make([]byte, 1<<20)
	for i := range pool {
		pool[i] = byte(src.Uint32())
	}
	w.a.fill = func(p []byte) {
		copy(p, pool[src.IntN(len(pool)-len(p)):])
		in.Write(p)
	}
	w.b.take = func(b *packet.Buffer) { out.Write(b.Bytes()) }
	w.a.write = int((bytes + 1399) / 1400)
	took := w.mustDeliver(10 * time.Hour)
	if in.Sum64() != out.Sum64() {
		t.Fatalf("checksums %x and %x", in.Sum64(), out.Sum64())
	}
	t.Logf("%d bytes in %v simulated, %.0f Mbit/s, checksum %x; sent again %d, duplicates %d, longest stall %v", w.b.gotBytes, took,
		float64(w.b.gotBytes)*8/1e6/took.Seconds(), out.Sum64(), a.stats.Retransmitted, b.stats.Duplicates, w.b.longest)
}
