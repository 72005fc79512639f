// SPDX-License-Identifier: BSD-3-Clause

package eth

import (
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"o7gw/o7s/packet"
	"o7gw/o7s/poll"
)

const (
	// slots is how many frames come with one system call.
	slots = 64
	// usualSize is the largest packet, in bytes, that a buffer of the
	// smallest pool holds. On devices with a larger MTU those that fit are
	// copied into such a buffer, lest a few small packets keep much memory.
	usualSize = 1500
	// minRoom is the least room of a slot, bytes: a short frame is padded.
	minRoom = 64
	// newsEvery is how many system calls without a pause may pass before
	// news of the device are looked for.
	newsEvery = 256
)

// ingress reads frames straight into buffers, whose payload then begins where
// that of a fresh buffer does, and delivers runs of packets of one flow. It is
// one goroutine.
type ingress struct {
	ipcp *IPCP
	head int // length of the frame header
	room int // for a payload, in each slot

	msgs  [slots]mmsghdr
	iovs  [slots]unix.Iovec
	bufs  [slots]*packet.Buffer // empty
	spare [slots]*packet.Buffer // small ones, for copies; spare[:left] are there
	left  int
	taken [slots]int // slots whose buffers went up: taken[:gone]
	gone  int

	turns poll.Turns
	look  func() bool // reads ahead
	ahead int         // frames that it has read

	// The run: packets that came one after the other for one flow.
	to    *flow
	pkts  [slots]*packet.Buffer
	n     int
	bytes int // with their headers
}

func newIngress(p *IPCP) *ingress {
	in := &ingress{ipcp: p, head: p.framing.headerLen(), room: max(p.mtu, minRoom)}
	for i := range in.msgs {
		h := &in.msgs[i].hdr
		h.Iov = &in.iovs[i]
		h.SetIovlen(1)
		in.iovs[i].SetLen(in.head + in.room)
		in.taken[i] = i
	}
	in.gone = slots
	in.refill()
	in.look = func() bool { in.ahead = in.read(true); return in.ahead > 0 }
	return in
}

// refill puts fresh buffers where those went up.
func (in *ingress) refill() {
	var fresh [slots]*packet.Buffer
	packet.GetBatch(fresh[:in.gone], in.room)
	for k, i := range in.taken[:in.gone] {
		in.bufs[i] = fresh[k]
		b, off := fresh[k].Backing()
		in.iovs[i].Base = &b[off-in.head]
	}
	in.gone = 0
}

// run reads until the IPC process closes.
func (in *ingress) run() {
	defer func() {
		packet.ReleaseBatch(in.bufs[:])
		packet.ReleaseBatch(in.spare[:in.left])
	}()
	p := in.ipcp
	busy := false
	rounds := 0 // without a wait
	for calls := 0; !p.stopped.Load(); calls++ {
		if rounds++; rounds == poll.WatchAfter {
			poll.Watch()
		}
		n := in.read(!busy && rounds < poll.WatchAfter)
		news := calls%newsEvery == 0
		if n == 0 && in.turns.Look(p.stats.sendCalls.Load(), in.look) {
			n, rounds = in.ahead, 0
		}
		if n == 0 {
			var ok bool
			began := time.Now()
			if news, ok = p.sock.waitReadable(busy); !ok {
				return
			}
			busy = time.Since(began) < poll.Short
			rounds = 0
		}
		if news && p.sock.news() {
			p.checkDevice()
		}
		if n == 0 {
			continue
		}
		p.stats.recvCalls.Add(1)
		p.unread.Update(p.sock.fd, n == slots)
		for i := range n {
			in.frame(i)
		}
		in.flush()
		in.refill()
	}
}

// read fills slots without waiting, and returns how many. raw is for the first
// after a wait: see package poll.
func (in *ingress) read(raw bool) int {
	var n uintptr
	var errno unix.Errno
	if fd := uintptr(in.ipcp.sock.fd); raw {
		n, _, errno = unix.RawSyscall6(unix.SYS_RECVMMSG, fd, uintptr(unsafe.Pointer(&in.msgs)), slots, 0, 0, 0)
	} else {
		n, _, errno = unix.Syscall6(unix.SYS_RECVMMSG, fd, uintptr(unsafe.Pointer(&in.msgs)), slots, 0, 0, 0)
	}
	if errno != 0 { // nothing there, or the device went down, which is news
		return 0
	}
	return int(n)
}

// frame appends the packet in slot i to the run, or deals with the management
// message.
func (in *ingress) frame(i int) {
	p := in.ipcp
	c := &p.stats
	m := &in.msgs[i]
	got := int(m.n)
	switch {
	case m.hdr.Flags&unix.MSG_TRUNC != 0 || got > in.head+in.room:
		c.oversize.Add(1)
		return
	case got < in.head:
		c.short.Add(1)
		return
	}
	buf, off := in.bufs[i].Backing()
	d, ok := p.framing.decode(buf[off-in.head:off], got-in.head)
	self := *p.self.Load()
	switch {
	case !ok || d.from.group():
		c.malformed.Add(1)
		return
	case d.to != self && d.to != broadcast: // the filter is older than our address
		c.foreign.Add(1)
		return
	case p.manages(d):
		in.flush() // what came before a teardown goes up before it
		p.manage(buf[off:off+d.n], d)
		return
	}
	f := in.to
	if f == nil || f.eid != d.dst {
		if f = p.flows.get(d.dst); f == nil {
			c.noFlow.Add(1)
			return
		}
	}
	if f.peer != d.from || d.to == broadcast || p.framing.llc && uint16(f.remote.Load()) != d.src { // ETH-9
		c.source.Add(1)
		return
	}
	if f != in.to {
		in.flush()
		in.to = f
	}
	in.pkts[in.n] = in.take(i, d.n)
	in.n++
	in.bytes += in.head + d.n
}

// manages reports whether the frame is a management message.
func (p *IPCP) manages(d decoded) bool {
	id := p.framing.manageID()
	return d.dst == id && (!p.framing.llc || d.src == id)
}

// take returns the payload of slot i, n bytes, as a packet.
func (in *ingress) take(i, n int) *packet.Buffer {
	b := in.bufs[i]
	if in.room <= usualSize || n > usualSize {
		in.taken[in.gone] = i
		in.gone++
		b.SetLen(n)
		return b
	}
	if in.left == 0 {
		packet.GetBatch(in.spare[:], usualSize)
		in.left = slots
	}
	in.left--
	s := in.spare[in.left]
	in.spare[in.left] = nil
	buf, off := b.Backing()
	s.Append(buf[off : off+n])
	return s
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
func (p *IPCP) manage(b []byte, d decoded) {
	m, err := p.framing.parseManagement(b, p.hash.Size())
	switch q, ok := m.(query); {
	case err == errCode:
		p.stats.unknown.Add(1)
		return
	case err != nil:
		p.stats.malformed.Add(1)
		return
	case ok: // the only message to all
		p.queried(q, d.from)
		return
	case d.to == broadcast:
		p.stats.malformed.Add(1)
		return
	}
	switch m := m.(type) {
	case request:
		p.requested(m, d.from)
	case reply:
		p.replied(m, d.from)
	case queryReply:
		p.served(m, d.from)
	case teardown:
		f := p.flows.get(m.eid)
		if f == nil || f.peer != d.from || f.state.Load() != up || f.remote.Load() != uint32(m.peerEID) {
			p.stats.stray.Add(1)
			return
		}
		p.stats.teardowns.Add(1)
		f.end()
	}
}
