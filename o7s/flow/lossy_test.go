// SPDX-License-Identifier: BSD-3-Clause

package flow

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"o7gw/o7s/bubble"
	"o7gw/o7s/layer"
	"o7gw/o7s/qos"
)

const ms = time.Millisecond

// paths are the ways through bad networks; those back may differ.
var paths = []struct {
	name   string
	ab, ba path
}{
	{"clean", path{delay: 5 * ms}, path{delay: 5 * ms}},
	{"loss 5 %", path{delay: 5 * ms, loss: .05}, path{delay: 5 * ms, loss: .05}},
	{"loss 30 %", path{delay: 20 * ms, loss: .3}, path{delay: 20 * ms, loss: .3}},
	{"bursts", path{delay: 10 * ms, burst: .01}, path{delay: 10 * ms, burst: .02}},
	{"reordering", path{delay: 5 * ms, jitter: 30 * ms}, path{delay: 5 * ms, jitter: 30 * ms}},
	{"end overtakes", path{delay: 5 * ms, jitter: 30 * ms, loss: .05, closeSooner: true}, path{delay: 5 * ms, jitter: 30 * ms, loss: .05, closeSooner: true}},
	{"duplicates", path{delay: 5 * ms, dup: .3, jitter: 2 * ms}, path{delay: 5 * ms, dup: .3}},
	{"black-out", path{delay: 5 * ms, darkFrom: 20 * ms, darkFor: 30 * time.Second}, path{delay: 5 * ms, darkFrom: 30 * ms, darkFor: 30 * time.Second}},
	{"shim", path{shim: true, delay: 5 * ms, loss: .02, jitter: ms}, path{delay: 5 * ms, loss: .02}},
	{"shim, short", path{shim: true, delay: 20 * time.Microsecond}, path{delay: 20 * time.Microsecond}},
	{"shim, black-out", path{shim: true, delay: 5 * ms, darkFrom: 20 * ms, darkFor: 30 * time.Second}, path{delay: 5 * ms, darkFrom: 30 * ms, darkFor: 30 * time.Second}},
	{"lossy way back", path{delay: ms}, path{delay: 80 * ms, loss: .3, jitter: 40 * ms}},
	{"everything", path{delay: 5 * ms, jitter: 20 * ms, loss: .1, dup: .1, burst: .002}, path{delay: 50 * ms, jitter: 5 * ms, loss: .1, dup: .1}},
}

// writeAll writes n bytes of a pattern in pieces of several sizes.
func writeAll(f *Flow, seed byte, n int) error {
	sizes := []int{1, 700, wireMTU, 20000, 3, 5000}
	for i, off := 0, 0; off < n; i++ {
		size := min(sizes[i%len(sizes)], n-off)
		if got, err := f.WriteStream(pattern(seed, off, size)); err != nil || got != size {
			return fmt.Errorf("write at %d: %d of %d bytes: %w", off, got, size, err)
		}
		off += size
	}
	return nil
}

// readAll reads a pattern until an error, which it returns with the number of
// bytes. Another byte than that of the pattern is an error, too.
func readAll(f *Flow, seed byte) (int, error) {
	buf := make([]byte, 3000)
	for off := 0; ; {
		n, err := f.Read(buf[:1+off%len(buf)])
		if !bytes.Equal(buf[:n], pattern(seed, off, n)) {
			return off, fmt.Errorf("bytes at %d are not those written", off)
		}
		if off += n; err != nil {
			return off, err
		}
	}
}

// Whatever was written before Close arrives once and in order, and then the
// end.
func TestEverythingBeforeCloseArrives(t *testing.T) {
	const total = 150_000
	for _, p := range paths {
		for _, m := range modes {
			t.Run(p.name+"/"+m.name, func(t *testing.T) {
				bubble.Test(t, func(t *testing.T) {
					a, b, _, _, done := over(t, m, p.ab, p.ba)
					defer done()
					var read sync.WaitGroup
					read.Go(func() {
						n, err := readAll(b, 1)
						// A prototype does not say that it has finished.
						if n != total || err != io.EOF && (m.caps != 0 || !errors.Is(err, ErrAborted)) {
							t.Errorf("%d of %d bytes, then %v", n, total, err)
						}
					})
					if err := writeAll(a, 1, total); err != nil {
						t.Error(err)
					}
					if err := a.Close(); err != nil {
						t.Errorf("close: %v", err)
					}
					read.Wait()
				})
			})
		}
	}
}

