// SPDX-License-Identifier: BSD-3-Clause

package poll

import (
	"os"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// pair returns two connected sockets that do not block.
func pair(t testing.TB) (a, b int) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fds[0]); unix.Close(fds[1]) })
	return fds[0], fds[1]
}

func newPoll(t testing.TB) *Poll {
	t.Helper()
	p, err := New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

func add(t testing.TB, p *Poll, fd int, events uint32, id int32) {
	t.Helper()
	if err := p.Add(fd, events, id); err != nil {
		t.Fatal(err)
	}
}

// send sends a byte.
func send(t testing.TB, fd int) {
	if n, err := Send(fd, []byte{1}); n != 1 || err != nil {
		t.Errorf("send: %d, %v", n, err)
	}
}

func TestWaitAndPeek(t *testing.T) {
	p := newPoll(t)
	a, b := pair(t)
	c, d := pair(t)
	add(t, p, a, unix.EPOLLIN, 1)
	add(t, p, c, unix.EPOLLIN, 2)
	var ev [4]unix.EpollEvent
	if n, err := p.Peek(ev[:]); n != 0 || err != nil {
		t.Fatalf("nothing is there: %d, %v", n, err)
	}
	send(t, d)
	for range 2 { // it stays until it is read
		if n, err := p.Wait(ev[:]); n != 1 || err != nil || ev[0].Fd != 2 || ev[0].Events != unix.EPOLLIN {
			t.Fatalf("%d, %v, %+v", n, err, ev[0])
		}
		if n, err := p.Peek(ev[:]); n != 1 || err != nil || ev[0].Fd != 2 {
			t.Fatalf("%d, %v, %+v", n, err, ev[0])
		}
	}
	if n, err := Read(c, make([]byte, 9)); n != 1 || err != nil {
		t.Fatalf("read: %d, %v", n, err)
	}
	if _, err := Read(c, make([]byte, 9)); err != unix.EAGAIN {
		t.Fatalf("read: %v", err)
	}
	send(t, b)
	send(t, d)
	if n, err := p.Wait(ev[:]); n != 2 || err != nil {
		t.Fatalf("%d, %v", n, err)
	}
	if err := p.Remove(a); err != nil {
		t.Fatal(err)
	}
	if n, err := p.Wait(ev[:]); n != 1 || err != nil || ev[0].Fd != 2 {
		t.Fatalf("%d, %v, %+v", n, err, ev[0])
	}
	unix.Close(d)
	if n, err := p.Wait(ev[:]); n != 1 || err != nil || ev[0].Events&unix.EPOLLHUP == 0 {
		t.Fatalf("%d, %v, %+v", n, err, ev[0])
	}
	if _, err := Send(c, []byte{1}); err != unix.EPIPE { // and no signal
		t.Fatalf("send: %v", err)
	}
}

// An armed descriptor is reported once, whenever the event came.
func TestArm(t *testing.T) {
	p := newPoll(t)
	a, b := pair(t)
	const events = unix.EPOLLIN | unix.EPOLLONESHOT
	add(t, p, a, events, 1)
	var ev [2]unix.EpollEvent
	peek := func(want int) {
		t.Helper()
		if n, err := p.Peek(ev[:]); n != want || err != nil || n > 0 && ev[0].Fd != 7 && ev[0].Fd != 1 {
			t.Fatalf("%d, %v, %+v", n, err, ev[0])
		}
	}
	arm := func() {
		t.Helper()
		if err := p.Arm(a, events, 7); err != nil {
			t.Fatal(err)
		}
	}
	send(t, b)
	peek(1)
	peek(0)
	send(t, b)
	peek(0)
	arm()
	peek(1)
	Read(a, make([]byte, 9))
	arm()
	peek(0)
	send(t, b)
	if n, err := p.Wait(ev[:]); n != 1 || err != nil || ev[0].Fd != 7 {
		t.Fatalf("%d, %v, %+v", n, err, ev[0])
	}
	if err := p.Arm(b, events, 7); err == nil {
		t.Error("armed what was never added")
	}
}

// Every event wakes, also edge-triggered ones and those of descriptors that are added
// during the wait.
func TestNoEventIsLost(t *testing.T) {
	for _, mode := range []uint32{unix.EPOLLIN, unix.EPOLLIN | unix.EPOLLET} {
		p, q := newPoll(t), newPoll(t)
		a, b := pair(t)
		c, d := pair(t)
		var done sync.WaitGroup
		const rounds = 5000
		play := func(p *Poll, fd int, begins bool) {
			var ev [2]unix.EpollEvent
			buf := make([]byte, 8)
			if begins {
				send(t, fd)
			}
			for range rounds {
				for {
					if _, err := p.Wait(ev[:]); err != nil {
						t.Error(err)
						return
					}
					if _, err := Read(fd, buf); err == nil {
						break
					}
				}
				send(t, fd)
			}
		}
		done.Go(func() { play(p, a, true) })
		done.Go(func() { play(q, b, false) })
		time.Sleep(time.Millisecond) // both wait by now, or will; either is good
		add(t, p, a, mode, 1)
		add(t, q, b, mode, 1)
		add(t, p, c, mode, 2) // some noise
		send(t, d)
		done.Wait()
	}
}

func TestCloseEndsWait(t *testing.T) {
	before := descriptors(t)
	for range 100 {
		p, err := New()
		if err != nil {
			t.Fatal(err)
		}
		ended := make(chan error)
		go func() {
			var ev [1]unix.EpollEvent
			_, err := p.Wait(ev[:])
			ended <- err
		}()
		if err := p.Close(); err != nil {
			t.Fatal(err)
		}
		if err := <-ended; err == nil {
			t.Fatal("a wait without an event")
		}
		if err := p.Close(); err == nil {
			t.Fatal("closed twice")
		}
	}
	if after := descriptors(t); after > before {
		t.Errorf("%d descriptors, before %d", after, before)
	}
}

func descriptors(t *testing.T) int {
	t.Helper()
	d, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(d)
}

// BenchmarkPingPong is the round trip between two goroutines that wait.
func BenchmarkPingPong(b *testing.B) {
	p, q := newPoll(b), newPoll(b)
	x, y := pair(b)
	add(b, p, x, unix.EPOLLIN, 1)
	add(b, q, y, unix.EPOLLIN, 1)
	b.ReportAllocs()
	var done sync.WaitGroup
	echo := func(p *Poll, fd int) {
		ev, buf := make([]unix.EpollEvent, 2), make([]byte, 8)
		for range b.N {
			p.Wait(ev)
			Read(fd, buf)
			send(b, fd)
		}
	}
	done.Go(func() { echo(p, x) })
	done.Go(func() { echo(q, y) })
	send(b, x)
	done.Wait()
}
