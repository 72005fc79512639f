// SPDX-License-Identifier: BSD-3-Clause

// Package poll lets a goroutine wait for several descriptors, with as little as
// possible between an event and the goroutine (DESIGN §3: count the wake-ups).
//
// A goroutine that blocks in a system call of its own, in poll(2) say, gives
// its processor of the Go scheduler away. When all of them are idle, which is
// the rule between the packets of a quiet flow, its return wakes the monitor
// thread of the runtime, too, as does any ordinary system call after that, and
// the monitor then looks around every 20 µs for milliseconds. Of a ping
// through two daemons that was a fifth of the round trip. A goroutine that
// sleeps in the runtime's poller and then makes raw system calls wakes nobody.
//
// On a busy flow the monitor is awake anyway, and the way back from a system
// call of one's own is shorter: who waits for less than Short blocks in poll(2),
// having called Watch, since he may have been the one who watched the runtime's
// poller, and it takes the monitor 10 ms to notice that nobody does. Who works
// without a pause calls Watch as well.
//
// Start with New, Poll.Add and Poll.Wait. Calls that do not block are in
// raw.go.
package poll

import (
	"fmt"
	"os"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Poll is an epoll descriptor that is itself in the runtime's poller. Wait is
// for one goroutine at a time, the other methods are for any.
type Poll struct {
	fd   int
	file *os.File // the same descriptor
	conn syscall.RawConn

	// Used by Wait.
	events []unix.EpollEvent
	n      int
	err    error
	slept  bool
	look   func(uintptr) bool
}

// New returns an empty Poll.
func New() (*Poll, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create", err)
	}
	// Else it does not go into the runtime's poller.
	if err := unix.SetNonblock(fd, true); err != nil {
		unix.Close(fd)
		return nil, os.NewSyscallError("fcntl", err)
	}
	p := &Poll{fd: fd, file: os.NewFile(uintptr(fd), "epoll")}
	if p.conn, err = p.file.SyscallConn(); err != nil {
		p.file.Close()
		return nil, fmt.Errorf("poll: %w", err)
	}
	p.look = func(uintptr) bool {
		p.n, p.err = rawEpollWait(p.fd, p.events)
		done := p.n > 0 || p.err != nil
		if !done {
			p.slept = true
			unwatched.Store(false)
		}
		return done
	}
	return p, nil
}

// Add watches a descriptor for events, EPOLLIN and so on, which are reported
// with id.
func (p *Poll) Add(fd int, events uint32, id int32) error {
	return p.control(unix.EPOLL_CTL_ADD, fd, unix.EpollEvent{Events: events, Fd: id})
}

// control is a raw system call, for it never waits.
func (p *Poll) control(op, fd int, ev unix.EpollEvent) error {
	_, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_CTL, uintptr(p.fd), uintptr(op), uintptr(fd), uintptr(unsafe.Pointer(&ev)), 0, 0)
	if errno != 0 {
		return os.NewSyscallError("epoll_ctl", errno)
	}
	return nil
}

// Arm is for a descriptor that was added with EPOLLONESHOT: its next event is
// reported, also if it is there already, and then none until the next Arm. So
// it does not disturb the runtime's poller while it is waited for in another way.
func (p *Poll) Arm(fd int, events uint32, id int32) error {
	return p.control(unix.EPOLL_CTL_MOD, fd, unix.EpollEvent{Events: events, Fd: id})
}

// Remove ends that.
func (p *Poll) Remove(fd int) error {
	return p.control(unix.EPOLL_CTL_DEL, fd, unix.EpollEvent{})
}

// Wait waits until there are events, and stores them. It returns how many.
func (p *Poll) Wait(events []unix.EpollEvent) (int, error) {
	p.events, p.slept = events, false
	if err := p.conn.Read(p.look); err != nil {
		return 0, fmt.Errorf("poll: %w", err)
	}
	if p.slept {
		unwatched.Store(true)
	}
	return p.n, p.err
}

// Peek is Wait without waiting, for who is busy. It makes an ordinary system
// call, so that the monitor of the runtime is awake meanwhile.
func (p *Poll) Peek(events []unix.EpollEvent) (int, error) {
	n, err := unix.EpollWait(p.fd, events, 0)
	if err == unix.EINTR {
		return 0, nil
	}
	return max(n, 0), os.NewSyscallError("epoll_wait", err)
}

// Close gives the descriptor back, and ends a Wait.
func (p *Poll) Close() error { return p.file.Close() }

// unwatched is set when a goroutine goes on that had slept in a Wait: its
// thread has probably been the one that watched the runtime's poller. Who goes
// to sleep leaves the thread to watch. It is a guess, since the scheduler does not
// tell: a wrong one costs a wake-up, or the 10 ms after which the monitor looks.
var unwatched atomic.Bool

// Watch makes somebody watch the runtime's poller, unless somebody does, while
// the caller goes on without a wait. Call it when the work has turned out to be
// more than a moment's.
func Watch() {
	if unwatched.Load() && unwatched.Swap(false) {
		go nothing() // the thread that runs it watches afterwards
	}
}

func nothing() {}

// WatchAfter is how many rounds of work without a wait make a reader of
// packets busy: it calls Watch, and makes ordinary system calls from then on.
const WatchAfter = 3

// Short is what a wait for packets lasts if the next one will be short, too:
// its goroutine is better off in poll(2), whose way back is shorter.
const Short = 200 * time.Microsecond
