// SPDX-License-Identifier: BSD-3-Clause

package ring

import (
	"fmt"
	"math/bits"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// seals keep the size of the memory file: a side that shrank it would kill
// the other with SIGBUS.
const seals = unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_SEAL

// New makes the memory and the doorbell of a flow and returns the files of
// its two sides. Memory is taken only for pages that are used.
func New(cfg Config) (a, b Files, err error) {
	size := cfg.Size
	if size == 0 {
		size = DefaultSize
	}
	if !validSize(size) {
		return a, b, fmt.Errorf("ring: size %d is not a power of two from %d to %d", size, MinSize, MaxSize)
	}
	mem, err := newMemory(size)
	if err != nil {
		return a, b, fmt.Errorf("ring: memory file: %w", err)
	}
	other, err := unix.FcntlInt(mem.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		mem.Close()
		return a, b, fmt.Errorf("ring: memory file: %w", err)
	}
	// A stream, so that one read takes all bytes that have gathered, and so
	// that the death of one side hangs up the other.
	bells, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		mem.Close()
		unix.Close(other)
		return a, b, fmt.Errorf("ring: doorbell: %w", err)
	}
	a = Files{Mem: mem, Bell: os.NewFile(uintptr(bells[0]), "ring-bell"), Side: SideA}
	b = Files{Mem: os.NewFile(uintptr(other), "ring"), Bell: os.NewFile(uintptr(bells[1]), "ring-bell"), Side: SideB}
	return a, b, nil
}

func validSize(n int) bool { return n >= MinSize && n <= MaxSize && bits.OnesCount(uint(n)) == 1 }

// newMemory makes the sealed memory file and writes its first line.
func newMemory(size int) (*os.File, error) {
	fd, err := unix.MemfdCreate("o7s-ring", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), "ring")
	if err := fill(fd, size); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func fill(fd, size int) error {
	if err := unix.Ftruncate(fd, fileSize(size)); err != nil {
		return err
	}
	var head [16]byte
	*(*uint64)(unsafe.Pointer(&head[offMagic])) = magic
	*(*uint64)(unsafe.Pointer(&head[offSize])) = uint64(size)
	if _, err := unix.Pwrite(fd, head[:], 0); err != nil {
		return err
	}
	_, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, seals)
	return err
}

// mapMemory maps the memory file of a side after having checked that it is
// one and cannot shrink. It returns the size of a ring.
func mapMemory(fd int) (mem []byte, size int, err error) {
	got, err := unix.FcntlInt(uintptr(fd), unix.F_GET_SEALS, 0)
	if err != nil {
		return nil, 0, err
	}
	if got&seals != seals {
		return nil, 0, fmt.Errorf("seals %#x, want %#x: %w", got, seals, ErrCorrupt)
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, 0, err
	}
	if st.Size < fileSize(MinSize) || st.Size > fileSize(MaxSize) {
		return nil, 0, fmt.Errorf("file of %d bytes: %w", st.Size, ErrCorrupt)
	}
	mem, err = unix.Mmap(fd, 0, int(st.Size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, 0, err
	}
	n := word64(mem, offSize).Load()
	if word64(mem, offMagic).Load() != magic || n > MaxSize || !validSize(int(n)) || fileSize(int(n)) != st.Size {
		unix.Munmap(mem)
		return nil, 0, fmt.Errorf("header does not fit a file of %d bytes: %w", st.Size, ErrCorrupt)
	}
	return mem, int(n), nil
}

// Open maps the memory and takes over the doorbell. It takes ownership of the
// files, also when it fails.
func Open(f Files) (*End, error) {
	if f.Mem == nil || f.Bell == nil || f.Side > SideB {
		f.Close()
		return nil, fmt.Errorf("ring: open: files of side %d are incomplete", f.Side)
	}
	mem, size, err := mapMemory(int(f.Mem.Fd()))
	f.Mem.Close()
	if err != nil {
		f.Bell.Close()
		return nil, fmt.Errorf("ring: open: %w", err)
	}
	// A descriptor of our own, unknown to the runtime's poller: a bell that
	// wakes both the poller and a direct sleeper would cost twice.
	fd, err := unix.FcntlInt(f.Bell.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	f.Bell.Close()
	if err == nil {
		if err = checkBell(fd); err != nil {
			unix.Close(fd)
		}
	}
	if err != nil {
		unix.Munmap(mem)
		return nil, fmt.Errorf("ring: open: doorbell: %w", err)
	}
	return newEnd(mem, size, f.Side, fd), nil
}

// checkBell makes sure that the descriptor is a socket that hangs up with its
// peer, and makes it non-blocking.
func checkBell(fd int) error {
	typ, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE)
	if err != nil {
		return err
	}
	if typ != unix.SOCK_STREAM && typ != unix.SOCK_SEQPACKET {
		return fmt.Errorf("socket of type %d: %w", typ, ErrCorrupt)
	}
	return unix.SetNonblock(fd, true)
}

// newEnd makes the End of mapped memory and a doorbell.
func newEnd(mem []byte, size int, side Side, bell int) *End {
	peer := SideA + SideB - side
	out, data := direction(mem, size, side)
	in, inData := direction(mem, size, peer)
	page := func(s Side) uint64 { return uint64(offData+int(s)*size) & (1<<pageBits - 1) }
	e := &End{
		mem:  mem,
		mine: stateWord(mem, side),
		peer: stateWord(mem, peer),
		out:  newProducer(out, data, page(side)),
		in:   newConsumer(in, inData),
	}
	e.refs.Store(1)
	e.read.init(in.rsleep, e.in.unread)
	e.write.init(out.wsleep, e.hasRoom)
	e.bell.init(bell, &e.read, &e.write)
	// Whoever had this side before, the flags are ours now.
	e.mine.Store(0)
	return e
}
