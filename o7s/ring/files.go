// SPDX-License-Identifier: BSD-3-Clause

package ring

import (
	"fmt"
	"math/bits"
	"unsafe"

	"golang.org/x/sys/unix"
)

// seals keep the size of the memory file: a side that shrank it would kill
// the other with SIGBUS.
const seals = unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_SEAL

// New makes the memory and the doorbell of a flow and returns the files of
// its two sides, for other processes. Memory is taken only for pages that are
// used.
func New(cfg Config) (a, b Files, err error) {
	size, err := cfg.size()
	if err != nil {
		return a, b, err
	}
	mem, err := newMemory(size)
	if err != nil {
		return a, b, fmt.Errorf("ring: memory file: %w", err)
	}
	var head [16]byte
	*(*uint64)(unsafe.Pointer(&head[offMagic])) = magic
	*(*uint64)(unsafe.Pointer(&head[offSize])) = uint64(size)
	other := -1
	if _, err = unix.Pwrite(mem.Int(), head[:], 0); err == nil {
		other, err = rawFcntl(mem.Int(), unix.F_DUPFD_CLOEXEC, 0)
	}
	if err != nil {
		mem.Close()
		return a, b, fmt.Errorf("ring: memory file: %w", err)
	}
	bells, err := newBells()
	if err != nil {
		mem.Close()
		rawClose(other)
		return a, b, fmt.Errorf("ring: doorbell: %w", err)
	}
	a = Files{Mem: mem, Bell: bells[0], Side: SideA}
	b = Files{Mem: NewFD(other), Bell: bells[1], Side: SideB}
	return a, b, nil
}

// NewEnd is New and Open in one, for a process that keeps one side and gives
// the files of the other away. It makes a third of the system calls.
func NewEnd(cfg Config) (*End, Files, error) {
	fail := func(what string, err error) (*End, Files, error) {
		return nil, Files{}, fmt.Errorf("ring: %s: %w", what, err)
	}
	size, err := cfg.size()
	if err != nil {
		return nil, Files{}, err
	}
	file, err := newMemory(size)
	if err != nil {
		return fail("memory file", err)
	}
	mem, err := mapFile(file.Int(), int(fileSize(size)))
	if err != nil {
		file.Close()
		return fail("memory file", err)
	}
	word64(mem, offMagic).Store(magic)
	word64(mem, offSize).Store(uint64(size))
	bells, err := newBells()
	if err != nil {
		unmap(mem)
		file.Close()
		return fail("doorbell", err)
	}
	return newEnd(mem, size, SideA, bells[0].Int()), Files{Mem: file, Bell: bells[1], Side: SideB}, nil
}

// size returns Size, or the default, if it is possible.
func (c Config) size() (int, error) {
	if c.Size == 0 {
		return DefaultSize, nil
	}
	if !validSize(c.Size) {
		return 0, fmt.Errorf("ring: size %d is not a power of two from %d to %d", c.Size, MinSize, MaxSize)
	}
	return c.Size, nil
}

func validSize(n int) bool { return n >= MinSize && n <= MaxSize && bits.OnesCount(uint(n)) == 1 }

// newMemory makes a memory file whose size stays as it is.
func newMemory(size int) (FD, error) {
	n, err := rawMemfd()
	if err != nil {
		return FD{}, err
	}
	if err = unix.Ftruncate(n, fileSize(size)); err == nil {
		_, err = rawFcntl(n, unix.F_ADD_SEALS, seals)
	}
	if err != nil {
		rawClose(n)
		return FD{}, err
	}
	return NewFD(n), nil
}

// newBells makes the doorbell: a stream, so that one read takes all bytes that
// have gathered, and so that the death of one side hangs up the other.
func newBells() ([2]FD, error) {
	const kind = unix.SOCK_STREAM | unix.SOCK_CLOEXEC | unix.SOCK_NONBLOCK
	n, err := unix.Socketpair(unix.AF_UNIX, kind, 0)
	return [2]FD{NewFD(n[0]), NewFD(n[1])}, err
}

// mapFile maps a memory file. unmap undoes it.
func mapFile(fd, size int) ([]byte, error) {
	at, err := unix.MmapPtr(fd, 0, nil, uintptr(size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, err
	}
	return unsafe.Slice((*byte)(at), size), nil
}

// mapMemory maps the memory file of a side after having checked that it is
// one and cannot shrink. It returns the size of a ring.
func mapMemory(fd int) (mem []byte, size int, err error) {
	got, err := rawFcntl(fd, unix.F_GET_SEALS, 0)
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
	mem, err = mapFile(fd, int(st.Size))
	if err != nil {
		return nil, 0, err
	}
	n := word64(mem, offSize).Load()
	if word64(mem, offMagic).Load() != magic || n > MaxSize || !validSize(int(n)) || fileSize(int(n)) != st.Size {
		unmap(mem)
		return nil, 0, fmt.Errorf("header does not fit a file of %d bytes: %w", st.Size, ErrCorrupt)
	}
	return mem, int(n), nil
}

// Open maps the memory and takes over the doorbell. It takes ownership of the
// files, also when it fails.
func Open(f Files) (*End, error) {
	if !f.Mem.Valid() || !f.Bell.Valid() || f.Side > SideB {
		f.Close()
		return nil, fmt.Errorf("ring: open: files of side %d are incomplete", f.Side)
	}
	mem, size, err := mapMemory(f.Mem.Int())
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("ring: open: %w", err)
	}
	f.Mem.Close()
	if err := checkBell(f.Bell.Int()); err != nil {
		f.Bell.Close()
		unmap(mem)
		return nil, fmt.Errorf("ring: open: doorbell: %w", err)
	}
	return newEnd(mem, size, f.Side, f.Bell.Int()), nil
}

// checkBell makes sure that the descriptor is a socket that hangs up with its
// peer, and that it does not block.
func checkBell(fd int) error {
	typ, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE)
	if err != nil {
		return err
	}
	if typ != unix.SOCK_STREAM && typ != unix.SOCK_SEQPACKET {
		return fmt.Errorf("socket of type %d: %w", typ, ErrCorrupt)
	}
	flags, err := rawFcntl(fd, unix.F_GETFL, 0)
	if err == nil && flags&unix.O_NONBLOCK == 0 {
		err = unix.SetNonblock(fd, true)
	}
	return err
}

// newEnd makes the End of mapped memory and a doorbell.
func newEnd(mem []byte, size int, side Side, bell int) *End {
	peer := SideA + SideB - side
	out, data := direction(mem, size, side)
	in, inData := direction(mem, size, peer)
	page := func(s Side) uint64 { return uint64(offData+int(s)*size) & (1<<pageBits - 1) }
	e := &End{
		mem:  mem,
		size: size,
		side: side,
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
