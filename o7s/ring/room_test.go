// SPDX-License-Identifier: BSD-3-Clause

package ring

import (
	"errors"
	"io"
	"testing"

	"o7gw/o7s/packet"
)

// A Port that fills its ring is told when the other side has read, and sends
// everything without a loss.
func TestRoom(t *testing.T) {
	a, b := pair(t, Config{Size: MinSize})
	p, err := NewPoller()
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	const size, total = 1000, 2000
	room := make(chan struct{}, 1)
	q := NewPort(a, p)
	q.OnRoom(func() {
		select {
		case room <- struct{}{}:
		default:
		}
	})
	q.Receive(collector{make(chan int, 1)})
	defer q.Close()
	read := make(chan int)
	reader := func() {
		n := 0
		for ; n < total; n++ {
			if _, _, err := b.Read(make([]byte, size), nil); err != nil {
				t.Error(err)
				break
			}
		}
		read <- n
	}
	waits := 0
	for sent := 0; sent < total; {
		n := q.Room(size, 2, 32)
		if n == 0 {
			if waits++; waits == 1 {
				go reader()
			}
			<-room
			continue
		}
		n = min(n, total-sent)
		pkts := make([]*packet.Buffer, n)
		for i := range pkts {
			pkts[i] = packet.Get(size)
			pkts[i].Append(pattern(sent+i, size))
		}
		q.Copy(pkts)
		packet.ReleaseBatch(pkts)
		sent += n
	}
	if n := <-read; n != total || q.Dropped() != 0 {
		t.Errorf("read %d of %d, dropped %d", n, total, q.Dropped())
	}
}

// After Finish the other side reads what was written and then the end, and can
// still write.
func TestFinish(t *testing.T) {
	a, b := pair(t, Config{})
	asleep := make(chan error, 1)
	go func() {
		for range 2 {
			if _, _, err := b.Read(make([]byte, 10), nil); err != nil {
				asleep <- err
				return
			}
		}
		_, _, err := b.Read(make([]byte, 10), nil)
		asleep <- err
	}()
	for range 2 {
		if err := a.Write([]byte("x"), nil); err != nil {
			t.Fatal(err)
		}
	}
	a.Finish()
	if err := <-asleep; err != io.EOF {
		t.Errorf("reader got %v, want io.EOF", err)
	}
	if !b.PeerFinished() || b.PeerClosed() || a.PeerFinished() {
		t.Error("the sides do not agree about the end")
	}
	if err := a.Write([]byte("x"), nil); !errors.Is(err, ErrFinished) {
		t.Errorf("write after Finish: %v", err)
	}
	if err := b.Write([]byte("y"), nil); err != nil {
		t.Fatal(err)
	}
	var p [1]byte
	if n, _, err := a.Read(p[:], nil); n != 1 || err != nil {
		t.Errorf("read %d bytes, %v", n, err)
	}
}
