// SPDX-License-Identifier: BSD-3-Clause

//go:build linux

// Package tun is the virtual network device of a tunnel: IP packets between
// the kernel and packet buffers, in batches (DESIGN §3, §6).
//
// golang.zx2c4.com/wireguard/tun sets the device up; this package waits as
// package poll advises and reads with raw system calls, which saves wake-ups,
// splits the kernel's large segments,
// and writes with writev(2), so that segments that follow each other reach
// the kernel as one large packet without being copied together.
//
// Start with Open; Device.Read for one goroutine, one Writer per goroutine
// that writes, Link for addresses, MTU and routes.
package tun

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	wgtun "golang.zx2c4.com/wireguard/tun"

	"o7gw/o7s/packet"
	"o7gw/o7s/poll"
)

// clonePath is the device node that makes TUN devices.
const clonePath = "/dev/net/tun"

// MaxMTU is the largest MTU, in bytes, of a device: what fits a packet
// buffer and the length field of IP.
const MaxMTU = 65535

// readRoom is how many buffers Read wants at least: a large segment of the
// kernel becomes that many packets.
const readRoom = 128

// Device is a TUN device. It disappears with Close.
type Device struct {
	name string
	dev  wgtun.Device
	fd   int // of dev's file, which outlives every use: see Close
	stop int // eventfd: readable once Close was called
	uso  bool

	room      atomic.Int32 // bytes that buffers given to Read must take
	malformed atomic.Uint64

	in     *poll.Poll // of both, for Wait
	events [2]unix.EpollEvent
	busy   bool // the last Wait was short

	message []byte // for what Read reads
	rounds  int    // reads since the last Wait
	turns   poll.Turns
	look    func() bool // peek

	closed  sync.Once
	users   sync.RWMutex // read-locked around each use of fd
	gone    bool         // under users
	watcher sync.WaitGroup
}

// Open creates the device, down and without addresses. name may hold a %d for
// the kernel to number, mtu is in bytes. It needs CAP_NET_ADMIN in the
// network namespace.
func Open(name string, mtu int) (*Device, error) {
	f, err := create(name)
	if err != nil {
		return nil, fmt.Errorf("open TUN device %q: %w", name, err)
	}
	dev, err := wgtun.CreateTUNFromFile(f, mtu)
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("open TUN device %q: %w", name, err)
	}
	d := &Device{dev: dev, message: make([]byte, readLen)}
	d.look = d.peek
	d.room.Store(int32(mtu))
	// The file is not in the runtime's poller, since it was blocking when it
	// was wrapped; non-blocking now means: EAGAIN is an error of Read.
	d.fd = int(f.Fd())
	if err = unix.SetNonblock(d.fd, true); err == nil {
		err = d.watchable()
	}
	if err != nil {
		dev.Close()
		return nil, fmt.Errorf("open TUN device %q: %w", name, err)
	}
	if d.name, err = dev.Name(); err != nil {
		dev.Close()
		d.unwatch()
		return nil, fmt.Errorf("open TUN device %q: %w", name, err)
	}
	// The same offloads that wireguard/tun has set; it does not tell whether
	// the kernel took those for UDP (Linux 6.2 and later).
	d.uso = unix.IoctlSetInt(d.fd, unix.TUNSETOFFLOAD, unix.TUN_F_CSUM|
		unix.TUN_F_TSO4|unix.TUN_F_TSO6|unix.TUN_F_USO4|unix.TUN_F_USO6) == nil
	d.watcher.Add(1)
	go d.watch()
	return d, nil
}

// watchable makes what Wait needs.
func (d *Device) watchable() (err error) {
	if d.stop, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return err
	}
	if d.in, err = poll.New(); err != nil {
		unix.Close(d.stop)
		return err
	}
	err = errors.Join(d.in.Add(d.fd, unix.EPOLLIN|unix.EPOLLONESHOT, packetsID), d.in.Add(d.stop, unix.EPOLLIN, stopID))
	if err != nil {
		d.unwatch()
	}
	return err
}

// unwatch undoes watchable.
func (d *Device) unwatch() {
	d.in.Close()
	unix.Close(d.stop)
}

// create opens the clone device and attaches it, leaving the file blocking.
func create(name string) (*os.File, error) {
	fd, err := unix.Open(clonePath, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", clonePath, err)
	}
	ifr, err := unix.NewIfreq(name)
	if err == nil {
		ifr.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI | unix.IFF_VNET_HDR)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, ifr)
	}
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), clonePath), nil
}

// watch takes the events of wireguard/tun, which would block without a
// reader, and follows an MTU that somebody else changes. It ends when Close
// has closed the device.
func (d *Device) watch() {
	defer d.watcher.Done()
	for e := range d.dev.Events() {
		if e&wgtun.EventMTUUpdate == 0 {
			continue
		}
		if mtu, err := d.dev.MTU(); err == nil {
			d.growRoom(mtu)
		}
	}
}

// growRoom makes Read expect packets of n bytes. It never shrinks: packets of
// the old size may still be in the kernel's queue.
func (d *Device) growRoom(n int) {
	for {
		old := d.room.Load()
		if int(old) >= n || d.room.CompareAndSwap(old, int32(min(n, packet.MaxPayload))) {
			return
		}
	}
}

// Name returns the name of the network interface.
func (d *Device) Name() string { return d.name }