// Both ends write at once, and say at once that they have finished; each reads
// all of the other.
func TestBothWriteAndFinish(t *testing.T) {
	const total = 60_000
	for _, p := range paths {
		for _, m := range modes[:2] {
			t.Run(p.name+"/"+m.name, func(t *testing.T) {
				bubble.Test(t, func(t *testing.T) {
					a, b, _, _, done := over(t, m, p.ab, p.ba)
					defer done()
					var all sync.WaitGroup
					for i, f := range []*Flow{a, b} {
						all.Go(func() {
							var w sync.WaitGroup
							w.Go(func() {
								if err := writeAll(f, byte(i), total); err != nil {
									t.Error(err)
								}
								if err := f.CloseWrite(); err != nil {
									t.Error(err)
								}
								if err := f.Write([]byte("x")); !errors.Is(err, ErrFinished) {
									t.Errorf("write after CloseWrite: %v", err)
								}
							})
							if n, err := readAll(f, byte(1-i)); n != total || err != io.EOF {
								t.Errorf("end %d: %d of %d bytes, then %v", i, n, total, err)
							}
							w.Wait()
							// The last acknowledgement may be lost again and again.
							if err := f.Close(); err != nil && (p.ab.loss+p.ab.burst+p.ba.loss == 0 || !errors.Is(err, ErrUnsent)) {
								t.Errorf("close of end %d: %v", i, err)
							}
						})
					}
					all.Wait()
				})
			})
		}
	}
}

// Both ends write and close without reading: both get to know that all has
// arrived, or that it may not have; nobody waits for ever.
func TestBothCloseUnread(t *testing.T) {
	for _, p := range paths {
		for _, m := range modes {
			t.Run(p.name+"/"+m.name, func(t *testing.T) {
				bubble.Test(t, func(t *testing.T) {
					a, b, _, _, done := over(t, m, p.ab, p.ba)
					defer done()
					begin := time.Now()
					var all sync.WaitGroup
					for i, f := range []*Flow{a, b} {
						all.Go(func() {
							if err := writeAll(f, byte(i), 40_000); err != nil && !errors.Is(err, ErrPeerClosed) {
								t.Error(err)
							}
							if err := f.Close(); err != nil && !errors.Is(err, ErrUnsent) {
								t.Errorf("close of end %d: %v", i, err)
							}
						})
					}
					all.Wait()
					if d := time.Since(begin); d > 4*time.Minute {
						t.Errorf("took %v", d)
					}
				})
			})
		}
	}
}

// Several write and several read at once: each packet arrives whole and once, and what
// one reader gets of one writer is in order. In real time: calls that wait for one another
// hold a mutex, under which the time of a bubble stands still.
func TestManyReadersAndWriters(t *testing.T) {
	const each, writers, readers = 300, 3, 2
	bad := path{delay: 200 * time.Microsecond, jitter: 200 * time.Microsecond, loss: .02, dup: .02}
	for _, m := range modes[:2] {
		t.Run(m.name, func(t *testing.T) {
			a, b, _, _, done := over(t, m, bad, bad)
			defer done()
			var read, write sync.WaitGroup
			for w := range writers {
				write.Go(func() {
					for i := range each {
						if err := a.Write(append([]byte{byte(w), byte(i), byte(i >> 8)}, pattern(byte(w), i, i)...)); err != nil {
							t.Errorf("writer %d: %v", w, err)
							return
						}
					}
				})
			}
			var got atomic.Int64
			for range readers {
				read.Go(func() {
					last := [writers]int{-1, -1, -1}
					for buf := make([]byte, wireMTU); ; got.Add(1) {
						n, truncated, err := b.ReadPacket(buf)
						if err != nil {
							if err != io.EOF {
								t.Errorf("end: %v", err)
							}
							return
						}
						w, i := int(buf[0]), int(buf[1])|int(buf[2])<<8
						if truncated || w >= writers || i <= last[w] || !bytes.Equal(buf[3:n], pattern(byte(w), i, i)) {
							t.Errorf("packet %d of writer %d, %d bytes, after %d", i, w, n, last[w])
							return
						}
						last[w] = i
					}
				})
			}
			write.Wait()
			if err := a.CloseWrite(); err != nil {
				t.Error(err)
			}
			read.Wait()
			if n := got.Load(); n != each*writers {
				t.Errorf("%d of %d packets", n, each*writers)
			}
		})
	}
}

