// SPDX-License-Identifier: BSD-3-Clause

package ca

import "testing"

// law decides when a flow that always has packets sends how many.
type law interface {
	send(now int64, size int) (packets int, delay int64)
	update(now int64, ece uint16)
}

// own is our law.
type own struct{ *Sender }

func (o own) send(now int64, size int) (packets int, delay int64) {
	for room := o.Room(now); packets < 32 && (packets == 0 || int64(packets*size) <= room); {
		packets++
	}
	return packets, o.Sent(now, packets, packets*size)
}

func (o own) update(now int64, ece uint16) { o.Update(now, ece) }

// bottleneck is a line in front of which the packets of some flows queue. Time
// goes in steps.
type bottleneck struct {
	rate  float64 // bytes/s
	delay int64   // ns, one way
	wait  bool    // senders wait while the queue is full; else packets are dropped

	now     int64
	flows   []*loop
	queue   []marked
	credit  float64
	dropped int
}

type marked struct {
	flow *loop
	ecn  uint8
}

// loop is a flow: both ends, and the reports on their way.
type loop struct {
	law
	Receiver
	gate      int64
	delivered int64 // bytes
	reports   []onTheWay
}

type onTheWay struct {
	at  int64
	ece uint16
}

const (
	stepTime = 20_000 // ns
	size     = 1400   // of all packets
	maxQueue = 1023
	// maxSpeed is how many packets a sender can send in a step.
	maxSpeed = 40
)

// run lets time pass, and returns the share of the line that was used and the mean
// length of the queue.
func (b *bottleneck) run(until int64) (used, queued float64) {
	var bytes, steps, sum float64
	perStep := b.rate * stepTime / 1e9
	for ; b.now < until; b.now += stepTime {
		for _, f := range b.flows {
			b.step(f)
		}
		b.credit = min(b.credit+perStep, perStep+size)
		for len(b.queue) > 0 && b.credit >= size {
			p := b.queue[0]
			b.queue = b.queue[1:]
			b.credit -= size
			bytes += size
			p.flow.delivered += size
			if ece, ok := p.flow.Received(p.ecn, 1); ok {
				p.flow.reports = append(p.flow.reports, onTheWay{b.now + 2*b.delay, ece})
			}
		}
		sum += float64(len(b.queue))
		steps++
	}
	return bytes / (perStep * steps), sum / steps
}

// step lets a flow send.
func (b *bottleneck) step(f *loop) {
	for len(f.reports) > 0 && f.reports[0].at <= b.now {
		f.update(b.now, f.reports[0].ece)
		f.reports = f.reports[1:]
	}
	for k := 0; f.gate <= b.now && k < maxSpeed; {
		if b.wait && len(b.queue) >= maxQueue {
			return
		}
		n, delay := f.send(b.now, size)
		f.gate = b.now + delay
		k += n
		for range n {
			if len(b.queue) >= maxQueue {
				b.dropped++
				continue
			}
			b.queue = append(b.queue, marked{f, MBECN.Mark(0, len(b.queue))})
		}
	}
}

// outcome is what came of flows that shared a line for a second.
type outcome struct {
	used, queued, share float64 // share: of the slowest flow to the fastest
	dropped             int
}

func share(n int, rate float64, delay int64, wait bool, l func() law) outcome {
	b := &bottleneck{rate: rate, delay: delay, wait: wait}
	for i := range n {
		b.flows = append(b.flows, &loop{law: l(), Receiver: Receiver{on: true}, gate: int64(i) * 30 * ms})
	}
	b.run(500 * ms)
	b.dropped = 0
	for _, f := range b.flows {
		f.delivered = 0
	}
	var o outcome
	o.used, o.queued = b.run(1500 * ms)
	o.dropped = b.dropped
	least, most := b.flows[0].delivered, b.flows[0].delivered
	for _, f := range b.flows {
		least, most = min(least, f.delivered), max(most, f.delivered)
	}
	o.share = float64(least) / float64(most)
	return o
}

// Flows that share a line use it, and keep its queue from being full. They do better
// than with the law of the prototype, whose bursts are its own congestion.
func TestBottleneck(t *testing.T) {
	for _, c := range []struct {
		flows int
		rate  float64
		delay int64
		used  float64 // at least
	}{
		{1, 125e6, ms / 10, 0.6},
		{4, 125e6, ms / 10, 0.9},
		{2, 600e6, ms / 20, 0.9},
		{4, 125e6, 5 * ms, 0.5},
		{1, 12.5e6, ms, 0.9},
		{2, 12.5e6, ms / 10, 0.9},
		{4, 12.5e6, ms, 0.85},
	} {
		ours := share(c.flows, c.rate, c.delay, false, func() law { return own{sender()} })
		theirs := share(c.flows, c.rate, c.delay, true, func() law { return newLiteral() })
		t.Logf("%d flows, %.3g bytes/s, %d µs:\nours   %+v\ntheirs %+v", c.flows, c.rate, c.delay/1000, ours, theirs)
		if ours.used < c.used || ours.used < theirs.used {
			t.Errorf("%d flows, %.3g bytes/s, %d µs: %.2f of the line used, with the prototype's law %.2f", c.flows, c.rate, c.delay/1000, ours.used, theirs.used)
		}
		if ours.queued > maxQueue/2 {
			t.Errorf("%d flows, %.3g bytes/s, %d µs: queue of %.0f packets", c.flows, c.rate, c.delay/1000, ours.queued)
		}
	}
}
