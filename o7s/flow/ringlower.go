// SPDX-License-Identifier: BSD-3-Clause

package flow

import (
	"time"

	"o7gw/o7s/layer"
	"o7gw/o7s/packet"
	"o7gw/o7s/ring"
)

// ringLower is a flow on a ring.
type ringLower struct {
	e *ring.End
	q *ring.Port // in push mode
	// onRoom is told in push mode of room in a ring that had none; may be nil.
	onRoom func()
}

var _ lower = (*ringLower)(nil)

func (l *ringLower) readInto(p []byte, keep bool, stop ring.Stop) (int, bool, error) {
	if keep {
		return l.e.ReadPart(p, stop)
	}
	return l.e.Read(p, stop)
}

func (l *ringLower) readBatch(bufs []*packet.Buffer, stop ring.Stop) (int, error) {
	return l.e.ReadBatch(bufs, stop)
}

func (l *ringLower) write(p []byte, stop ring.Stop) error { return l.e.Write(p, stop) }

func (l *ringLower) writeBatch(pkts []*packet.Buffer, stop ring.Stop) (int, error) {
	n, err := l.e.WriteBatch(pkts, stop)
	lost := len(pkts) - n
	packet.ReleaseBatch(pkts)
	return lost, err
}

// A full ring needs no keepalive: the peer has enough to read.
func (l *ringLower) keepalive() { _ = l.e.TryWrite(nil) }

func (l *ringLower) setReadDeadline(t time.Time)  { l.e.SetReadDeadline(t) }
func (l *ringLower) setWriteDeadline(t time.Time) { l.e.SetWriteDeadline(t) }
func (l *ringLower) wakeReaders()                 { l.e.WakeReaders() }
func (l *ringLower) wakeWriters()                 { l.e.WakeWriters() }

func (l *ringLower) push(r layer.Receiver, h *Host) error {
	p, err := h.poller()
	if err != nil {
		return err
	}
	l.q = ring.NewPort(l.e, p)
	if l.onRoom != nil {
		l.q.OnRoom(l.onRoom)
	}
	l.q.Receive(r)
	return nil
}

func (l *ringLower) watch(set *ring.Set, changed func()) error {
	return set.Add(l.e, func() bool { changed(); return false })
}

func (l *ringLower) unwatch(set *ring.Set) { set.Remove(l.e) }
func (l *ringLower) resume(set *ring.Set)  { set.Resume(l.e) }

func (l *ringLower) unread() bool            { return l.e.Unread() }
func (l *ringLower) down() bool              { return l.e.Down() }
func (l *ringLower) peerClosed() bool        { return l.e.PeerClosed() || l.e.PeerFinished() }
func (l *ringLower) setDown(down bool) error { l.e.SetDown(down); return nil }

func (l *ringLower) sent() uint64     { return l.e.Sent() }
func (l *ringLower) received() uint64 { return l.e.Received() }

func (l *ringLower) stats() Stats {
	s := l.e.Stats()
	return Stats{
		SentPackets: s.SentPackets, SentBytes: s.SentBytes,
		ReceivedPackets: s.ReceivedPackets, ReceivedBytes: s.ReceivedBytes,
		QueuedIn: s.QueuedIn, QueuedOut: s.QueuedOut,
	}
}

func (l *ringLower) close() error { return l.e.Close() }
