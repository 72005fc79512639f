// SPDX-License-Identifier: BSD-3-Clause

package flow

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"
	"time"

	"o7gw/o7s/bubble"
	"o7gw/o7s/layer"
	"o7gw/o7s/packet"
	"o7gw/o7s/qos"
)

// Packets stay what they were: one read for each Write, several for a
// WriteStream above the MTU; what a short Read leaves comes next.
func TestPacketBoundaries(t *testing.T) {
	lossy := path{delay: 5 * ms, loss: .1, jitter: 5 * ms, dup: .1}
	for _, m := range modes {
		t.Run(m.name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				a, b, _, _, done := over(t, m, lossy, lossy)
				defer done()
				mtu := a.MTU()
				if err := a.Write(make([]byte, mtu+1)); !errors.Is(err, ErrTooLong) {
					t.Errorf("above the MTU: %v", err)
				}
				sizes := []int{1, mtu, 17, mtu - 1, 500}
				for i, n := range sizes {
					if err := a.Write(pattern(byte(i), 0, n)); err != nil {
						t.Fatal(err)
					}
					if err := a.Write(nil); err != nil { // a keepalive
						t.Fatal(err)
					}
				}
				if n, err := a.WriteStream(pattern(9, 0, 2*mtu+10)); n != 2*mtu+10 || err != nil {
					t.Fatal(n, err)
				}
				var batch []*packet.Buffer
				for i := range 200 {
					batch = append(batch, buffer(pattern(10, i, 100+i)))
				}
				if err := a.WriteBatch(batch); err != nil {
					t.Fatal(err)
				}

				buf := make([]byte, 2*mtu)
				packetIs := func(want []byte) {
					t.Helper()
					if n, truncated, err := b.ReadPacket(buf); !bytes.Equal(buf[:n], want) || truncated || err != nil {
						t.Fatalf("%d bytes, truncated %v, %v; want %d", n, truncated, err, len(want))
					}
				}
				for i, n := range sizes[:3] {
					packetIs(pattern(byte(i), 0, n))
				}
				if n, truncated, err := b.ReadPacket(buf[:20]); n != 20 || !truncated || err != nil {
					t.Fatalf("%d %v %v", n, truncated, err)
				}
				for off := 0; off < 500; off += 100 {
					if n, err := b.Read(buf[:100]); !bytes.Equal(buf[:n], pattern(4, off, 100)) || err != nil {
						t.Fatalf("part at %d: %d %v", off, n, err)
					}
				}
				packetIs(pattern(9, 0, mtu))
				packetIs(pattern(9, mtu, mtu))
				if n, err := b.Read(buf[:3]); n != 3 || err != nil {
					t.Fatal(n, err)
				}
				packetIs(pattern(9, 2*mtu+3, 7)) // the rest is a packet
				if n, err := b.Read(buf[:30]); n != 30 || err != nil {
					t.Fatal(n, err)
				}
				bufs := make([]*packet.Buffer, 7)
				for i := 0; i < 200; {
					n, err := b.ReadBatch(bufs)
					if err != nil {
						t.Fatal(err)
					}
					for _, p := range bufs[:n] {
						want := pattern(10, i, 100+i)
						if i == 0 {
							want = want[30:]
						}
						if !bytes.Equal(p.Bytes(), want) {
							t.Fatalf("packet %d of the batch: %d bytes", i, p.Len())
						}
						i++
					}
					packet.ReleaseBatch(bufs[:n])
				}
			})
		})
	}
}

// In push mode everything comes in order, also what waited before, and then
// the end.
func TestPushOverBadNetworks(t *testing.T) {
	const total = 300
	for _, p := range paths {
		for _, m := range modes {
			t.Run(p.name+"/"+m.name, func(t *testing.T) {
				bubble.Test(t, func(t *testing.T) {
					a, b, _, _, done := over(t, m, p.ab, p.ba)
					defer done()
					s := newSink()
					var write sync.WaitGroup
					write.Go(func() {
						for i := range total {
							if err := a.Write(fmt.Append(nil, i)); err != nil {
								t.Error(err)
								return
							}
						}
						if err := a.Close(); err != nil {
							t.Error(err)
						}
					})
					buf := make([]byte, 100)
					if n, err := b.Read(buf); string(buf[:n]) != "0" || err != nil {
						t.Fatalf("%q %v", buf[:n], err)
					}
					if n, err := b.Read(buf[:1]); string(buf[:n]) != "1" || err != nil {
						t.Fatalf("%q %v", buf[:n], err)
					}
					if err := b.Receive(s); err != nil {
						t.Fatal(err)
					}
					if _, err := b.Read(buf); err != ErrPushed {
						t.Errorf("read in push mode: %v", err)
					}
					<-s.closed
					write.Wait()
					if len(s.got) != total-1 || s.got[total-2] != "closed" {
						t.Fatalf("%d entries", len(s.got))
					}
					for i, got := range s.got[:total-2] {
						if got != fmt.Sprint(i+2) {
							t.Fatalf("entry %d: %q", i, got)
						}
					}
				})
			})
		}
	}
}

