// SPDX-License-Identifier: BSD-3-Clause

package flow

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"o7gw/o7s/bubble"
	"o7gw/o7s/frcp"
	"o7gw/o7s/layer"
	"o7gw/o7s/qos"
)

var clean = path{delay: 5 * ms}

// onModes runs a test in every mode over a clean path.
func onModes(t *testing.T, ms []mode, f func(t *testing.T, m mode, a, b *Flow, wa *wire)) {
	for _, m := range ms {
		t.Run(m.name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				a, b, wa, _, done := over(t, m, clean, clean)
				defer done()
				f(t, m, a, b, wa)
			})
		})
	}
}

// flood writes until an error, which the channel brings.
func flood(f *Flow) <-chan error {
	c := make(chan error, 1)
	go func() {
		for p := make([]byte, 1000); ; {
			if err := f.Write(p); err != nil {
				c <- err
				return
			}
		}
	}()
	return c
}

// drink reads until an error, which the channel brings.
func drink(f *Flow) <-chan error {
	c := make(chan error, 1)
	go func() {
		for p := make([]byte, 2000); ; {
			if _, err := f.Read(p); err != nil {
				c <- err
				return
			}
		}
	}()
	return c
}

func blocked(t *testing.T, c <-chan error) {
	t.Helper()
	select {
	case err := <-c:
		t.Fatalf("did not wait: %v", err)
	default:
	}
}

func TestLayerEndsWithoutEndOfData(t *testing.T) {
	onModes(t, modes, func(t *testing.T, m mode, a, b *Flow, wa *wire) {
		if err := writeAll(a, 1, 30_000); err != nil {
			t.Fatal(err)
		}
		w := flood(b) // a does not read
		time.Sleep(time.Second)
		blocked(t, w)
		wa.Close()
		time.Sleep(time.Second)
		if err := <-w; err != ErrPeerClosed {
			t.Errorf("writer: %v", err)
		}
		if n, err := readAll(b, 1); n != 30_000 || err != ErrAborted || !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("reader: %d bytes, then %v", n, err)
		}
		if !b.PeerClosed() {
			t.Error("not marked as closed")
		}
		if err := b.Close(); !errors.Is(err, ErrUnsent) {
			t.Errorf("close: %v", err)
		}
	})
}

func TestLayerEndsUnderBlockedReader(t *testing.T) {
	onModes(t, append([]mode{{"best", qos.Best, ours, 0}}, modes...), func(t *testing.T, m mode, a, b *Flow, wa *wire) {
		r := drink(b)
		time.Sleep(time.Second)
		blocked(t, r)
		wa.Close()
		want := ErrAborted
		if !m.qs.Reliable() {
			want = io.EOF
		}
		if err := <-r; err != want {
			t.Errorf("reader: %v, want %v", err, want)
		}
	})
}

func TestCloseWakesCalls(t *testing.T) {
	onModes(t, modes, func(t *testing.T, _ mode, a, b *Flow, _ *wire) {
		w, r := flood(b), drink(b)
		time.Sleep(time.Second)
		blocked(t, w)
		blocked(t, r)
		begin := time.Now()
		closed := make(chan error, 1)
		go func() { closed <- b.Close() }()
		if err := <-w; !errors.Is(err, net.ErrClosed) {
			t.Errorf("writer: %v", err)
		}
		if err := <-r; !errors.Is(err, net.ErrClosed) {
			t.Errorf("reader: %v", err)
		}
		if d := time.Since(begin); d != 0 {
			t.Errorf("calls waited %v", d)
		}
		// a reads nothing: Close gives up.
		if err := <-closed; !errors.Is(err, ErrUnsent) {
			t.Errorf("close: %v", err)
		}
		if d := time.Since(begin); d < defaultLinger || d > defaultLinger+10*time.Second {
			t.Errorf("close took %v", d)
		}
		if err := b.Close(); err != nil {
			t.Errorf("second close: %v", err)
		}
	})
}

// A Close that waits goes on as long as the peer takes something.
func TestCloseWaitsForSlowPeer(t *testing.T) {
	onModes(t, modes, func(t *testing.T, m mode, a, b *Flow, _ *wire) {
		const packets = 300
		for range packets {
			if err := b.Write(make([]byte, 1000)); err != nil {
				t.Fatal(err)
			}
		}
		b.SetLinger(20 * time.Second)
		closed := make(chan error, 1)
		go func() { closed <- b.Close() }()
		buf := make([]byte, 1000)
		for i := range packets {
			if n, err := a.Read(buf); n != 1000 || err != nil {
				t.Fatalf("packet %d: %d %v", i, n, err)
			}
			time.Sleep(time.Second / 2)
		}
		if err := <-closed; err != nil {
			t.Errorf("close: %v", err)
		}
	})
}

func TestDeadlinesWakeCalls(t *testing.T) {
	onModes(t, modes, func(t *testing.T, _ mode, a, b *Flow, _ *wire) {
		w, r := flood(b), drink(b)
		time.Sleep(time.Second)
		begin := time.Now()
		b.SetReadDeadline(begin.Add(time.Second))
		b.SetWriteDeadline(begin.Add(2 * time.Second))
		if err := <-r; !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(begin) != time.Second {
			t.Errorf("reader: %v after %v", err, time.Since(begin))
		}
		if err := <-w; !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(begin) != 2*time.Second {
			t.Errorf("writer: %v after %v", err, time.Since(begin))
		}
		// The write deadline limits Close, too.
		b.SetWriteDeadline(time.Now().Add(3 * time.Second))
		begin = time.Now()
		if err := b.Close(); !errors.Is(err, ErrUnsent) || !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(begin) != 3*time.Second {
			t.Errorf("close: %v after %v", err, time.Since(begin))
		}
	})
}

