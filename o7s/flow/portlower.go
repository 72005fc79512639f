// SPDX-License-Identifier: BSD-3-Clause

package flow

import (
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"o7gw/o7s/layer"
	"o7gw/o7s/packet"
	"o7gw/o7s/ring"
)

// portLower is a flow on a port of a layer in this process: packets arrive on
// the layer's goroutine and wait in a queue, or go on to a receiver.
type portLower struct {
	port layer.Port

	reading gate
	head    *packet.Buffer // read in part; guarded by reading
	writing gate           // for its deadline: nobody waits

	marks
	watcher

	mu sync.Mutex // guards the fields below
	q  queue
	to layer.Receiver // push mode

	arrivals, sentPkts, sentBytes, recvPkts, recvBytes, dropped atomic.Uint64
}

var _ lower = (*portLower)(nil)

func newPortLower(p layer.Port) *portLower {
	l := &portLower{port: p, reading: newGate(), writing: newGate()}
	p.Receive(l)
	return l
}

// Packets takes what the layer has received.
func (l *portLower) Packets(pkts []*packet.Buffer) {
	l.arrivals.Add(1)
	l.mu.Lock()
	if r := l.to; r != nil {
		l.mu.Unlock()
		l.count(pkts)
		r.Packets(pkts)
		return
	}
	n := 0
	if !l.isClosed.Load() {
		for n < len(pkts) && l.q.push(pkts[n]) {
			n++
		}
	}
	l.mu.Unlock()
	if n < len(pkts) {
		l.dropped.Add(uint64(len(pkts) - n))
		packet.ReleaseBatch(pkts[n:])
	}
	l.wakeReaders()
	l.changed()
}

// Event takes a change of the layer.
func (l *portLower) Event(e layer.Event) {
	l.note(e)
	l.mu.Lock()
	r := l.to
	l.mu.Unlock()
	if r != nil {
		r.Event(e)
	}
	l.wakeReaders()
	l.changed()
}

// count notes packets that leave the queue, or pass it.
func (l *portLower) count(pkts []*packet.Buffer) {
	var bytes uint64
	for _, p := range pkts {
		bytes += uint64(p.Len())
	}
	l.recvPkts.Add(uint64(len(pkts)))
	l.recvBytes.Add(bytes)
}

// take moves packets from the queue into bufs.
func (l *portLower) take(bufs []*packet.Buffer) int {
	l.mu.Lock()
	n := l.q.take(bufs)
	l.mu.Unlock()
	l.count(bufs[:n])
	return n
}

// await waits for the next token, after the queue was found empty.
func (l *portLower) await(stop ring.Stop) error {
	if l.isOver.Load() && !l.unread() {
		return io.EOF
	}
	if l.isDown.Load() {
		return ErrDown
	}
	return l.reading.wait(stop)
}

// readable returns why nothing can be read, whatever is queued.
func (l *portLower) readable() error {
	if l.isClosed.Load() {
		return net.ErrClosed
	}
	return l.reading.expired()
}

func (l *portLower) readInto(p []byte, keep bool, stop ring.Stop) (int, bool, error) {
	l.reading.Lock()
	defer l.reading.Unlock()
	for {
		if err := l.readable(); err != nil {
			return 0, false, err
		}
		if l.head == nil {
			var one [1]*packet.Buffer
			l.take(one[:])
			l.head = one[0]
		}
		if l.head != nil {
			n, more := take(&l.head, p, keep)
			return n, more, nil
		}
		if err := l.await(stop); err != nil {
			return 0, false, err
		}
	}
}

func (l *portLower) readBatch(bufs []*packet.Buffer, stop ring.Stop) (int, error) {
	l.reading.Lock()
	defer l.reading.Unlock()
	for {
		if err := l.readable(); err != nil {
			return 0, err
		}
		n := 0
		if l.head != nil && len(bufs) > 0 {
			bufs[0], l.head = l.head, nil
			n = 1
		}
		if n += l.take(bufs[n:]); n > 0 || len(bufs) == 0 {
			return n, nil
		}
		if err := l.await(stop); err != nil {
			return 0, err
		}
	}
}

