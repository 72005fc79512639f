// SPDX-License-Identifier: BSD-3-Clause

package frcp

import "time"

// rack finds losses by time as RFC 8985 does: a packet is lost when one sent
// later has arrived and a round-trip time and some tolerance have passed. That holds for packets
// sent again, too, and needs no retransmission timeout. Toward a prototype,
// which reports no blocks, it never finds anything.
type rack struct {
	any    bool
	at     time.Duration // departure of the latest packet known to have arrived
	seq    uint32
	rtt    time.Duration // its round-trip time
	due    time.Duration // when the oldest packet under way is lost; never: not by this
	top    uint32        // highest number reported
	topSet bool
	late   bool   // packets were seen to overtake others
	grace  int    // quarters of a round-trip time to wait for packets that were overtaken
	dups   uint16 // the peer's count of duplicates
}

func (k *rack) init() { k.due, k.grace = never, 1 }

// delivered notes the arrival of a packet with the measured time.
func (k *rack) delivered(seq uint32, r *record, rtt time.Duration) {
	if !k.any || r.at > k.at || r.at == k.at && before(k.seq, seq) {
		k.any, k.at, k.seq, k.rtt = true, r.at, seq, rtt
	}
	if !k.topSet || before(k.top, seq) {
		k.top, k.topSet = seq, true
	}
}

// reordering looks whether first, now acknowledged, was overtaken and not lost.
func (k *rack) reordering(s *sender, first uint32) {
	if r := s.at(first); k.topSet && before(first, k.top) && !r.again && r.place == flying {
		k.late = true
	}
}

// spurious notes that a packet was taken for lost too soon.
func (k *rack) spurious() {
	k.late = true
	k.grace = min(k.grace+1, 8)
}

// dupThreshold is how many packets behind a missing one must have arrived for it to be
// lost at once, on a path that keeps the order.
const dupThreshold = 3

// tolerance is how long an overtaken packet is waited for.
func (s *sender) tolerance(seq uint32) time.Duration {
	k := &s.rack
	if !k.late && k.top-seq >= dupThreshold && before(seq, k.top) {
		return 0
	}
	// The scheduler of either end delays by tens of µs, however short the path.
	return max(time.Duration(k.grace)*s.rtt.min/4, 200*time.Microsecond)
}

// detect moves packets to the list of lost ones.
func (e *Endpoint) detect(now time.Duration) {
	s := &e.snd
	k := &s.rack
	k.due = never
	if !k.any {
		return
	}
	for s.flying.count > 0 {
		seq := s.flying.head
		r := s.at(seq)
		if r.at > k.at || r.at == k.at && !before(seq, k.seq) {
			return
		}
		if due := r.at + k.rtt + s.tolerance(seq); due > now {
			k.due = due
			return
		}
		e.lose(now, seq, r, false)
	}
}

// lose moves a packet under way to the list of lost ones, to its front if it was sent
// again before those.
func (e *Endpoint) lose(now time.Duration, seq uint32, r *record, first bool) {
	s := &e.snd
	s.remove(&s.flying, seq, r)
	r.place = lost
	if first {
		s.prepend(&s.lost, seq, r)
	} else {
		s.append(&s.lost, seq, r)
	}
	e.stats.Lost++
	e.cfg.Congestion.Lost(now, int(r.size))
}

// checkLosses finds what is lost by now.
func (e *Endpoint) checkLosses(now time.Duration) {
	s := &e.snd
	if !e.cfg.Reliable || e.err != nil {
		return
	}
	if s.outstanding() {
		since := max(s.at(s.una).first, s.unaAt)
		if !e.cfg.Extended {
			// The prototype acknowledges what was read, which may take long.
			since = max(since, s.heard)
		}
		if now-since > retransmitLimit {
			e.fail(ErrTimeout)
			return
		}
	}
	if e.cfg.Extended {
		e.detect(now)
	}
	if s.flying.count == 0 {
		return
	}
	if now >= s.timeoutAt() {
		e.timeout(now)
	} else if now >= e.probeAt() {
		e.probe(now)
	}
}

// timeoutAt returns when the retransmission timeout ends; never while what it would
// send again waits to be sent.
func (s *sender) timeoutAt() time.Duration {
	if s.at(s.una).place == lost {
		return never
	}
	oldest := s.flying.head
	if s.rtt.plain {
		oldest = s.una // nothing else can make progress
	}
	since := max(s.progress, s.at(oldest).at)
	if s.probes > 0 {
		since = max(since, s.probed)
	}
	return since + s.rtt.rto()
}

// timeout takes what is under way for lost: all of it toward ours, of which the list
// of held packets says what has arrived; the oldest toward a prototype, which may have all the rest.
func (e *Endpoint) timeout(now time.Duration) {
	s := &e.snd
	e.stats.Timeouts++
	s.rtt.backoff++
	if e.cfg.Extended {
		for s.flying.count > 0 {
			e.lose(now, s.flying.tail, s.at(s.flying.tail), true)
		}
	} else {
		if r := s.at(s.una); r.place == flying {
			e.lose(now, s.una, r, false)
		}
		s.recoverTo, s.recoverStep = s.next, 1
	}
	s.rack.due = never
	e.cfg.Congestion.Timeout(now)
}

// maxRecoverStep bounds how many packets a partial acknowledgement has sent again.
const maxRecoverStep = 32

// partial continues the recovery after a timeout toward a prototype: an
// acknowledgement that does not reach what had been sent by then says that the next is missing, too,
// and perhaps more. If the peer just reads slowly it gets copies.
func (e *Endpoint) partial(now time.Duration) {
	s := &e.snd
	if s.recoverStep == 0 {
		return
	}
	if !before(s.una, s.recoverTo) {
		s.recoverStep = 0
		return
	}
	s.recoverStep = min(2*s.recoverStep, maxRecoverStep)
	n := s.recoverStep
	for seq := s.una; n > 0 && before(seq, s.recoverTo); seq++ {
		if r := s.at(seq); r.place == flying && now-r.at > s.rtt.srtt {
			e.lose(now, seq, r, false)
			n--
		}
	}
}

// probeAt returns when a tail-loss probe is due: toward ours, whose
// acknowledgement of the last packet tells what is missing before it.
func (e *Endpoint) probeAt() time.Duration {
	s := &e.snd
	if !e.cfg.Extended || s.probes >= maxProbes || s.rtt.backoff > 0 || s.lost.count > 0 || s.flying.count == 0 {
		return never
	}
	return max(s.lastSent, s.progress) + s.rtt.probe()
}

// probe has the last packet sent again, before anything else; while the peer has
// acknowledged nothing at all the first one, without which it understands no other,
// unless it claims to hold just that.
func (e *Endpoint) probe(now time.Duration) {
	s := &e.snd
	s.probes++
	s.probed = now
	e.stats.Probes++
	seq := s.una
	if s.rtt.known || s.at(seq).place != flying {
		for seq = s.next - 1; s.at(seq).place != flying; {
			seq--
		}
	}
	r := s.at(seq)
	s.remove(&s.flying, seq, r)
	r.place = lost
	s.append(&s.lost, seq, r)
}

// lossDeadline returns when checkLosses has something to find.
func (e *Endpoint) lossDeadline() time.Duration {
	s := &e.snd
	if !e.cfg.Reliable || s.flying.count == 0 {
		return never
	}
	return min(s.rack.due, s.timeoutAt(), e.probeAt())
}
