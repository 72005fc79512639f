// SPDX-License-Identifier: BSD-3-Clause

//go:build linux

package segment

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"

	"github.com/songgao/water"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"o7gw/o7s/packet"
)

// clonePath is the device node that makes TAP devices.
const clonePath = "/dev/net/tun"

// tap is the virtual Ethernet interface. It disappears with close, unless it
// was there before.
type tap struct {
	name string
	file *os.File // of the library
	raw  syscall.RawConn
}

// openTAP makes the interface, down and without addresses. name may hold a %d
// for the kernel to number. It needs CAP_NET_ADMIN in the network namespace,
// or a lasting interface that belongs to this user.
func openTAP(name string) (*tap, error) {
	name, lasting, err := prepare(name)
	if err != nil {
		return nil, fmt.Errorf("open TAP device %q: %w", name, err)
	}
	ifce, err := water.New(water.Config{
		DeviceType:             water.TAP,
		PlatformSpecificParams: water.PlatformSpecificParams{Name: name, Persist: lasting},
	})
	if err != nil {
		if link, no := netlink.LinkByName(name); no == nil && !lasting {
			err = errors.Join(err, netlink.LinkDel(link))
		}
		return nil, fmt.Errorf("open TAP device %q: %w", name, err)
	}
	t := &tap{name: name}
	var ok bool
	if t.file, ok = ifce.ReadWriteCloser.(*os.File); !ok {
		ifce.Close()
		return nil, fmt.Errorf("open TAP device %q: library gives no file", name)
	}
	if t.raw, err = t.file.SyscallConn(); err == nil {
		err = t.raw.Control(func(fd uintptr) { unix.CloseOnExec(int(fd)) })
	}
	if err != nil {
		ifce.Close()
		return nil, fmt.Errorf("open TAP device %q: %w", name, err)
	}
	return t, nil
}

// prepare makes the interface, so that the library, which leaks a descriptor
// when it fails, has no reason to, and returns its name and whether it
// is one that somebody made to last. A new one lasts too, until the
// library takes that back.
func prepare(name string) (actual string, lasting bool, err error) {
	fd, err := unix.Open(clonePath, unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return name, false, fmt.Errorf("open %s: %w", clonePath, err)
	}
	defer unix.Close(fd)
	if _, err := netlink.LinkByName(name); err == nil {
		lasting = true
	}
	ifr, err := unix.NewIfreq(name)
	if err != nil {
		return name, false, err
	}
	ifr.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, ifr); err != nil {
		return name, false, err
	}
	if !lasting {
		err = unix.IoctlSetInt(fd, unix.TUNSETPERSIST, 1)
	}
	return ifr.Name(), lasting, err
}

// hardwareAddr returns the MAC address of the interface.
func (t *tap) hardwareAddr() (uint64, error) {
	link, err := netlink.LinkByName(t.name)
	if err != nil {
		return 0, fmt.Errorf("find interface %s: %w", t.name, err)
	}
	var mac uint64
	for _, b := range link.Attrs().HardwareAddr {
		mac = mac<<8 | uint64(b)
	}
	return mac, nil
}

// queueLen is how many frames wait for the reader: 20 ms of 100 000 frames/s,
// which it may be off the processor.
const queueLen = 2000

// setMTU sets the MTU, in bytes, and the length of the queue. What is so already
// is not touched: a lasting interface of an unprivileged user has been prepared.
func (t *tap) setMTU(mtu int) error {
	link, err := netlink.LinkByName(t.name)
	if err != nil {
		return fmt.Errorf("find interface %s: %w", t.name, err)
	}
	if link.Attrs().MTU != mtu {
		if err := netlink.LinkSetMTU(link, mtu); err != nil {
			return fmt.Errorf("set MTU %d of %s: %w", mtu, t.name, err)
		}
	}
	if err := netlink.LinkSetTxQLen(link, queueLen); err != nil && !errors.Is(err, unix.EPERM) {
		return fmt.Errorf("set queue length of %s: %w", t.name, err)
	}
	return nil
}

// up gives the interface the addresses and brings it up. Others may have the
// same address of IPv6: unlike on a tunnel the kernel asks before it uses one.
func (t *tap) up(addrs []netip.Prefix) error {
	link, err := netlink.LinkByName(t.name)
	if err != nil {
		return fmt.Errorf("find interface %s: %w", t.name, err)
	}
	for _, a := range addrs {
		if err := netlink.AddrReplace(link, &netlink.Addr{IPNet: ipNet(a)}); err != nil {
			return fmt.Errorf("add address %s to %s: %w", a, t.name, err)
		}
	}
	if link.Attrs().Flags&net.FlagUp != 0 {
		return nil
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return fmt.Errorf("bring %s up: %w", t.name, err)
	}
	return nil
}

// close removes the interface and ends a read under way.
func (t *tap) close() error { return t.file.Close() }

// reader reads frames in batches: it waits for one, and takes those that are
// there as well. The library, and os.File, read one at a time.
type reader struct {
	tap  *tap
	room int // bytes that are read of a frame at most
	bufs []*packet.Buffer
	n    int
	err  error
	fill func(fd uintptr) bool // the method try, made once
}

func newReader(t *tap) *reader {
	r := &reader{tap: t}
	r.fill = r.try
	return r
}

// read fills bufs, which have room for that many bytes, and returns how many.
func (r *reader) read(bufs []*packet.Buffer, room int) (int, error) {
	r.bufs, r.room, r.n, r.err = bufs, room, 0, nil
	if err := r.tap.raw.Read(r.fill); err != nil {
		return 0, err
	}
	if r.n > 0 {
		return r.n, nil // an error will come again
	}
	return 0, r.err
}

func (r *reader) try(fd uintptr) bool {
	for r.n < len(r.bufs) {
		b := r.bufs[r.n]
		back, off := b.Backing()
		n, err := unix.Read(int(fd), back[off:off+r.room])
		switch {
		case err == unix.EINTR:
			continue
		case err == unix.EAGAIN:
			return r.n > 0
		case err != nil || n == 0:
			r.err = err
			if err == nil {
				r.err = errors.New("no data")
			}
			return true
		}
		b.SetLen(n)
		r.n++
	}
	return true
}

// tapWriter writes frames to the interface.
type tapWriter struct {
	tap    *tap
	frames []*packet.Buffer
	bad    int
	drain  func(fd uintptr) bool // the method all, made once
}

func newWriter(t *tap) *tapWriter {
	w := &tapWriter{tap: t}
	w.drain = w.all
	return w
}

// write writes the frames and releases them. It returns how many the kernel did
// not take.
func (w *tapWriter) write(frames []*packet.Buffer) (dropped int) {
	w.frames, w.bad = frames, 0
	if err := w.tap.raw.Write(w.drain); err != nil {
		w.bad = len(frames) // closed
	}
	w.frames = nil
	packet.ReleaseBatch(frames)
	return w.bad
}

func (w *tapWriter) all(fd uintptr) bool {
	for i := 0; i < len(w.frames); i++ {
		switch _, err := unix.Write(int(fd), w.frames[i].Bytes()); err {
		case nil:
		case unix.EINTR:
			i--
		default: // the interface is down, or its queue full
			w.bad++
		}
	}
	return true
}
