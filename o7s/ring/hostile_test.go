// SPDX-License-Identifier: BSD-3-Clause

package ring

import (
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestJumpToNowhere: a head that moved without a record must not keep the
// reader busy until the end of days.
func TestJumpToNowhere(t *testing.T) {
	a, b := pair(t, Config{Size: MinSize})
	defer a.Close()
	defer b.Close()
	b.out.sh.jump.Store(64)
	b.out.sh.head.Store(64)
	a.SetReadDeadline(time.Now().Add(5 * time.Second))
	if _, _, err := a.Read(make([]byte, 10), nil); !errors.Is(err, ErrCorrupt) {
		t.Errorf("read: %v", err)
	}
}

// flood rings the bell of the other side as hard as it can until stop is
// called.
func flood(e *End) (stop func()) {
	var done atomic.Bool
	var wg sync.WaitGroup
	junk := make([]byte, 64<<10)
	for range 2 {
		wg.Go(func() {
			for !done.Load() {
				unix.Send(e.bell.fd, junk, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
			}
		})
	}
	return func() { done.Store(true); wg.Wait() }
}

// TestFloodedBell: a side that rings without end delays nobody: not the
// deadline of the other side, nor its Close, nor the Poller and the other
// Ends in it, and its own end is seen.
func TestFloodedBell(t *testing.T) {
	a, b := pair(t, Config{Size: MinSize})
	defer b.Close()
	defer flood(b)()
	a.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
	begin := time.Now()
	for range 20 {
		a.Read(make([]byte, 10), nil)
		a.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
	}
	a.Close()
	if d := time.Since(begin); d > 10*time.Second {
		t.Errorf("took %v", d)
	}
}

func TestFloodedBellInPoller(t *testing.T) {
	p, err := NewPoller()
	if err != nil {
		t.Fatal(err)
	}
	bad, badPeer := pair(t, Config{Size: MinSize})
	good, goodPeer := pair(t, Config{Size: MinSize})
	defer bad.Close()
	defer good.Close()
	defer goodPeer.Close()
	stop := flood(badPeer)
	ended := make(chan error, 1)
	err = p.Add(bad, func() {
		if _, _, err := bad.Read(make([]byte, 10), NoWait); errors.Is(err, io.EOF) {
			select {
			case ended <- err:
			default:
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	got := make(chan struct{}, 100)
	err = p.Add(good, func() {
		if _, _, err := good.Read(make([]byte, 10), NoWait); err == nil {
			got <- struct{}{}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	limit := time.After(20 * time.Second)
	for n := range 20 {
		if err := goodPeer.Write([]byte("x"), nil); err != nil {
			t.Fatal(err)
		}
		select {
		case <-got:
		case <-limit:
			t.Fatalf("packet %d did not arrive", n)
		}
	}
	stop()
	badPeer.Close()
	select {
	case <-ended:
	case <-limit:
		t.Fatal("the end of the hostile side was not seen")
	}
	p.Close()
}