// Ordered flows lose what the network loses, but keep order, duplicate nothing
// and keep packets whole.
func TestOrderedFlows(t *testing.T) {
	const total = 400
	for _, p := range paths {
		for _, m := range []mode{{"best", qos.Best, ours, 0}, {"best encrypted", qos.Best, ours, modes[1].cipher}, {"best prototype", qos.Best, 0, 0}} {
			t.Run(p.name+"/"+m.name, func(t *testing.T) {
				bubble.Test(t, func(t *testing.T) {
					a, b, _, _, done := over(t, m, p.ab, p.ba)
					defer done()
					var read sync.WaitGroup
					got := 0
					read.Go(func() {
						buf := make([]byte, wireMTU)
						for last := -1; ; got++ {
							n, truncated, err := b.ReadPacket(buf)
							if err != nil {
								if err != io.EOF {
									t.Errorf("end: %v", err)
								}
								return
							}
							i := int(buf[0]) | int(buf[1])<<8
							if truncated || i <= last || n != 2+i || !bytes.Equal(buf[2:n], pattern(7, i, i)) {
								t.Errorf("packet %d of %d bytes after %d", i, n, last)
							}
							last = i
						}
					})
					for i := range total {
						if err := a.Write(append([]byte{byte(i), byte(i >> 8)}, pattern(7, i, i)...)); err != nil {
							t.Fatal(err)
						}
						time.Sleep(ms)
					}
					time.Sleep(time.Second)
					a.Close()
					read.Wait()
					if got == 0 || p.name == "clean" && got != total {
						t.Errorf("%d of %d packets", got, total)
					}
				})
			})
		}
	}
}

// A peer that vanishes in the middle is an error for both ends.
func TestPeerVanishes(t *testing.T) {
	for _, m := range modes {
		t.Run(m.name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				m.qs.Timeout = 1000
				dark := path{delay: 5 * ms, darkFrom: 100 * ms, darkFor: 24 * time.Hour}
				a, b, _, _, done := over(t, m, dark, dark)
				defer done()
				begin := time.Now()
				var all sync.WaitGroup
				all.Go(func() { // blocked, since nobody acknowledges
					var err error
					for err == nil {
						_, err = a.WriteStream(make([]byte, 1000))
						time.Sleep(10 * time.Microsecond)
					}
					if !errors.Is(err, layer.ErrFlowPeer) {
						t.Errorf("writer: %v", err)
					}
				})
				all.Go(func() {
					var err error
					for buf := make([]byte, 2000); err == nil; {
						_, err = b.Read(buf)
					}
					if !errors.Is(err, layer.ErrFlowPeer) {
						t.Errorf("reader: %v", err)
					}
				})
				all.Wait()
				if d := time.Since(begin); d > 2*time.Second {
					t.Errorf("noticed after %v", d)
				}
				if err := a.Close(); !errors.Is(err, ErrUnsent) || !errors.Is(err, ErrPeer) {
					t.Errorf("close: %v", err)
				}
			})
		})
	}
}

// An end that gave up after two minutes does not say that all was delivered.
func TestGivesUp(t *testing.T) {
	for _, m := range modes {
		t.Run(m.name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				m.qs.Timeout = 0
				dark := path{delay: 5 * ms, darkFrom: 100 * ms, darkFor: 24 * time.Hour}
				a, b, _, _, done := over(t, m, dark, dark)
				defer done()
				if err := writeAll(a, 1, 10_000); err != nil {
					t.Fatal(err)
				}
				if _, err := io.ReadFull(b, make([]byte, 10_000)); err != nil {
					t.Fatal(err)
				}
				time.Sleep(200 * ms)
				begin := time.Now()
				var err error
				for err == nil {
					_, err = a.WriteStream(make([]byte, 1000))
				}
				if d := time.Since(begin); !errors.Is(err, ErrPeer) || d < 100*time.Second || d > 150*time.Second {
					t.Errorf("writer: %v after %v", err, d)
				}
				if _, err := a.Read(make([]byte, 1)); !errors.Is(err, ErrPeer) {
					t.Errorf("reader: %v", err)
				}
				if err := a.Close(); !errors.Is(err, ErrUnsent) {
					t.Errorf("close: %v", err)
				}
			})
		})
	}
}
