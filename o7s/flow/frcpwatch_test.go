// SPDX-License-Identifier: BSD-3-Clause

package flow

import (
	"testing"
	"time"

	"o7gw/o7s/ring"
)

// watchAll watches the flow until the test ends and says for each condition, one
// after the other, when it holds: do makes it come true after the watcher has seen
// that it does not. Nothing but the watch wakes the one who looks.
func watchAll(t *testing.T, f *Flow, steps []watchStep) {
	t.Helper()
	set, err := ring.NewSet()
	if err != nil {
		t.Fatal(err)
	}
	defer set.Close()
	called := make(chan struct{}, 1)
	if err := f.Watch(set, func() {
		select {
		case called <- struct{}{}:
		default:
		}
	}); err != nil {
		t.Fatal(err)
	}
	defer f.Unwatch(set)
	quit, turning := make(chan struct{}), make(chan struct{})
	go func() { // who watches is another goroutine than those that change the flow
		defer close(turning)
		for {
			select {
			case <-quit:
				return
			default:
				set.Turn(true)
				f.Resume(set)
			}
		}
	}()
	defer func() {
		close(quit)
		set.Wake()
		<-turning
	}()
	for _, s := range steps {
		if s.holds() {
			t.Fatalf("%s already", s.what)
		}
		s.do()
		for limit := time.After(10 * time.Second); !s.holds(); {
			select {
			case <-called:
			case <-limit:
				t.Fatalf("never told: %s", s.what)
			}
		}
	}
}

type watchStep struct {
	what  string
	do    func()
	holds func() bool
}

// TestWatchFRCP: whoever watches a flow with FRCP is told of packets, which come
// through the state machine, and of the end, on rings and ports.
func TestWatchFRCP(t *testing.T) {
	check := func(t *testing.T, a, b *Flow) {
		buf := make([]byte, 100)
		read := func() {
			for b.Unread() {
				if _, _, err := b.ReadPacket(buf); err != nil {
					t.Error(err)
					return
				}
			}
		}
		write := func(n int) func() {
			return func() {
				for range n {
					if err := a.Write([]byte("x")); err != nil {
						t.Error(err)
					}
				}
			}
		}
		watchAll(t, b, []watchStep{
			{"a packet", write(1), func() bool {
				there := b.Unread()
				read()
				return there
			}},
			{"more than a reader takes at a time", write(3 * stage), b.Unread},
			{"the end of data", func() {
				if err := a.CloseWrite(); err != nil {
					t.Error(err)
				}
			}, func() bool {
				read() // the end is behind the packets
				return b.PeerClosed()
			}},
		})
	}
	t.Run("ring", func(t *testing.T) {
		a, b := ringPairs(t, 2, modes[:2])
		for i := range a {
			check(t, a[i], b[i])
		}
	})
	t.Run("port", func(t *testing.T) {
		for _, m := range modes[:2] {
			a, b, _, _, done := over(t, m, clean, clean)
			check(t, a, b)
			done()
		}
	})
}