// Room returns the payload room, in bytes, that buffers for Read need.
func (d *Device) Room() int { return int(d.room.Load()) }

// USO reports whether the kernel takes and gives large UDP segments.
func (d *Device) USO() bool { return d.uso }

// Malformed returns how many packets of the kernel could not be read.
func (d *Device) Malformed() uint64 { return d.malformed.Load() }

// ErrClosed is returned by Wait and Read after Close, and when the interface
// was deleted.
var ErrClosed = errors.New("TUN device is closed")

// Wait blocks until Read has something to read. answers counts what was written to
// the device in answer to what came from it, in total: see poll.Turns. Only one
// goroutine may wait at a time.
func (d *Device) Wait(answers uint64) error {
	if d.turns.Look(answers, d.look) {
		d.rounds = 0
		return nil
	}
	began := time.Now()
	err := d.wait()
	d.rounds = 0
	d.busy = time.Since(began) < poll.Short
	return err
}

// wait waits in the way that package poll says is the shorter one: after a short
// wait in poll(2), else in the runtime's poller.
func (d *Device) wait() error {
	if d.busy {
		poll.Watch()
		_, err := d.poll(-1)
		return err
	}
	d.users.RLock()
	defer d.users.RUnlock()
	if d.gone {
		return ErrClosed
	}
	if err := d.in.Arm(d.fd, unix.EPOLLIN|unix.EPOLLONESHOT, packetsID); err != nil {
		return fmt.Errorf("poll TUN device: %w", err)
	}
	n, err := d.in.Wait(d.events[:])
	if err != nil {
		return err
	}
	for _, e := range d.events[:n] {
		if e.Fd == stopID || e.Events&unix.EPOLLIN == 0 {
			return ErrClosed
		}
	}
	return nil
}

// Marks of the descriptors in Device.in.
const (
	stopID = iota
	packetsID
)

// peek looks whether Wait has come to its end.
func (d *Device) peek() bool {
	d.users.RLock()
	defer d.users.RUnlock()
	return d.gone || poll.Readable(d.fd)
}

// Ready reports whether Read has something to read.
func (d *Device) Ready() bool {
	ok, err := d.poll(0)
	return ok && err == nil
}

func (d *Device) poll(timeout int) (bool, error) {
	d.users.RLock()
	defer d.users.RUnlock()
	if d.gone {
		return false, ErrClosed
	}
	fds := [2]unix.PollFd{
		{Fd: int32(d.fd), Events: unix.POLLIN},
		{Fd: int32(d.stop), Events: unix.POLLIN},
	}
	for {
		_, err := unix.Poll(fds[:], timeout)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return false, fmt.Errorf("poll TUN device: %w", err)
		}
		if fds[1].Revents != 0 || fds[0].Revents&(unix.POLLERR|unix.POLLNVAL) != 0 && fds[0].Revents&unix.POLLIN == 0 {
			return false, ErrClosed
		}
		return fds[0].Revents&unix.POLLIN != 0, nil
	}
}

// Read reads one packet, or what the kernel handed over as one large segment,
// into bufs, and returns how many it filled: 0 if there was none, or it was
// malformed. bufs holds at least 128 buffers, whose content is replaced, with the
// usual headroom and with room for Room bytes. Only one goroutine may read at a time.
func (d *Device) Read(bufs []*packet.Buffer) (n int, err error) {
	d.users.RLock()
	defer d.users.RUnlock()
	if d.gone {
		return 0, ErrClosed
	}
	if len(bufs) < readRoom {
		return 0, fmt.Errorf("read TUN device: room for %d packets, want %d", len(bufs), readRoom)
	}
	for _, b := range bufs {
		if b.Headroom() != packet.Headroom {
			return 0, fmt.Errorf("read TUN device: buffer with headroom %d", b.Headroom())
		}
	}
	m, err := d.next()
	if err == nil {
		n, err = unpack(m, bufs)
		d.turns.Came(n)
	}
	if err != nil {
		err = d.judge(err)
	}
	return n, err
}

// judge tells apart what ends the device and what one packet had wrong; it is
// a function of its own because its variable escapes to the heap.
func (d *Device) judge(err error) error {
	var no syscall.Errno
	switch {
	case errors.Is(err, os.ErrClosed):
		return ErrClosed
	case !errors.As(err, &no):
		// No error of the system call: the packet was.
		d.malformed.Add(1)
		return nil
	case no == unix.EAGAIN || no == unix.EINTR:
		return nil
	case no == unix.EBADFD || no == unix.EIO || no == unix.ENODEV:
		return ErrClosed
	}
	return fmt.Errorf("read TUN device: %w", err)
}

// Close removes the device and ends Wait and Read. It waits until both, and
// the writers, are out of the device. Idempotent.
func (d *Device) Close() error {
	var err error
	d.closed.Do(func() {
		var one = [8]byte{0: 1}
		unix.Write(d.stop, one[:])
		d.users.Lock()
		d.gone = true
		d.users.Unlock()
		// The library's listener may have seen the end by itself, and have
		// closed the pipe by which Close wants to tell it. The device is
		// closed in any case.
		if err = d.dev.Close(); errors.Is(err, unix.EPIPE) || errors.Is(err, os.ErrClosed) {
			err = nil
		}
		d.unwatch()
		d.watcher.Wait()
	})
	return err
}
