// SPDX-License-Identifier: BSD-3-Clause

package fa

import (
	"time"

	"o7gw/o7s/ipcp/unicast/ca"
	"o7gw/o7s/packet"
)

const (
	// maxQueue and maxQueueBytes bound what waits in a flow. Some round trips at
	// a rate that is worth pacing; a sender that is faster must lose packets
	// somewhere.
	maxQueue      = 2048
	maxQueueBytes = 4 << 20
	// pauseQueue and pauseBytes are from where on a user that can wait does so,
	// until half of that has left. What he has in his hands then still fits.
	pauseQueue = maxQueue / 4
	pauseBytes = maxQueueBytes / 4
	// maxLinger is how long what waits may take to leave after Close, in ns.
	maxLinger = int64(2 * time.Second)
)

// pacer is the sending half of a flow, guarded by flow.mu. Packets pass at once
// as long as the rate permits. Else they line up, and leave in order with the
// timer, or with the next packet that comes when the time has come. Nobody
// waits for anybody: while one goroutine is with the network, which may lead
// to anything, even back here, others line up and the first takes them along.
type pacer struct {
	ca    ca.Sender
	busy  bool  // somebody is with the network
	held  bool  // nothing may leave until the reply has left
	gate  int64 // nothing leaves before this time
	until int64 // closing: nothing leaves after this time

	queue []*packet.Buffer // waiting: queue[head:]
	head  int
	bytes int              // of those
	batch []*packet.Buffer // what leaves the queue; belongs to who is busy

	timer *time.Timer // nil until it was needed
	armed bool        // it will run; counted in FA.work

	resume func() // of a user who waits; nil: none does
}

// Paused implements layer.Pacer.
func (f *flow) Paused(resume func()) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.state.Load() != up || f.waitingLocked() < pauseQueue && f.bytes < pauseBytes {
		return false
	}
	f.resume = resume
	return true
}

// resumableLocked returns whom to tell that there is room now, nil if nobody waits or
// there is none.
func (f *flow) resumableLocked() func() {
	resume := f.resume
	if resume == nil || f.state.Load() == up && (f.waitingLocked() >= pauseQueue/2 || f.bytes >= pauseBytes/2) {
		return nil
	}
	f.resume = nil
	return resume
}

// Send implements layer.Port.
func (f *flow) Send(pkts []*packet.Buffer) {
	if f.state.Load() != up {
		f.fa.stats.notUp.Add(uint64(len(pkts)))
		release(pkts)
		return
	}
	mtu := f.fa.cfg.Net.MTU()
	start := 0
	for i, b := range pkts {
		if b.Len() > mtu {
			f.pass(pkts[start:i])
			start = i + 1
			f.dropped.tooLong.Add(1)
			f.fa.stats.tooLong.Add(1)
			b.Release()
			continue
		}
		b.SetCube(max(b.Cube(), uint8(f.cube)))
	}
	f.pass(pkts[start:])
}

// pass sends packets now or lines them up.
func (f *flow) pass(pkts []*packet.Buffer) {
	if len(pkts) == 0 {
		return
	}
	now := f.fa.now()
	f.mu.Lock()
	if f.busy || f.held || now < f.gate || f.waitingLocked() > 0 {
		f.keepLocked(pkts)
		f.drainLocked()
		return
	}
	n, size := f.admitLocked(now, pkts)
	f.keepLocked(pkts[n:])
	f.emitLocked(pkts[:n], size)
	f.drainLocked()
}

// admitLocked returns how many of the packets, one at least, may be sent now,
// and their bytes. It counts them as sent.
func (f *flow) admitLocked(now int64, pkts []*packet.Buffer) (n, size int) {
	room := f.ca.Room(now)
	for n < len(pkts) && (n == 0 || int64(size) <= room) {
		size += pkts[n].Len()
		n++
	}
	f.gate = now + f.ca.Sent(now, n, size)
	return n, size
}

// emitLocked gives packets to the network. Meanwhile f.mu is free.
func (f *flow) emitLocked(pkts []*packet.Buffer, size int) {
	f.busy = true
	f.mu.Unlock()
	n := len(pkts)
	f.sent.add(n, size)
	if f.fa.cfg.Net.Send(f.addr, f.remote.Load(), pkts) != nil {
		f.sendFailed.add(n, size)
	}
	f.mu.Lock()
	f.busy = false
}

