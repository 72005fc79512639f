// SPDX-License-Identifier: BSD-3-Clause

package frcp

import (
	"time"

	"o7gw/o7s/packet"
)

// Drain fills dst with packets for the layer below and returns how many. The
// caller owns them, unless Config.Lend is set. When it fills dst more may
// follow. A driver whose lower end is full waits and calls Drain later: nothing is lost.
func (e *Endpoint) Drain(now time.Duration, dst []*packet.Buffer) int {
	e.begin()
	if len(dst) == 0 || e.err == errClosed {
		return 0
	}
	n := 0
	if e.err == nil {
		n = e.drainData(now, dst[:len(dst)-1]) // room for an acknowledgement
	}
	if n < len(dst) && e.reportDue(now) {
		dst[n] = e.control(now)
		n++
	}
	if n < len(dst) && e.askDue(now) {
		dst[n] = e.rendezvous(now)
		n++
	}
	e.end()
	return n
}

// copies is how many buffers are taken from the pool under one lock.
const copies = 32

// drainData sends what is lost, then what is new, as far as windows and pace allow.
func (e *Endpoint) drainData(now time.Duration, dst []*packet.Buffer) int {
	s := &e.snd
	var room [copies]*packet.Buffer
	spare := room[:0]
	n := 0
	for n < len(dst) {
		seq, ok := e.pick(now)
		if !ok {
			break
		}
		r := s.at(seq)
		e.transmit(now, seq, r)
		switch {
		case !e.cfg.Reliable:
			dst[n] = r.buf
			r.buf = nil
			s.una = s.next
			if e.cfg.Lend {
				e.lent = append(e.lent, dst[n])
			}
		case e.cfg.Lend:
			dst[n] = r.buf
		case r.size > poolSize:
			dst[n] = r.buf.Clone()
		default:
			if len(spare) == 0 {
				want := min(copies, len(dst)-n, s.lost.count+int(s.end-s.next)+1)
				spare = room[:want]
				packet.GetBatch(spare, poolSize)
			}
			c := spare[len(spare)-1]
			spare = spare[:len(spare)-1]
			c.Append(r.buf.Bytes())
			c.SetCube(r.buf.Cube())
			dst[n] = c
		}
		n++
	}
	packet.ReleaseBatch(spare)
	return n
}

// poolSize is the payload, in bytes, of the buffers that copies are made in; longer
// packets take one of their own.
const poolSize = 1500

// pick chooses the next packet to send.
func (e *Endpoint) pick(now time.Duration) (seq uint32, ok bool) {
	s := &e.snd
	s.paced = false
	again := s.lost.count > 0
	switch {
	case again && s.at(s.una).place == lost:
		seq = s.una // everything waits for it
	case again:
		seq = s.lost.head
	case s.next == s.end:
		if s.flying.bytes < e.cfg.Congestion.Window() {
			s.rate.idle(s)
		}
		s.blocked = false
		return 0, false
	case !before(s.next, s.edge) || s.next-s.una >= s.limit:
		e.block(now)
		return 0, false
	default:
		seq = s.next
	}
	s.blocked = false
	if !e.cfg.Reliable {
		return seq, true
	}
	if !e.mayFly(now, seq, int(s.at(seq).size)) {
		return 0, false
	}
	return seq, true
}

// mayFly reports whether congestion control and pace let a packet go.
func (e *Endpoint) mayFly(now time.Duration, seq uint32, size int) bool {
	s := &e.snd
	if s.flying.count > 0 && seq != s.una {
		if s.rtt.backoff > 0 && s.flying.count >= maxProbes {
			return false // feel the way until something is acknowledged
		}
		if s.flying.bytes+size > e.cfg.Congestion.Window() {
			e.hurry()
			return false
		}
	}
	s.paced = s.paceAt > now
	return !s.paced
}

// transmit writes the header of a packet that leaves now and does the books.
func (e *Endpoint) transmit(now time.Duration, seq uint32, r *record) {
	s := &e.snd
	h := Header{Flags: DATA, Seq: seq}
	if seq == s.una {
		h.Flags |= DRF
	}
	if s.finished && e.cfg.Extended && e.cfg.Reliable && seq == s.finSeq {
		h.Flags |= EXT
	}
	e.piggyback(now, &h)
	h.Put(r.buf.Bytes())
	e.stats.SentPackets++
	s.lastSent = now
	if r.place == waiting {
		s.next++
		r.first = now
	} else {
		e.stats.Retransmitted++
		s.remove(&s.lost, seq, r)
		r.again = true
	}
	if !e.cfg.Reliable {
		return
	}
	e.pace(now, int(r.size))
	s.rate.sent(now, s, r)
	r.at, r.place = now, flying
	s.append(&s.flying, seq, r)
	e.cfg.Congestion.Sent(now, int(r.size), s.flying.bytes)
}

// pace pushes back the time of the next packet. What was not used lately is given as
// a burst of up to a paceBurst.
func (e *Endpoint) pace(now time.Duration, size int) {
	rate := e.cfg.Congestion.Rate()
	if rate <= 0 {
		return
	}
	s := &e.snd
	s.paceAt = max(s.paceAt, now-paceBurst) + time.Duration(float64(size)/rate*float64(time.Second))
}

// paceBurst is how much a timer may be late without loss of rate, and paceStep how
// long packets are gathered.
const (
	paceBurst = 2 * time.Millisecond
	paceStep  = 500 * time.Microsecond
)

// paceDeadline returns when packets that wait for the pace alone may go.
func (e *Endpoint) paceDeadline() time.Duration {
	if !e.snd.paced {
		return never
	}
	return e.snd.paceAt + paceStep
}
