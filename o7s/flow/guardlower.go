// SPDX-License-Identifier: BSD-3-Clause

package flow

import (
	"sync"

	"o7gw/o7s/layer"
	"o7gw/o7s/packet"
	"o7gw/o7s/ring"
)

// guardLower is a raw flow whose packets are encrypted, or have a CRC.
type guardLower struct {
	lower
	guard *guard

	reading sync.Mutex     // held by the reader
	head    *packet.Buffer // read in part; guarded by reading
}

var _ lower = (*guardLower)(nil)

func (l *guardLower) readInto(p []byte, keep bool, stop ring.Stop) (int, bool, error) {
	l.reading.Lock()
	defer l.reading.Unlock()
	for l.head == nil {
		var one [1]*packet.Buffer
		if _, err := l.fill(one[:], stop); err != nil {
			return 0, false, err
		}
		l.head = one[0]
	}
	n, more := take(&l.head, p, keep)
	return n, more, nil
}

func (l *guardLower) readBatch(bufs []*packet.Buffer, stop ring.Stop) (int, error) {
	l.reading.Lock()
	defer l.reading.Unlock()
	if l.head != nil && len(bufs) > 0 {
		bufs[0], l.head = l.head, nil
		return 1, nil
	}
	return l.fill(bufs, stop)
}

// fill reads until there is a packet that passes the guard.
func (l *guardLower) fill(bufs []*packet.Buffer, stop ring.Stop) (int, error) {
	for {
		n, err := l.lower.readBatch(bufs, stop)
		if n = len(l.guard.open(bufs[:n])); n > 0 || err != nil || len(bufs) == 0 {
			return n, err
		}
	}
}

func (l *guardLower) write(p []byte, stop ring.Stop) error {
	if len(p) == 0 { // a keepalive
		return l.lower.write(nil, stop)
	}
	return writeOne(l, p, stop)
}

func (l *guardLower) writeBatch(pkts []*packet.Buffer, stop ring.Stop) (int, error) {
	pkts = withoutKeepalives(pkts)
	l.guard.seal(pkts)
	return l.lower.writeBatch(pkts, stop)
}

func (l *guardLower) push(r layer.Receiver, h *Host) error {
	l.reading.Lock()
	head := l.head
	l.head = nil
	l.reading.Unlock()
	if head != nil {
		r.Packets([]*packet.Buffer{head})
	}
	return l.lower.push(&opener{r, l.guard}, h)
}

func (l *guardLower) close() error {
	err := l.lower.close()
	l.reading.Lock() // the reader leaves now
	defer l.reading.Unlock()
	if l.head != nil {
		l.head.Release()
		l.head = nil
	}
	return err
}

// opener is the receiver of a lower end in push mode.
type opener struct {
	to    layer.Receiver
	guard *guard
}

func (o *opener) Packets(pkts []*packet.Buffer) {
	if pkts = o.guard.open(pkts); len(pkts) > 0 {
		o.to.Packets(pkts)
	}
}

func (o *opener) Event(e layer.Event) { o.to.Event(e) }

// take copies from the packet into p. What does not fit stays for the next
// call if keep is set. A packet that is used up is released, and *b nil.
func take(b **packet.Buffer, p []byte, keep bool) (n int, more bool) {
	n = copy(p, (*b).Bytes())
	(*b).TrimFront(n)
	if more = (*b).Len() > 0; !more || !keep {
		(*b).Release()
		*b = nil
	}
	return n, more
}
