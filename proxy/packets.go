// SPDX-License-Identifier: BSD-3-Clause

package proxy

import (
	"errors"
	"io"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"o7gw/o7s"
	"o7gw/o7s/layer"
	"o7gw/o7s/packet"
	"o7gw/proxy/session"
)

// Datagram is one UDP datagram: its payload, and the other side's address of
// it, which is invalid where the request names it.
type Datagram struct {
	Addr netip.AddrPort
	Buf  *packet.Buffer
}

// Packets is a UDP session on a raw flow: datagrams may be lost, as with UDP.
type Packets struct {
	f  *o7s.Flow
	id atomic.Uint32

	receiver func([]Datagram)
	ended    func(error)
	batch    []Datagram // used by the receiver's goroutine

	mu     sync.Mutex
	state  *session.Datagrams
	expiry *time.Timer // runs while fragments wait
	closed bool

	unsendable atomic.Uint64
	once       sync.Once
	done       sync.Once
}

func newPackets(f *o7s.Flow, state *session.Datagrams) *Packets {
	f.SetNonblock(true)
	return &Packets{f: f, state: state}
}

// Flow returns the flow that carries the session.
func (p *Packets) Flow() *o7s.Flow { return p.f }

// MaxDatagram returns the largest payload that Send takes, bytes.
func (p *Packets) MaxDatagram() int { return session.MaxDatagramOver(p.f.MTU()) }

// Dropped returns how many datagrams were malformed, too large or incomplete.
func (p *Packets) Dropped() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.unsendable.Load() + p.state.Dropped()
}

// batch is room for packets on their way to a flow. They are pooled, since what is
// handed to a flow escapes.
type batch [packet.BatchSize]*packet.Buffer

var batches = sync.Pool{New: func() any { return new(batch) }}

func (b *batch) put() {
	clear(b[:])
	batches.Put(b)
}

// Send sends datagrams; it takes the buffers, not the slice. It does not wait:
// what the flow has no room for is lost. What exceeds the flow's MTU is
// fragmented.
func (p *Packets) Send(d []Datagram) error {
	out := batches.Get().(*batch)
	defer out.put()
	n, mtu := 0, p.f.MTU()
	var first error
	flush := func() {
		if n > 0 {
			if err := p.f.WriteBatch(out[:n]); err != nil && first == nil && !errors.Is(err, syscall.EAGAIN) {
				first = err
			}
			n = 0
		}
	}
	for i := range d {
		h := session.DatagramHeader{Addr: d[i].Addr}
		b := d[i].Buf
		if h.Len()+b.Len() > mtu || b.Len() > session.MaxDatagram {
			flush()
			if err := p.sendFragments(h, b); err != nil && first == nil {
				first = err
			}
			continue
		}
		h.Put(b.Prepend(h.Len()))
		out[n] = b
		if n++; n == len(out) {
			flush()
		}
	}
	flush()
	return first
}

// sendFragments sends a datagram in several packets; it takes the buffer.
func (p *Packets) sendFragments(h session.DatagramHeader, b *packet.Buffer) error {
	defer b.Release()
	count, size := session.Fragments(h, b.Len(), p.f.MTU())
	if count == 0 {
		p.unsendable.Add(1)
		return syscall.EMSGSIZE
	}
	h.ID, h.Last = uint16(p.id.Add(1)), uint8(count-1)
	data := b.Bytes()
	out := make([]*packet.Buffer, 0, count)
	for i := range count {
		h.Index = uint8(i)
		part := data[:min(size, len(data))]
		data = data[len(part):]
		f := packet.Get(h.Len() + len(part))
		h.Put(f.Extend(h.Len()))
		f.Append(part)
		out = append(out, f)
	}
	if err := p.f.WriteBatch(out); err != nil && !errors.Is(err, syscall.EAGAIN) {
		return err
	}
	return nil
}

// Receive hands datagrams to r from now on, on the goroutine that has them,
// one call at a time; r owns the buffers, not the slice, and must not block.
// closed is called once, when the session has ended: with io.EOF if the peer
// closed it, layer.ErrFlowPeer if the peer is dead; perhaps not after Close. Once per
// session.
func (p *Packets) Receive(r func([]Datagram), closed func(error)) {
	p.receiver, p.ended = r, closed
	p.f.Receive((*packetsReceiver)(p))
}

// packetsReceiver is the flow's view of Packets.
type packetsReceiver Packets

// Packets takes packets of the flow.
func (r *packetsReceiver) Packets(pkts []*packet.Buffer) {
	p := (*Packets)(r)
	for _, b := range pkts {
		p.take(b)
	}
	if len(p.batch) > 0 {
		p.receiver(p.batch)
		clear(p.batch)
		p.batch = p.batch[:0]
	}
}

// take reads one packet; it takes the buffer.
func (p *Packets) take(b *packet.Buffer) {
	p.mu.Lock()
	t := p.state.Take(time.Now(), b.Bytes())
	if t.Whole || t.Payload == nil { // not the usual datagram: fragments may wait
		p.watchLocked()
	}
	p.mu.Unlock()
	switch {
	case t.Whole:
		b.Release()
		b = packet.Get(len(t.Payload))
		b.Append(t.Payload)
	case t.Payload != nil:
		b.TrimFront(b.Len() - len(t.Payload))
	default:
		b.Release()
		if t.Reply != nil {
			p.f.WritePacket(t.Reply)
		}
		return
	}
	p.batch = append(p.batch, Datagram{t.Addr, b})
}

// watchLocked has fragments dropped when they are old.
func (p *Packets) watchLocked() {
	at, waits := p.state.Deadline()
	switch {
	case !waits || p.closed:
	case p.expiry == nil:
		p.expiry = time.AfterFunc(time.Until(at), p.expire)
	default:
		p.expiry.Reset(time.Until(at))
	}
}

func (p *Packets) expire() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.state.Expire(time.Now())
	p.watchLocked()
}

// Event takes the end of the flow.
func (r *packetsReceiver) Event(e layer.Event) {
	if e != layer.Closed {
		return
	}
	p := (*Packets)(r)
	p.done.Do(func() {
		var err error = layer.ErrFlowPeer
		if p.f.WritePacket(nil) != nil { // a keepalive goes as long as nobody has closed
			err = io.EOF
		}
		p.ended(err)
	})
}

// Close ends the session.
func (p *Packets) Close() error {
	var err error
	p.once.Do(func() {
		p.mu.Lock()
		p.closed = true
		if p.expiry != nil {
			p.expiry.Stop()
		}
		p.mu.Unlock()
		err = p.f.Close()
	})
	return err
}