func TestNoLinger(t *testing.T) {
	onModes(t, modes, func(t *testing.T, _ mode, a, b *Flow, _ *wire) {
		begin := time.Now()
		a.SetLinger(0)
		a.Write([]byte("x"))
		if err := a.Close(); !errors.Is(err, ErrUnsent) || time.Since(begin) != 0 {
			t.Errorf("just written: %v after %v", err, time.Since(begin))
		}
	})
	onModes(t, modes, func(t *testing.T, _ mode, a, b *Flow, _ *wire) {
		a.Write([]byte("x"))
		time.Sleep(5 * time.Second) // acknowledged
		a.SetLinger(0)
		if err := a.Close(); err != nil {
			t.Errorf("delivered: %v", err)
		}
	})
}

func TestHalfClose(t *testing.T) {
	onModes(t, modes[:2], func(t *testing.T, _ mode, a, b *Flow, _ *wire) {
		if err := writeAll(a, 1, 5000); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := a.CloseWrite(); err != nil {
				t.Fatal(err)
			}
		}
		if n, err := readAll(b, 1); n != 5000 || err != io.EOF {
			t.Errorf("%d bytes, then %v", n, err)
		}
		if _, err := a.WriteStream(make([]byte, 5000)); err != ErrFinished {
			t.Errorf("write: %v", err)
		}
		time.Sleep(time.Minute)
		wrote := make(chan error, 1)
		go func() {
			if err := writeAll(b, 2, 50_000); err != nil {
				wrote <- err
			}
			wrote <- b.Close()
		}()
		if n, err := readAll(a, 2); n != 50_000 || err != io.EOF {
			t.Errorf("other way: %d bytes, then %v", n, err)
		}
		if err := <-wrote; err != nil {
			t.Error(err)
		}
	})
}

func TestHalfCloseOnlyBetweenOurs(t *testing.T) {
	onModes(t, append([]mode{{"best", qos.Best, ours, 0}}, modes[2:]...), func(t *testing.T, _ mode, a, _ *Flow, _ *wire) {
		if err := a.CloseWrite(); !errors.Is(err, layer.ErrNotSupported) {
			t.Error(err)
		}
		if err := a.Write([]byte("x")); err != nil {
			t.Error(err)
		}
	})
}

// Flows that lose packets say so when the layer cannot carry any; reliable
// ones wait.
func TestDown(t *testing.T) {
	weak := []mode{{"raw", qos.Raw, ours, 0}, {"raw encrypted", qos.Raw, ours, modes[1].cipher}, {"best", qos.Best, ours, 0}}
	onModes(t, weak, func(t *testing.T, _ mode, a, b *Flow, wa *wire) {
		r := drink(b)
		time.Sleep(time.Second)
		wa.tell(layer.Down)
		if err := <-r; !errors.Is(err, ErrDown) || !b.Down() {
			t.Errorf("reader: %v", err)
		}
		if err := b.Write([]byte("x")); !errors.Is(err, ErrDown) {
			t.Errorf("writer: %v", err)
		}
		wa.tell(layer.Up)
		time.Sleep(time.Second)
		if err := a.Write([]byte("up")); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 10)
		if n, err := b.Read(buf); string(buf[:n]) != "up" || err != nil {
			t.Errorf("after: %q %v", buf[:n], err)
		}
		if err := b.Write([]byte("x")); err != nil {
			t.Errorf("after: %v", err)
		}
	})
	onModes(t, modes, func(t *testing.T, _ mode, a, b *Flow, wa *wire) {
		wa.tell(layer.Down)
		time.Sleep(time.Second)
		r, w := drink(b), flood(b)
		time.Sleep(time.Second)
		blocked(t, r)
		blocked(t, w)
		wa.tell(layer.Up)
		if err := a.Write([]byte("x")); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Second)
		blocked(t, r)
		b.SetLinger(0)
		b.Close()
	})
}

// A writer waits for a slow reader; what waits is bounded, and nothing is lost.
func TestSlowReader(t *testing.T) {
	onModes(t, modes, func(t *testing.T, _ mode, a, b *Flow, _ *wire) {
		a.SetNonblock(false, true)
		n := 0
		var err error
		for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); {
			if err = a.Write(pattern(1, n*1000, 1000)); err != nil {
				if err != ErrWouldBlock {
					t.Fatal(err)
				}
				time.Sleep(time.Second)
				continue
			}
			n++
		}
		if s := a.Stats(); n < 100 || n > 2*frcp.DefaultQueue+2048 || s.FRCP.Flying > n {
			t.Errorf("%d packets taken", n)
		}
		a.SetNonblock(false, false)
		rest := make(chan error, 1)
		go func() {
			if err := writeAll(a, 2, 100_000); err != nil {
				rest <- err
			}
			rest <- a.Close()
		}()
		buf := make([]byte, 1000)
		for i := range n {
			if got, err := b.Read(buf); err != nil || !bytes.Equal(buf[:got], pattern(1, i*1000, 1000)) {
				t.Fatalf("packet %d: %d bytes, %v", i, got, err)
			}
			if i%10 == 0 {
				time.Sleep(100 * ms)
			}
		}
		if got, err := readAll(b, 2); got != 100_000 || err != io.EOF && err != ErrAborted {
			t.Errorf("%d bytes, then %v", got, err)
		}
		if err := <-rest; err != nil {
			t.Error(err)
		}
	})
}
