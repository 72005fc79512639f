// SPDX-License-Identifier: BSD-3-Clause

package eth

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"

	"o7gw/o7s/layer"
)

// maxLoopback is the MTU, in bytes, that is used of a loopback device, whose
// own is larger than what other devices carry (spec 10 §3.1).
const maxLoopback = 9000

// ifreq is struct ifreq of netdevice(7).
type ifreq struct {
	name [unix.IFNAMSIZ]byte
	data [24]byte
}

// ioctl asks about a device through any socket of its network namespace.
func (r *ifreq) ioctl(fd int, what uintptr) error {
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), what, uintptr(unsafe.Pointer(r))); errno != 0 {
		return errno
	}
	return nil
}

// device is what the kernel says about a network device.
type device struct {
	name  string
	index int
	addr  mac
	mtu   int  // bytes
	up    bool // set up by the administrator, and has a carrier
}

// deviceNamed looks a device up.
func deviceNamed(fd int, name string) (device, error) {
	r := ifreq{}
	if name == "" || len(name) >= len(r.name) || strings.ContainsRune(name, 0) { // ETH-15
		return device{}, fmt.Errorf("device name %q, need 1 to %d bytes: %w", name, len(r.name)-1, layer.ErrInvalid)
	}
	copy(r.name[:], name)
	if err := r.ioctl(fd, unix.SIOCGIFINDEX); err != nil {
		return device{}, fmt.Errorf("device %q: %w", name, err)
	}
	return deviceAt(fd, int(binary.NativeEndian.Uint32(r.data[:])))
}

// deviceAt looks the device of an index up, which keeps it when the device is
// renamed.
func deviceAt(fd, index int) (device, error) {
	var r ifreq
	binary.NativeEndian.PutUint32(r.data[:], uint32(index))
	if err := r.ioctl(fd, unix.SIOCGIFNAME); err != nil {
		return device{}, fmt.Errorf("device %d: %w", index, err)
	}
	name, _, _ := bytes.Cut(r.name[:], []byte{0})
	d := device{name: string(name), index: index}
	fail := func(err error) (device, error) { return device{}, fmt.Errorf("device %q: %w", d.name, err) }
	ask := func(what uintptr) ([]byte, error) {
		r.data = [24]byte{}
		err := r.ioctl(fd, what)
		return r.data[:], err
	}
	b, err := ask(unix.SIOCGIFHWADDR)
	if err != nil {
		return fail(err)
	}
	if t := binary.NativeEndian.Uint16(b); t != unix.ARPHRD_ETHER && t != unix.ARPHRD_LOOPBACK {
		return fail(fmt.Errorf("it is no Ethernet device: %w", layer.ErrInvalid))
	}
	d.addr = mac(b[2:8])
	if b, err = ask(unix.SIOCGIFMTU); err != nil {
		return fail(err)
	}
	d.mtu = int(int32(binary.NativeEndian.Uint32(b)))
	if strings.HasPrefix(d.name, "lo") {
		d.mtu = min(d.mtu, maxLoopback)
	}
	if b, err = ask(unix.SIOCGIFFLAGS); err != nil {
		return fail(err)
	}
	flags := binary.NativeEndian.Uint16(b)
	// The flag RUNNING says the same, but up to a second late.
	carrier, err := r.carrier(fd)
	if err != nil {
		carrier = flags&unix.IFF_RUNNING != 0
	}
	d.up = flags&unix.IFF_UP != 0 && carrier
	return d, nil
}

// carrier reports whether the device named in r has a carrier, if its driver
// tells.
func (r *ifreq) carrier(fd int) (bool, error) {
	v := struct{ cmd, data uint32 }{cmd: unix.ETHTOOL_GLINK} // struct ethtool_value
	e := struct {
		name [unix.IFNAMSIZ]byte
		data unsafe.Pointer
		_    [24 - unsafe.Sizeof(uintptr(0))]byte
	}{name: r.name, data: unsafe.Pointer(&v)} // struct ifreq with a pointer
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&e))); errno != 0 {
		return false, errno
	}
	return v.data != 0, nil
}

// alone refuses the device if another socket takes the same frames of it: two
// IPC processes would share the address and confuse their endpoints (ETH-17).
// A node that is bound to all protocols, as those of C are, is not seen.
func (s *socket) alone(index int, protocol uint16) error {
	table, err := os.ReadFile("/proc/thread-self/net/packet")
	if errors.Is(err, os.ErrNotExist) {
		return nil // no /proc here
	}
	if err != nil {
		return err
	}
	var own unix.Stat_t
	if err := unix.Fstat(s.fd, &own); err != nil {
		return os.NewSyscallError("fstat", err)
	}
	want := fmt.Sprintf("%d %04x %d", unix.SOCK_RAW, protocol, index)
	for line := range strings.Lines(string(table)) {
		// sk RefCnt Type Proto Iface R Rmem User Inode
		f := strings.Fields(line)
		if len(f) == 9 && strings.Join(f[2:5], " ") == want && f[8] != fmt.Sprint(own.Ino) {
			return fmt.Errorf("another IPCP or program uses protocol 0x%04X on the device: %w", protocol, unix.EADDRINUSE)
		}
	}
	return nil
}
