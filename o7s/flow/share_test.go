// SPDX-License-Identifier: BSD-3-Clause

package flow

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"o7gw/o7s/layer"
	"o7gw/o7s/packet"
)

// ringPairs returns flows over rings, all first ends on one Host and all
// second ends on another, in turn of the modes.
func ringPairs(t *testing.T, n int, ms []mode) (a, b []*Flow) {
	t.Helper()
	ha, hb := NewHost(), NewHost()
	for i := range n {
		m := ms[i%len(ms)]
		aa, ab := attachments(t, "ring", m.qs)
		for _, x := range []struct {
			at *Attachment
			h  *Host
			to *[]*Flow
		}{{aa, ha, &a}, {ab, hb, &b}} {
			x.at.MTU, x.at.MPL = wireMTU, time.Second
			x.at.Terms = Terms{Server: x.at == ab, PeerCaps: m.caps, Cipher: m.cipher}
			if m.cipher != 0 {
				x.at.Key = []byte("0123456789abcdef0123456789abcdef")
			}
			f, err := New(x.at, x.h)
			if err != nil {
				t.Fatal(err)
			}
			f.SetReadDeadline(time.Now().Add(30 * time.Second))
			f.SetWriteDeadline(time.Now().Add(30 * time.Second))
			*x.to = append(*x.to, f)
		}
	}
	t.Cleanup(func() {
		for i := range a {
			a[i].SetLinger(0)
			b[i].SetLinger(0)
			a[i].Close()
			b[i].Close()
		}
		ha.Close()
		hb.Close()
	})
	return a, b
}

// Many calls that wait share the work of one Poller, and all get on.
func TestManyFlowsOfOneHost(t *testing.T) {
	const total = 100_000
	a, b := ringPairs(t, 8, modes[:2])
	var all sync.WaitGroup
	for i := range a {
		for side, f := range []*Flow{a[i], b[i]} {
			mine, other := byte(2*i+side), byte(2*i+1-side)
			all.Go(func() {
				var w sync.WaitGroup
				w.Go(func() {
					if err := writeAll(f, mine, total); err != nil {
						t.Error(err)
					}
					if err := f.CloseWrite(); err != nil {
						t.Error(err)
					}
				})
				if n, err := readAll(f, other); n != total || err != io.EOF {
					t.Errorf("flow %d, side %d: %d of %d bytes, then %v", i, side, n, total, err)
				}
				w.Wait()
				if err := f.Close(); err != nil {
					t.Errorf("flow %d, side %d: close: %v", i, side, err)
				}
			})
		}
	}
	all.Wait()
}

// Readers that wait for nothing, and writers that wait for room, keep nobody
// else of their Host from getting on; deadlines and Close reach them.
func TestIdleCallsHelpOthers(t *testing.T) {
	a, b := ringPairs(t, 6, modes[:2])
	readers := []<-chan error{drink(a[0]), drink(a[1])}
	writers := []<-chan error{flood(a[2]), flood(a[3])}
	// Two flows play ping-pong meanwhile.
	var all sync.WaitGroup
	for _, i := range []int{4, 5} {
		all.Go(func() {
			buf := make([]byte, 100)
			for {
				n, err := b[i].Read(buf)
				if err == nil {
					err = b[i].Write(buf[:n])
				}
				if err != nil {
					if err != io.EOF {
						t.Errorf("echo of flow %d: %v", i, err)
					}
					return
				}
			}
		})
		all.Go(func() {
			buf := make([]byte, 100)
			for k := range 300 {
				want := fmt.Sprint(k)
				if err := a[i].Write([]byte(want)); err != nil {
					t.Errorf("flow %d: %v", i, err)
					return
				}
				if n, err := a[i].Read(buf); string(buf[:n]) != want || err != nil {
					t.Errorf("flow %d: %q %v, want %q", i, buf[:n], err, want)
					return
				}
			}
			if err := a[i].Close(); err != nil {
				t.Errorf("flow %d: close: %v", i, err)
			}
		})
	}
	all.Wait()
	for _, c := range append(readers, writers...) {
		blocked(t, c)
	}
	a[0].SetReadDeadline(time.Now().Add(5 * time.Millisecond))
	if err := <-readers[0]; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("reader: %v", err)
	}
	a[2].SetWriteDeadline(time.Now().Add(5 * time.Millisecond))
	if err := <-writers[0]; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("writer: %v", err)
	}
	for i, c := range []<-chan error{readers[1], writers[1]} {
		f := a[1+2*i]
		f.SetLinger(0)
		f.Close()
		if err := <-c; !errors.Is(err, net.ErrClosed) {
			t.Errorf("call %d: %v", i, err)
		}
	}
}

// A peer that closes its end of the ring without the end of data ends the calls
// that wait.
func TestRingEndsWithoutEndOfData(t *testing.T) {
	a, b := ringPairs(t, 2, modes[:2])
	for i := range a {
		r, w := drink(a[i]), flood(a[i])
		time.Sleep(20 * time.Millisecond)
		blocked(t, r)
		blocked(t, w)
		b[i].SetLinger(0)
		b[i].Close()
		if err := <-r; err != ErrAborted {
			t.Errorf("reader: %v", err)
		}
		if err := <-w; err != ErrPeerClosed {
			t.Errorf("writer: %v", err)
		}
	}
}

// A receiver closes a flow of its own Host on which a call waits: the call
// might be the one that does the Poller's work and calls the receiver.
func TestReceiverClosesFlowOfBlockedCalls(t *testing.T) {
	for _, m := range modes[:2] {
		t.Run(m.name, func(t *testing.T) {
			a, b := ringPairs(t, 3, []mode{m})
			r, w := drink(a[1]), flood(a[2]) // before there is a receiver
			time.Sleep(5 * time.Millisecond)
			s := newSink()
			s.do = func(pkts []*packet.Buffer) {
				packet.ReleaseBatch(pkts)
				for _, f := range a[1:] {
					f.SetLinger(0)
					f.Close()
				}
			}
			if err := a[0].Receive(s); err != nil {
				t.Fatal(err)
			}
			if err := b[0].Write([]byte("x")); err != nil {
				t.Fatal(err)
			}
			for _, c := range []<-chan error{r, w} {
				select {
				case err := <-c:
					if !errors.Is(err, net.ErrClosed) {
						t.Error(err)
					}
				case <-time.After(10 * time.Second):
					t.Fatal("waits for ever")
				}
			}
			if err := b[0].Close(); err != nil {
				t.Error(err)
			}
			if got := s.wait(t); len(got) != 2 || got[1] != layer.Closed.String() {
				t.Errorf("got %q", got)
			}
		})
	}
}
