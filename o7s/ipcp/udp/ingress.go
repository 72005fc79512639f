// SPDX-License-Identifier: BSD-3-Clause

package udp

import (
	"encoding/binary"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"o7gw/o7s/packet"
	"o7gw/o7s/poll"
)

const (
	// slots is how many datagrams, or groups of them, come with one system
	// call, and slotSize the room for each in bytes: the largest group.
	// Together they should stay in the cache of the processor.
	slots    = 16
	slotSize = 65536
	// stash is how many empty buffers are taken from the pool at a time.
	stash = packet.BatchSize
	// usualSize is the room, in bytes, of buffers in the stash; larger
	// packets come singly.
	usualSize = 1500
)

// ingress reads datagrams, takes apart the groups that the kernel made of
// them (GRO), and delivers runs of packets of one flow. It is one goroutine.
type ingress struct {
	ipcp    *IPCP
	largest int // datagram that a peer may send, bytes

	msgs     [slots]mmsghdr
	iovs     [slots]unix.Iovec
	names    [slots]sockaddr
	controls [slots]groControl
	slab     []byte // slots of slotSize

	empty [stash]*packet.Buffer
	left  int // empty[:left] are ready

	turns poll.Turns
	look  func() bool // reads ahead
	ahead int         // messages that it has read

	// The run: packets that came one after the other for one flow.
	to    *flow
	pkts  [packet.BatchSize]*packet.Buffer
	n     int
	bytes int // with their EIDs
}

// groControl has room for a control message UDP_GRO: header, i32, padding.
type groControl [24]byte

func newIngress(p *IPCP) *ingress {
	in := &ingress{ipcp: p, largest: maxDatagram(p.Type()) + overshoot, slab: make([]byte, slots*slotSize)}
	for i := range in.msgs {
		in.iovs[i].Base = &in.slab[i*slotSize]
		in.iovs[i].SetLen(slotSize)
		h := &in.msgs[i].hdr
		h.Name, h.Iov, h.Control = &in.names[i][0], &in.iovs[i], &in.controls[i][0]
		h.SetIovlen(1)
	}
	in.look = func() bool { in.ahead = in.read(true); return in.ahead > 0 }
	return in
}

// run reads until the IPC process closes.
func (in *ingress) run() {
	defer func() { packet.ReleaseBatch(in.empty[:in.left]) }()
	busy := false
	for rounds := 0; !in.ipcp.stopped.Load(); rounds++ { // without a wait
		if rounds == poll.WatchAfter {
			poll.Watch()
		}
		n := in.read(!busy && rounds < poll.WatchAfter)
		if in.ipcp.sock.errs.Swap(false) {
			in.ipcp.readErrors()
		}
		if n == 0 && in.turns.Look(in.ipcp.stats.sendCalls.Load(), in.look) {
			n, rounds = in.ahead, 0
		}
		if n == 0 {
			began := time.Now()
			if !in.ipcp.sock.waitReadable(busy) {
				return
			}
			busy = time.Since(began) < poll.Short
			rounds = -1
			continue
		}
		in.ipcp.stats.recvCalls.Add(1)
		in.ipcp.unread.Update(in.ipcp.sock.fd, n == slots)
		for i := range n {
			in.message(i)
		}
		in.flush()
	}
}

// read fills slots without waiting, and returns how many. raw is for the first
// after a wait: see package poll.
func (in *ingress) read(raw bool) int {
	for i := range in.msgs {
		h := &in.msgs[i].hdr
		h.Namelen = uint32(len(in.names[i]))
		h.SetControllen(len(in.controls[i]))
	}
	var n uintptr
	var errno unix.Errno
	if fd := uintptr(in.ipcp.sock.fd); raw {
		n, _, errno = unix.RawSyscall6(unix.SYS_RECVMMSG, fd, uintptr(unsafe.Pointer(&in.msgs)), slots, 0, 0, 0)
	} else {
		n, _, errno = unix.Syscall6(unix.SYS_RECVMMSG, fd, uintptr(unsafe.Pointer(&in.msgs)), slots, 0, 0, 0)
	}
	switch errno {
	case 0:
		return int(n)
	case unix.EAGAIN, unix.EINTR:
	default:
		in.ipcp.sock.errs.Store(true)
	}
	return 0
}

