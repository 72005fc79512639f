// SPDX-License-Identifier: BSD-3-Clause

package segment

import "o7gw/o7s/packet"

// view is what the data path reads of the segment's state, replaced as a
// whole.
type view struct {
	flood    []*port          // where frames to all go
	byID     map[uint64]*port // the flow to each member, if a layer floods
	relay    bool
	maxFrame int // bytes
	rate     int // frames per second from one port that go to all
}

// sink takes frames for the interface. It releases them, and returns how many it
// could not take.
type sink interface {
	write(frames []*packet.Buffer) (dropped int)
}

// lane is the way of the frames that come in at one port. One goroutine at a
// time is on it. It collects what follows each other to the same port.
type lane struct {
	s     *Segment
	in    *port
	view  *view // of the batch
	now   int64 // of the batch, ns
	storm storm
	parts assembler

	to    *port // of run
	run   []*packet.Buffer
	frags []*packet.Buffer
	local []*packet.Buffer // for the interface
	sink  sink
}

func newLane(s *Segment, in *port) *lane {
	return &lane{
		s: s, in: in, sink: s.sink(),
		run:   make([]*packet.Buffer, 0, packet.BatchSize),
		local: make([]*packet.Buffer, 0, packet.BatchSize),
	}
}

// begin prepares for a batch.
func (l *lane) begin() {
	l.view = l.s.view.Load()
	l.now = l.s.clock()
}

// end sends what the batch left.
func (l *lane) end() {
	l.flush()
	if len(l.local) > 0 {
		l.s.deliver(l)
	}
}

// fromTAP takes frames of the interface.
func (l *lane) fromTAP(frames []*packet.Buffer) {
	l.begin()
	bytes := 0
	for _, b := range frames {
		bytes += b.Len()
		h := header{typ: typeFrame, count: 1, seq: l.s.seq, id: l.s.id}
		l.s.seq++
		l.frame(b, &h)
	}
	l.in.rx.add(len(frames), bytes)
	l.end()
}

// fromFlow takes packets of a flow. It takes the buffers, not the slice.
func (l *lane) fromFlow(pkts []*packet.Buffer) {
	l.begin()
	frames, bytes := 0, 0
	for _, b := range pkts {
		h, n, err := parseHeader(b.Bytes())
		if err != nil {
			l.in.counts.malformed.Add(1)
			b.Release()
			continue
		}
		if h.typ != typeFrame {
			l.control(&h)
			b.Release()
			continue
		}
		if h.id == l.s.id || l.s.repeats.known(h.id, h.seq) {
			l.in.counts.repeated.Add(1)
			b.Release()
			continue
		}
		b.TrimFront(n)
		if h.count > 1 {
			if b = l.join(b, &h); b == nil {
				continue
			}
		}
		if !l.s.repeats.first(h.id, h.seq) { // came over two flows at once
			l.in.counts.repeated.Add(1)
			b.Release()
			continue
		}
		frames++
		bytes += b.Len()
		l.frame(b, &h)
	}
	l.in.rx.add(frames, bytes)
	l.end()
}

// control takes a packet without a frame. Types that a later version may have
// are ignored.
func (l *lane) control(h *header) {
	// Who is at the other end does not change: one answer is enough.
	if h.typ != typeHello || l.in.kind == broadcast || h.id == l.s.id || !l.in.neighbour.CompareAndSwap(0, h.id) {
		return
	}
	select {
	case l.in.hello <- struct{}{}:
	default:
	}
}

// join takes a fragment and returns the frame if it is complete, else nil.
func (l *lane) join(b *packet.Buffer, h *header) *packet.Buffer {
	lost := l.parts.lost
	frame, ok := l.parts.add(h, b.Bytes(), l.view.maxFrame)
	b.Release()
	if !ok {
		l.in.counts.malformed.Add(1)
	}
	if n := l.parts.lost - lost; n > 0 {
		l.in.counts.incomplete.Add(n)
	}
	return frame
}

// frame switches one frame. It takes the buffer.
func (l *lane) frame(b *packet.Buffer, h *header) {
	dst, src, ok := parseFrame(b.Bytes())
	if !ok || b.Len() > l.view.maxFrame {
		l.in.counts.malformed.Add(1)
		b.Release()
		return
	}
	// What comes by the layer is the member's that sent it, so that answers
	// take the flow to that one, if there is one.
	from := l.in
	if from.kind == broadcast {
		if p := l.view.byID[h.id]; p != nil {
			from = p
		}
	}
	own := l.s.mac.Load()
	if dst.linkLocal() || from.kind != local && src.mac() == own {
		l.drop(b)
		return
	}
	l.s.table.learn(src, from, l.now)
	if !dst.group() {
		to := l.s.table.lookup(dst)
		if dst.mac() == own {
			to = l.s.local
		}
		if to != nil {
			l.forward(b, h, from, to)
			return
		}
	}
	l.flood(b, h, from)
}

// forward sends a frame on to one port.
func (l *lane) forward(b *packet.Buffer, h *header, from, to *port) {
	switch {
	case to == from || to == l.in: // it is there already
		l.drop(b)
	case to.kind == local:
		l.local = append(l.local, b)
	case l.in.kind == local || l.view.relay && h.hops < maxHops:
		l.emit(to, b, h)
	default:
		l.drop(b)
	}
}

// flood sends a frame to all ports but the one it came from.
func (l *lane) flood(b *packet.Buffer, h *header, from *port) {
	if !l.storm.admit(l.now, l.view.rate) {
		l.in.counts.flooding.Add(1)
		b.Release()
		return
	}
	if l.in.kind != local {
		l.local = append(l.local, b)
		if !l.view.relay || h.hops >= maxHops {
			return
		}
	}
	for _, p := range l.view.flood {
		if p != l.in && p != from {
			l.emit(p, b.Clone(), h)
		}
	}
	if l.in.kind == local {
		b.Release()
	}
}

// emit sends a frame to the flow of a port, with those before and behind it
// that go there too.
func (l *lane) emit(to *port, b *packet.Buffer, h *header) {
	if l.to != to || len(l.run) == cap(l.run) {
		l.flush()
		l.to = to
	}
	out := header{typ: typeFrame, count: 1, seq: h.seq, id: h.id, hops: h.hops}
	if l.in.kind != local {
		out.hops++
	}
	out.put(b.Prepend(headerLen))
	l.run = append(l.run, b)
}

func (l *lane) flush() {
	if len(l.run) > 0 {
		l.to.send(l.run, &l.frags)
		clear(l.run)
		l.run = l.run[:0]
	}
	l.to = nil
}

func (l *lane) drop(b *packet.Buffer) {
	l.in.counts.filtered.Add(1)
	b.Release()
}