// keepLocked lines packets up, or drops them.
func (f *flow) keepLocked(pkts []*packet.Buffer) {
	if len(pkts) == 0 {
		return
	}
	if f.state.Load() == ended { // this very moment
		f.fa.stats.notUp.Add(uint64(len(pkts)))
		release(pkts)
		return
	}
	if f.head > 0 && len(f.queue)+len(pkts) > cap(f.queue) {
		n := copy(f.queue, f.queue[f.head:])
		clear(f.queue[n:])
		f.queue, f.head = f.queue[:n], 0
	}
	n := 0
	for n < len(pkts) && f.waitingLocked() < maxQueue && f.bytes < maxQueueBytes {
		f.queue = append(f.queue, pkts[n])
		f.bytes += pkts[n].Len()
		n++
	}
	if rest := pkts[n:]; len(rest) > 0 {
		f.dropped.full.Add(uint64(len(rest)))
		f.fa.stats.full.Add(uint64(len(rest)))
		release(rest)
	}
}

func (f *flow) waitingLocked() int { return len(f.queue) - f.head }

// drainLocked sends what waits and may leave, and unlocks f.mu. It sees to it
// that the rest will.
func (f *flow) drainLocked() {
	for !f.busy && !f.held && f.waitingLocked() > 0 {
		now := f.fa.now()
		if f.state.Load() == closing && now >= f.until {
			f.dropLocked()
			break
		}
		if now < f.gate {
			f.armLocked(f.gate - now)
			break
		}
		if f.batch == nil {
			f.batch = make([]*packet.Buffer, packet.BatchSize)
		}
		waiting := f.queue[f.head:]
		n, size := f.admitLocked(now, waiting[:min(len(waiting), len(f.batch))])
		copy(f.batch, waiting[:n])
		clear(waiting[:n])
		f.head += n
		f.bytes -= size
		if f.head == len(f.queue) {
			f.queue, f.head = f.queue[:0], 0
		}
		f.emitLocked(f.batch[:n], size)
	}
	// The last of a closing flow has left, or never had to: not even the reply.
	over := !f.busy && f.waitingLocked() == 0 && f.state.CompareAndSwap(closing, ended)
	told := over && !f.held
	if over {
		f.stopLocked()
	}
	resume := f.resumableLocked()
	f.mu.Unlock()
	if resume != nil {
		resume()
	}
	switch {
	case told:
		f.finish()
	case over:
		f.fa.flows.remove(f, time.Now())
	}
}

// dropLocked drops what waits.
func (f *flow) dropLocked() {
	n := f.waitingLocked()
	f.dropped.full.Add(uint64(n))
	f.fa.stats.full.Add(uint64(n))
	release(f.queue[f.head:])
	f.queue, f.head, f.bytes = nil, 0, 0
}

// armLocked makes the timer run after ns. If it will run before, it arms
// itself again.
func (f *flow) armLocked(ns int64) {
	if f.armed {
		return
	}
	f.armed = true
	f.fa.work.Add(1) // not after Close, which ends the flow first
	if f.timer == nil {
		f.timer = time.AfterFunc(time.Duration(ns), f.tick)
	} else {
		f.timer.Reset(time.Duration(ns))
	}
}

// tick is what the timer runs.
func (f *flow) tick() {
	defer f.fa.work.Done()
	f.mu.Lock()
	f.armed = false
	f.drainLocked()
}

// stopLocked stops the timer and returns what waited.
func (f *flow) stopLocked() []*packet.Buffer {
	if f.armed && f.timer.Stop() {
		f.armed = false
		f.fa.work.Done()
	}
	waiting := f.queue[f.head:]
	f.queue, f.head, f.bytes = nil, 0, 0
	return waiting
}

// free lets packets leave, behind the reply.
func (f *flow) free() {
	f.mu.Lock()
	f.held = false
	f.drainLocked()
}

// release releases buffers whose slice belongs to somebody else.
func release(pkts []*packet.Buffer) {
	for _, b := range pkts {
		b.Release()
	}
}
