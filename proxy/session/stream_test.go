// SPDX-License-Identifier: BSD-3-Clause

package session

import (
	"bytes"
	"errors"
	"testing"

	"pgregory.net/rapid"
)

// TestStream plays random sessions between two ends against a plain model: what
// one end writes before it finishes, the other reads before its end.
func TestStream(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var ends [2]Stream
		var wire [2][][]byte // to the end of that index
		var want, got [2][]byte
		var sent, aborted [2]bool // finish; the end was reset
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			me := rapid.IntRange(0, 1).Draw(t, "end")
			peer := 1 - me
			switch rapid.SampledFrom([]string{"write", "write", "take", "take", "finish", "keepalive", "optional", "reset"}).Draw(t, "step") {
			case "write":
				if !ends[me].Finished() {
					data := rapid.SliceOfN(rapid.Byte(), 1, 5).Draw(t, "data")
					want[peer] = append(want[peer], data...)
					wire[peer] = append(wire[peer], append([]byte{byte(KindData)}, data...))
				}
			case "finish":
				p := ends[me].Finish()
				if (p == nil) != sent[me] || !ends[me].Finished() {
					t.Fatalf("finish %x after finish: %v", p, sent[me])
				}
				if sent[me] = true; p != nil {
					wire[peer] = append(wire[peer], p)
				}
			case "keepalive":
				wire[peer] = append(wire[peer], nil, []byte{byte(KindKeepalive)})
			case "optional":
				wire[peer] = append(wire[peer], []byte{byte(Optional) + 5, 1, 2})
			case "reset":
				if rapid.IntRange(0, 9).Draw(t, "really") == 0 {
					wire[peer] = append(wire[peer], Reset())
				}
			case "take":
				if len(wire[me]) == 0 {
					continue
				}
				p := wire[me][0]
				wire[me] = wire[me][1:]
				data, done, err := ends[me].Take(p)
				if bytes.Equal(p, Reset()) {
					aborted[me] = true
				}
				if (err != nil) != aborted[me] || err != nil && !errors.Is(err, ErrReset) {
					t.Fatalf("%x: %v, aborted %v", p, err, aborted[me])
				}
				if got[me] = append(got[me], data...); !bytes.HasPrefix(want[me], got[me]) {
					t.Fatalf("read %x, want %x", got[me], want[me])
				}
				if done != ends[me].Ended() && err == nil {
					t.Fatalf("done %v, ended %v", done, ends[me].Ended())
				}
				if done && !bytes.Equal(got[me], want[me]) {
					t.Fatalf("finished with %x, want %x", got[me], want[me])
				}
			}
		}
	})
}

// TestStreamKinds: every first byte in every state.
func TestStreamKinds(t *testing.T) {
	for k := range 256 {
		for _, ended := range []bool{false, true} {
			s := Stream{ended: ended}
			data, done, err := s.Take([]byte{byte(k), 'x'})
			skipped := Kind(k) == KindKeepalive || k >= 0x80
			switch {
			case skipped && (data != nil || done != ended || err != nil),
				Kind(k) == KindData && !ended && (string(data) != "x" || err != nil),
				Kind(k) == KindFinish && !ended && (!done || err != nil),
				Kind(k) == KindReset && err != ErrReset,
				!skipped && Kind(k) != KindReset && (ended || k != 0x10 && k != 0x11) && !errors.Is(err, ErrMalformed):
				t.Errorf("kind %#x, ended %v: %x, %v, %v", k, ended, data, done, err)
			}
			if err != nil {
				if _, _, again := s.Take([]byte{byte(KindData), 'y'}); again != err {
					t.Errorf("after %v: %v", err, again)
				}
			}
		}
	}
}
