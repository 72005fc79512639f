// SPDX-License-Identifier: BSD-3-Clause

package flow

import (
	"io"
	"net"

	"o7gw/o7s/layer"
	"o7gw/o7s/packet"
	"o7gw/o7s/ring"
)

func (l *frcpLower) readInto(p []byte, keep bool, stop ring.Stop) (int, bool, error) {
	l.reading.Lock()
	defer l.reading.Unlock()
	for {
		if err := l.readable(); err != nil {
			return 0, false, err
		}
		if l.head == nil {
			l.head = l.next()
		}
		if l.head != nil {
			n, more := take(&l.head, p, keep)
			l.recvBytes.Add(uint64(n))
			return n, more, nil
		}
		if err := l.await(stop); err != nil {
			return 0, false, err
		}
	}
}

func (l *frcpLower) readBatch(bufs []*packet.Buffer, stop ring.Stop) (int, error) {
	l.reading.Lock()
	defer l.reading.Unlock()
	if len(bufs) == 0 {
		return 0, nil
	}
	for {
		if err := l.readable(); err != nil {
			return 0, err
		}
		n := 0
		if l.head != nil {
			bufs[0], l.head = l.head, nil
			n = 1
		}
		for n < len(bufs) {
			if bufs[n] = l.next(); bufs[n] == nil {
				break
			}
			n++
		}
		if n > 0 {
			for _, b := range bufs[:n] {
				l.recvBytes.Add(uint64(b.Len()))
			}
			return n, nil
		}
		if err := l.await(stop); err != nil {
			return 0, err
		}
	}
}

// readable returns why nothing can be read, whatever has arrived.
func (l *frcpLower) readable() error {
	if l.isClosed.Load() {
		return net.ErrClosed
	}
	return l.reading.expired()
}

// next returns the next packet in order, nil if there is none. An empty one
// is a message of the peer like any other; it carries nothing for a reader.
func (l *frcpLower) next() *packet.Buffer {
	for {
		if l.at == l.end {
			l.at, l.end = 0, l.refill()
			if l.end == 0 {
				return nil
			}
		}
		b := l.staged[l.at]
		l.staged[l.at] = nil
		l.at++
		l.unreadStaged.Store(int32(l.end - l.at))
		l.recvPkts.Add(1)
		if b.Len() > 0 {
			return b
		}
		b.Release()
	}
}

// refill takes packets from the Endpoint, which may then tell the peer of the
// room.
func (l *frcpLower) refill() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.dead {
		return 0
	}
	n := l.e.Read(l.now(), l.staged[:])
	if n > 0 {
		l.pumpLocked(false)
	}
	return n
}

// await waits after nothing was found.
func (l *frcpLower) await(stop ring.Stop) error {
	// In this order: what arrived before the end is seen.
	over := l.isOver.Load()
	if done, err := l.inbound(over); done || err != nil {
		return err
	}
	if l.isDown.Load() && !l.reliable {
		return ErrDown
	}
	return l.reading.wait(stop)
}

// inbound returns the error of a reader who has found nothing, or reports that
// there is something after all.
func (l *frcpLower) inbound(over bool) (found bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.dead:
		return false, net.ErrClosed
	case l.e.Readable() > 0:
		return true, nil
	case l.e.EOF():
		return false, io.EOF
	case l.e.Err() != nil:
		return false, ErrPeer
	case over && l.reliable:
		return false, ErrAborted
	case over:
		return false, io.EOF
	}
	return false, nil
}

// push hands all packets and events to r from now on.
func (l *frcpLower) push(r layer.Receiver, _ *Host) error {
	l.reading.Lock() // the reader leaves now
	var kept []*packet.Buffer
	if l.head != nil {
		kept = append(kept, l.head)
	}
	kept = append(kept, l.staged[l.at:l.end]...)
	l.head, l.at, l.end = nil, 0, 0
	l.unreadStaged.Store(0)
	l.reading.Unlock()
	if len(kept) > 0 {
		r.Packets(kept)
	}
	if l.isDown.Load() {
		r.Event(layer.Down)
	}
	l.mu.Lock()
	l.to = r
	l.settle(false)
	return nil
}

// deliverLocked hands the receiver what there is, one goroutine at a time. It
// releases mu during the calls.
func (l *frcpLower) deliverLocked() {
	if l.pushing {
		return // who is with the receiver looks again
	}
	l.pushing = true
	defer func() { l.pushing = false }()
	var bufs [pumped]*packet.Buffer
	for !l.dead {
		over := l.isOver.Load()
		if n := l.e.Read(l.now(), bufs[:]); n > 0 {
			l.pumpLocked(false)
			l.mu.Unlock()
			pkts := withoutKeepalives(bufs[:n])
			l.recvPkts.Add(uint64(len(pkts)))
			for _, b := range pkts {
				l.recvBytes.Add(uint64(b.Len()))
			}
			l.to.Packets(pkts)
			l.mu.Lock()
			continue
		}
		if (l.e.EOF() || l.e.Err() != nil || over) && !l.ended {
			l.ended = true
			l.mu.Unlock()
			l.to.Event(layer.Closed)
			l.mu.Lock()
			continue
		}
		return
	}
}