// A receiver answers from within, and closes from within.
func TestPushAnswers(t *testing.T) {
	for _, m := range modes {
		t.Run(m.name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				lossy := path{delay: 5 * ms, loss: .1}
				a, b, _, _, done := over(t, m, lossy, lossy)
				defer done()
				s := newSink()
				s.do = func(pkts []*packet.Buffer) {
					if err := b.WriteBatch(pkts); err != nil {
						t.Error(err)
					}
				}
				if err := b.Receive(s); err != nil {
					t.Fatal(err)
				}
				buf := make([]byte, 100)
				for i := range 100 {
					want := fmt.Sprint(i)
					if err := a.Write([]byte(want)); err != nil {
						t.Fatal(err)
					}
					if n, err := a.Read(buf); string(buf[:n]) != want || err != nil {
						t.Fatalf("%q %v, want %q", buf[:n], err, want)
					}
				}
				// Close within Event and Packets waits for nobody.
				s.do = func(pkts []*packet.Buffer) {
					packet.ReleaseBatch(pkts)
					b.SetLinger(0)
					b.Close()
				}
				a.Write([]byte("end"))
				if _, err := a.Read(buf); err != ErrAborted && err != io.EOF {
					t.Errorf("after the end: %v", err)
				}
			})
		})
	}
}

// Raw flows with a cipher or a CRC drop what was changed under way; keepalives
// pass, and keep both ends alive.
func TestRawGuardsPackets(t *testing.T) {
	checked := qos.Raw
	checked.BER = 0
	for _, m := range []mode{
		{"crc", checked, 0, 0},
		{"encrypted", qos.Raw, ours, modes[1].cipher},
		{"encrypted prototype", qos.Raw, 0, modes[3].cipher},
		{"encrypted and crc", checked, ours, modes[1].cipher},
	} {
		t.Run(m.name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				m.qs.Timeout = 800
				bad := path{delay: 5 * ms, corrupt: .5}
				a, b, _, _, done := over(t, m, bad, bad)
				defer done()
				const total = 200
				for i := range total {
					if err := a.Write(append([]byte{byte(i)}, pattern(byte(i), 0, i)...)); err != nil {
						t.Fatal(err)
					}
				}
				time.Sleep(time.Second)
				a.Close()
				got, last := 0, -1
				for buf := make([]byte, wireMTU); ; got++ {
					n, _, err := b.ReadPacket(buf)
					if err != nil {
						if err != io.EOF {
							t.Errorf("end: %v", err)
						}
						break
					}
					if i := int(buf[0]); i <= last || n != 1+i || !bytes.Equal(buf[1:n], pattern(byte(i), 0, i)) {
						t.Errorf("packet %d of %d bytes after %d", i, n, last)
					} else {
						last = i
					}
				}
				if got < total/4 || got > total*3/4 {
					t.Errorf("%d of %d packets came, half were changed", got, total)
				}
			})
			bubble.Test(t, func(t *testing.T) {
				m.qs.Timeout = 800
				bad := path{delay: 5 * ms, corrupt: 1}
				a, b, _, _, done := over(t, m, bad, bad)
				defer done()
				r := drink(b)
				time.Sleep(10 * time.Second)
				blocked(t, r)
				if a.PeerDead() || b.PeerDead() {
					t.Error("dead in spite of keepalives")
				}
				b.SetReadDeadline(time.Now())
				<-r
			})
		})
	}
}

// Encrypted reliable flows treat changed packets as lost ones.
func TestChangedPacketsAreLost(t *testing.T) {
	for _, m := range []mode{modes[1], modes[3]} {
		t.Run(m.name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				bad := path{delay: 5 * ms, corrupt: .1, dup: .05, jitter: 3 * ms}
				a, b, _, _, done := over(t, m, bad, bad)
				defer done()
				wrote := make(chan error, 1)
				go func() {
					err := writeAll(a, 1, 100_000)
					wrote <- errors.Join(err, a.Close())
				}()
				if n, err := readAll(b, 1); n != 100_000 || err != io.EOF && err != ErrAborted {
					t.Errorf("%d bytes, then %v", n, err)
				}
				if err := <-wrote; err != nil {
					t.Error(err)
				}
			})
		})
	}
}

var _ layer.Port = (*wire)(nil)
