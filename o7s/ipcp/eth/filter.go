// SPDX-License-Identifier: BSD-3-Clause

package eth

import (
	"encoding/binary"
	"os"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// wholeFrame is the verdict of a filter that lets a frame pass; bytes.
const wholeFrame = 1 << 18

// program makes the socket filter: frames to the device or to all, of our
// kind, and none of a virtual LAN that has no device of its own (the kernel
// marks those as somebody else's). What else a shared medium carries does not
// even wake us up (ETH-4, ETH-6).
func (f framing) program(self mac) []bpf.Instruction {
	be := binary.BigEndian
	const drop = 0xff // stands for the number of instructions to the last
	p := []bpf.Instruction{
		bpf.LoadExtension{Num: bpf.ExtType},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.PACKET_OTHERHOST, SkipTrue: drop},
		bpf.LoadAbsolute{Off: 0, Size: 2},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: uint32(be.Uint16(self[:])), SkipTrue: 2},
		bpf.LoadAbsolute{Off: 2, Size: 4},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: be.Uint32(self[2:]), SkipTrue: 4},
		bpf.LoadAbsolute{Off: 0, Size: 2},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: 0xffff, SkipTrue: drop},
		bpf.LoadAbsolute{Off: 2, Size: 4},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: 0xffffffff, SkipTrue: drop},
		bpf.LoadAbsolute{Off: 12, Size: 2},
	}
	if f.llc {
		p = append(p,
			bpf.JumpIf{Cond: bpf.JumpGreaterThan, Val: maxLength, SkipTrue: drop},
			bpf.LoadAbsolute{Off: 14, Size: 2}, // both SAPs: ours have two low zero bits
			bpf.JumpIf{Cond: bpf.JumpBitsSet, Val: 0x0303, SkipTrue: drop},
			bpf.LoadAbsolute{Off: 16, Size: 1},
			bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: controlUI, SkipTrue: drop})
	} else {
		p = append(p, bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: uint32(f.ethertype), SkipTrue: drop})
	}
	p = append(p, bpf.RetConstant{Val: wholeFrame}, bpf.RetConstant{Val: 0})
	for i, in := range p {
		if j, ok := in.(bpf.JumpIf); ok && j.SkipTrue == drop {
			j.SkipTrue = uint8(len(p) - 2 - i)
			p[i] = j
		}
	}
	return p
}

// attach makes the filter that of the socket, in the place of an earlier one.
func (f framing) attach(fd int, self mac) error {
	raw, err := bpf.Assemble(f.program(self))
	if err != nil {
		return err
	}
	code := make([]unix.SockFilter, len(raw))
	for i, r := range raw {
		code[i] = unix.SockFilter{Code: r.Op, Jt: r.Jt, Jf: r.Jf, K: r.K}
	}
	prog := unix.SockFprog{Len: uint16(len(code)), Filter: &code[0]}
	return os.NewSyscallError("setsockopt SO_ATTACH_FILTER", unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &prog))
}
