// SPDX-License-Identifier: BSD-3-Clause

package ring

import (
	"errors"
	"fmt"
	"io"
	"testing"
	"time"
)

// keeping returns both Ends of a ring and what Close of each leaves.
func keeping(t *testing.T) (a, b *End, left [2]chan *Kept) {
	t.Helper()
	a, files, err := NewEnd(Config{Size: MinSize})
	if err != nil {
		t.Fatal(err)
	}
	if b, err = Open(files); err != nil {
		t.Fatal(err)
	}
	return a, b, keep(a, b)
}

func keep(a, b *End) (left [2]chan *Kept) {
	for i, e := range []*End{a, b} {
		c := make(chan *Kept, 1)
		e.Keep(func(k *Kept) { c <- k })
		left[i] = c
	}
	return left
}

func taken(t *testing.T, c chan *Kept) *Kept {
	t.Helper()
	select {
	case k := <-c:
		return k
	case <-time.After(10 * time.Second):
		t.Fatal("nothing is left of the End")
		return nil
	}
}

// TestKeptRing: one memory and bell serve one flow after the other, whichever side
// closes first, and whatever the flow was like.
func TestKeptRing(t *testing.T) {
	a, b, left := keeping(t)
	poller, err := NewPoller()
	if err != nil {
		t.Fatal(err)
	}
	defer poller.Close()
	buf := make([]byte, 100)
	for n := range 50 {
		// Nothing is left of the flow before.
		if a.Readable() || b.Readable() || a.PeerClosed() || b.PeerClosed() || a.Down() || b.PeerFinished() || b.Stats() != (Stats{}) {
			t.Fatalf("flow %d begins with %+v", n, b.Stats())
		}
		ends := make(chan error, 1)
		if n%3 == 2 { // the reader is a Poller
			said := false
			err := poller.Add(b, func() {
				if _, _, err := b.Read(buf, NoWait); err != nil && err != ErrWouldBlock && err != ErrDown && !said {
					said = true
					ends <- err
				}
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		for k := range n % 5 {
			if err := a.Write(fmt.Append(nil, n, k), nil); err != nil {
				t.Fatal(err)
			}
			if n%3 == 2 {
				continue
			}
			if m, _, err := b.Read(buf, nil); string(buf[:m]) != string(fmt.Append(nil, n, k)) || err != nil {
				t.Fatalf("flow %d: %q %v", n, buf[:m], err)
			}
		}
		switch {
		case n%7 == 3:
			b.Write([]byte("nobody reads it"), nil)
			a.SetDown(true)
			a.SetDown(false)
		case n%7 == 4:
			a.Finish()
		}
		if n%3 != 2 { // a call that waits
			go func() {
				for {
					if _, _, err := b.Read(buf, nil); err != nil && err != ErrDown {
						ends <- err
						return
					}
				}
			}()
			if n%2 == 0 {
				time.Sleep(time.Millisecond)
			}
		}
		a.Close()
		if err := <-ends; !errors.Is(err, io.EOF) {
			t.Fatalf("flow %d ends with %v", n, err)
		}
		b.Close()
		ka, kb := taken(t, left[0]), taken(t, left[1])
		if err := a.Write(buf, nil); err != ErrClosed {
			t.Fatalf("write after Close: %v", err)
		}
		a = ka.Renew()
		b = kb.Open()
		left = keep(a, b)
	}
	a.Close()
	b.Close()
	for _, c := range left {
		taken(t, c).Close()
	}
}

// TestNotKept: what is left of these is of no more use, and goes.
func TestNotKept(t *testing.T) {
	for what, spoil := range map[string]func(a, b *End){
		"carried much": func(a, b *End) {
			for range maxKept/1000 + 1 {
				a.Write(make([]byte, 1000), nil)
				b.Read(make([]byte, 1000), nil)
			}
		},
		"corrupt": func(a, b *End) {
			a.out.sh.head.Store(7)
			b.Read(make([]byte, 1), NoWait)
		},
	} {
		t.Run(what, func(t *testing.T) {
			a, b, left := keeping(t)
			spoil(a, b)
			b.Close()
			a.bell.drain() // it has seen the hang-up
			a.Close()
			for _, c := range left {
				select {
				case <-c:
					t.Error("kept")
				default:
				}
			}
		})
	}
}