// writable returns why nothing can be written.
func (l *portLower) writable() error {
	switch {
	case l.isClosed.Load():
		return net.ErrClosed
	case l.isOver.Load():
		return ErrPeerClosed
	case l.isDown.Load():
		return ErrDown
	}
	return l.writing.expired()
}

// singles are slices for one packet, since a slice given to an interface
// escapes.
var singles = sync.Pool{New: func() any { return new([1]*packet.Buffer) }}

// write never waits: a layer in this process drops what it cannot carry.
func (l *portLower) write(p []byte, _ ring.Stop) error {
	return writeOne(l, p, nil)
}

// writeOne writes a copy of p as a batch of one packet.
func writeOne(l interface {
	writeBatch(pkts []*packet.Buffer, stop ring.Stop) (lost int, err error)
}, p []byte, stop ring.Stop) error {
	b := packet.Get(len(p))
	b.Append(p)
	one := singles.Get().(*[1]*packet.Buffer)
	one[0] = b
	_, err := l.writeBatch(one[:], stop)
	one[0] = nil
	singles.Put(one)
	return err
}

func (l *portLower) writeBatch(pkts []*packet.Buffer, _ ring.Stop) (int, error) {
	if err := l.writable(); err != nil {
		n := len(pkts)
		packet.ReleaseBatch(pkts)
		return n, err
	}
	l.send(pkts)
	return 0, nil
}

func (l *portLower) send(pkts []*packet.Buffer) {
	var bytes uint64
	for _, p := range pkts {
		bytes += uint64(p.Len())
	}
	l.sentPkts.Add(uint64(len(pkts)))
	l.sentBytes.Add(bytes)
	l.port.Send(pkts)
}

func (l *portLower) keepalive() { _ = l.write(nil, nil) }

func (l *portLower) setReadDeadline(t time.Time)  { l.reading.setDeadline(t) }
func (l *portLower) setWriteDeadline(t time.Time) { l.writing.setDeadline(t) }

func (l *portLower) wakeReaders() { l.reading.kick() }

func (l *portLower) wakeWriters() {} // none waits

// push gives the receiver what is queued, and then what arrives, in order.
// No lock is held in its calls.
func (l *portLower) push(r layer.Receiver, _ *Host) error {
	bufs := make([]*packet.Buffer, packet.BatchSize)
	l.reading.Lock()
	bufs[0], l.head = l.head, nil
	l.reading.Unlock()
	if bufs[0] != nil {
		r.Packets(bufs[:1])
	}
	for {
		if n := l.take(bufs); n > 0 {
			r.Packets(bufs[:n])
			continue
		}
		l.mu.Lock()
		if l.q.len() == 0 {
			l.to = r
			l.mu.Unlock()
			break
		}
		l.mu.Unlock()
	}
	if l.isDown.Load() {
		r.Event(layer.Down)
	}
	if l.isOver.Load() {
		r.Event(layer.Closed)
	}
	return nil
}

func (l *portLower) unread() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.q.len() > 0
}

func (l *portLower) peerClosed() bool { return l.isOver.Load() }

func (l *portLower) setDown(bool) error {
	return fmt.Errorf("mark the flow as down: its lower end is a layer in this process: %w", layer.ErrNotSupported)
}

func (l *portLower) sent() uint64     { return l.sentPkts.Load() }
func (l *portLower) received() uint64 { return l.arrivals.Load() }

func (l *portLower) stats() Stats {
	l.mu.Lock()
	queued := l.q.bytes
	l.mu.Unlock()
	return Stats{
		SentPackets: l.sentPkts.Load(), SentBytes: l.sentBytes.Load(),
		ReceivedPackets: l.recvPkts.Load(), ReceivedBytes: l.recvBytes.Load(),
		Dropped: l.dropped.Load(), QueuedIn: queued,
	}
}

func (l *portLower) close() error {
	if l.isClosed.Swap(true) {
		return nil
	}
	err := l.port.Close()
	l.wakeReaders()
	// Readers leave now; what they have not read goes back to the pool.
	l.reading.Lock()
	defer l.reading.Unlock()
	if l.head != nil {
		l.head.Release()
		l.head = nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.q.release()
	return err
}
