// SPDX-License-Identifier: BSD-3-Clause

package crypt

import (
	"sync"
	"testing"

	"o7gw/o7s/packet"
)

// Both ends seal in two goroutines and open in two more, while the key rotates; nothing
// is refused, and no IV is used twice. All goes in rounds: what was sealed in one
// is opened in the next, so that no packet gets later than the rotation allows.
func TestConcurrent(t *testing.T) {
	const (
		rounds  = 100
		batches = 4 // of a goroutine and round
		size    = 8
		epoch   = 1024 // an end counts 256 packets in a round
		packets = rounds * 2 * batches * size
	)
	for _, sequenced := range []bool{false, true} {
		client, server := ends(t, AES256GCM, sequenced, epoch)
		ivs := map[[IVLen]byte]bool{}
		var flying [2][2][][]*packet.Buffer // by sender and goroutine
		for range rounds + 1 {
			var all sync.WaitGroup
			for from, box := range []*Box{client, server} {
				peer := []*Box{server, client}[from]
				for i := range 2 {
					sealed := flying[from][i]
					all.Go(func() {
						for _, batch := range sealed {
							got := peer.Open(batch)
							if len(got) != size {
								t.Errorf("%d of %d opened", len(got), size)
							}
							packet.ReleaseBatch(got)
						}
					})
					made := make([][]*packet.Buffer, batches)
					flying[from][i] = made
					all.Go(func() {
						for j := range made {
							made[j] = make([]*packet.Buffer, size)
							packet.GetBatch(made[j], 100)
							for _, b := range made[j] {
								b.SetLen(100)
							}
							box.Seal(made[j])
						}
					})
				}
			}
			all.Wait()
			for _, a := range flying {
				for _, b := range a {
					for _, batch := range b {
						for _, p := range batch {
							ivs[[IVLen]byte(p.Bytes())] = true
						}
					}
				}
			}
		}
		if want := 2 * (packets + packets/rounds); len(ivs) != want {
			t.Errorf("%d IVs for %d packets", len(ivs), want)
		}
		for _, b := range []*Box{client, server} {
			if s := b.Stats(); s.Opened != packets || s.Rotations < 2 || s.Rotations > packets*2/epoch {
				t.Errorf("sequenced %v: %+v", sequenced, s)
			}
		}
	}
}
