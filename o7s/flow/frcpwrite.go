// SPDX-License-Identifier: BSD-3-Clause

package flow

import (
	"net"

	"o7gw/o7s/packet"
	"o7gw/o7s/ring"
)

func (l *frcpLower) write(p []byte, stop ring.Stop) error {
	if len(p) == 0 { // a keepalive
		if l.isClosed.Load() {
			return net.ErrClosed
		}
		if l.isOver.Load() {
			return ErrPeerClosed
		}
		l.keepalive()
		return nil
	}
	return writeOne(l, p, stop)
}

func (l *frcpLower) writeBatch(pkts []*packet.Buffer, stop ring.Stop) (lost int, err error) {
	pkts = withoutKeepalives(pkts)
	l.writing.Lock()
	defer l.writing.Unlock()
	for len(pkts) > 0 {
		if err := l.writable(); err != nil {
			packet.ReleaseBatch(pkts)
			return len(pkts), err
		}
		n := l.offer(pkts)
		if pkts = pkts[n:]; len(pkts) == 0 || n > 0 {
			continue
		}
		if err := l.writing.wait(stop); err != nil {
			packet.ReleaseBatch(pkts)
			return len(pkts), err
		}
	}
	return 0, nil
}

// offer gives the Endpoint as many packets as it takes, and sends what it can.
func (l *frcpLower) offer(pkts []*packet.Buffer) int {
	var bytes uint64
	l.mu.Lock()
	if l.dead {
		l.mu.Unlock()
		return 0
	}
	room := min(l.e.Room(), len(pkts))
	for _, b := range pkts[:room] {
		bytes += uint64(b.Len())
		b.SetCube(0) // one that overtakes the others would only wait for them
	}
	n := l.e.Send(l.now(), pkts[:room])
	l.pumpLocked(false)
	l.waiting = n == 0
	if n == 0 && l.e.Room() > 0 { // just now
		l.waiting = false
		l.writing.kick()
	}
	l.mu.Unlock()
	l.sentPkts.Add(uint64(n))
	l.sentBytes.Add(bytes)
	return n
}

// writable returns why nothing can be written.
func (l *frcpLower) writable() error {
	if l.isClosed.Load() {
		return net.ErrClosed
	}
	if l.isOver.Load() {
		return ErrPeerClosed
	}
	if l.isDown.Load() && !l.reliable {
		return ErrDown
	}
	l.mu.Lock()
	dead, failed, finished := l.dead, l.e.Err() != nil, l.finished
	l.mu.Unlock()
	switch {
	case dead: // just now
		return net.ErrClosed
	case failed:
		return ErrPeer
	case finished:
		return ErrFinished
	}
	return l.writing.expired()
}