// message takes the content of slot i apart.
func (in *ingress) message(i int) {
	m := &in.msgs[i]
	c := &in.ipcp.stats
	from, ok := endpointOf(&in.names[i], m.hdr.Namelen)
	if !ok || m.hdr.Flags&unix.MSG_TRUNC != 0 || int(m.n) > slotSize {
		c.malformed.Add(1)
		return
	}
	b := in.slab[i*slotSize:][:m.n]
	size := segmentSize(&in.controls[i], int(m.hdr.Controllen))
	if size <= 0 || size >= len(b) {
		in.datagram(b, from)
		return
	}
	c.groBatches.Add(1)
	for len(b) > size {
		in.datagram(b[:size], from)
		b = b[size:]
	}
	in.datagram(b, from)
}

// segmentSize returns the size of the datagrams in a group, 0 if the control
// message, of n bytes, is none.
func segmentSize(c *groControl, n int) int {
	if n < unix.CmsgLen(4) {
		return 0
	}
	if h := (*unix.Cmsghdr)(unsafe.Pointer(c)); h.Level != unix.SOL_UDP || h.Type != unix.UDP_GRO {
		return 0
	}
	return int(int32(binary.NativeEndian.Uint32(c[unix.CmsgLen(0):])))
}

// datagram appends the packet in b to the run, or deals with the management
// message.
func (in *ingress) datagram(b []byte, from endpoint) {
	c := &in.ipcp.stats
	switch {
	case len(b) < eidLen:
		c.short.Add(1)
		return
	case len(b) > in.largest:
		c.oversize.Add(1)
		return
	}
	eid := binary.BigEndian.Uint32(b)
	if eid == manageEID {
		in.flush() // what came before a teardown goes up before it
		in.ipcp.manage(b, from)
		return
	}
	f := in.to
	if f == nil || f.eid != eid {
		if f = in.ipcp.flows.get(eid); f == nil {
			c.noFlow.Add(1)
			return
		}
	}
	if f.peer.at != from { // UDP-5
		c.source.Add(1)
		return
	}
	if f != in.to || in.n == len(in.pkts) {
		in.flush()
		in.to = f
	}
	buf := in.buffer(len(b))
	buf.Append(b[eidLen:])
	in.pkts[in.n] = buf
	in.n++
	in.bytes += len(b)
}

// buffer returns an empty buffer for n bytes.
func (in *ingress) buffer(n int) *packet.Buffer {
	if n > usualSize {
		return packet.Get(n)
	}
	if in.left == 0 {
		packet.GetBatch(in.empty[:], usualSize)
		in.left = stash
	}
	in.left--
	b := in.empty[in.left]
	in.empty[in.left] = nil
	return b
}

// flush delivers the run.
func (in *ingress) flush() {
	if in.n > 0 {
		c := &in.ipcp.stats
		in.turns.Came(in.n)
		c.received.Add(uint64(in.n))
		c.recvBytes.Add(uint64(in.bytes))
		in.to.in.Deliver(in.pkts[:in.n])
		clear(in.pkts[:in.n])
	}
	in.to, in.n, in.bytes = nil, 0, 0
}

// manage deals with a management message. It runs in the receiving goroutine.
func (p *IPCP) manage(b []byte, from endpoint) {
	switch m, err := parseManagement(b); m := m.(type) {
	case request:
		p.requested(m, from)
	case reply:
		p.replied(m, from)
	case teardown:
		f := p.flows.get(m.eid)
		if f == nil || f.peer.at != from || f.state.Load() != up || f.remote.Load() != m.peerEID {
			p.stats.stray.Add(1)
			return
		}
		p.stats.teardowns.Add(1)
		f.end()
	default:
		if err == errCode {
			p.stats.unknown.Add(1)
		} else {
			p.stats.malformed.Add(1)
		}
	}
}
