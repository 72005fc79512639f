// SPDX-License-Identifier: BSD-3-Clause

package ca

import (
	"testing"
	"time"
)

const ms = int64(time.Millisecond)

func sender() *Sender {
	var f Flow
	f.Init(MBECN, 0)
	return &f.Sender
}

// The sample run of spec 20 §7.3: 1000-byte packets every 0.2 ms.
func TestSampleRun(t *testing.T) {
	const gap = 200_000 // ns
	s := sender()
	now := int64(0)
	// send sends the next packet, later by the delay of the one before.
	send := func() int64 {
		delay := s.Sent(now, 1, 1000)
		now += max(delay, gap)
		return delay
	}
	for i := 1; i < 66; i++ {
		if d := send(); d != 0 {
			t.Fatalf("packet %d is delayed by %d ns", i, d)
		}
	}
	// It comes at 13 ms; the slot ends at 16.777 ms.
	if d := send(); d != 1<<24-65*gap {
		t.Fatalf("packet 66 is delayed by %d ns", d)
	}
	send() // opens the next slot
	if got := s.Stats(); got.Slot != 1<<23 || got.Window != 65536 || got.Regime != "Slow start" {
		t.Fatalf("after the first slot: %+v", got)
	}
	start := s.start
	s.Update(now, 256)
	if got := s.Stats(); got.Regime != "Multiplicative dec" || got.Level != 256 {
		t.Fatalf("after the report: %+v", got)
	}
	// The report is valid for 32 packets, the slot is longer: one more comes.
	for i := 0; s.start == start; i++ {
		if i%30 == 29 {
			s.Update(now, 256)
		}
		send()
	}
	if got := s.Stats(); got.Window != 63488 {
		t.Fatalf("after the second slot: %+v", got)
	}
	s.Update(now, 256)
	for i := 1; i <= 33; i++ {
		if got := s.Stats().Regime; got != "Multiplicative dec" {
			t.Fatalf("%s before packet %d", got, i)
		}
		send()
	}
	if got := s.Stats(); got.Regime != "Additive inc" || got.Level != 0 {
		t.Fatalf("%+v", got)
	}
	start = s.start
	for s.start == start {
		send()
	}
	if got := s.Stats(); got.Window <= 63488 || got.Rate() > 63488/float64(1<<23)*1e9+4e6 {
		t.Fatalf("after a slot without a report: %+v", got)
	}
}

// flood sends batches as fast as the limit permits, but not above most bytes/s,
// until the time is over, and returns how many bytes were sent.
func flood(s *Sender, now *int64, until int64, batch, size int, most float64) (sent int64) {
	for *now < until {
		left := batch
		var delay int64
		for left > 0 && delay == 0 {
			n, bytes := 0, 0
			for room := s.Room(*now); n < left && (n == 0 || int64(bytes) <= room); n++ {
				bytes += size
			}
			delay = s.Sent(*now, n, bytes)
			sent += int64(bytes)
			left -= n
		}
		*now += max(delay, int64(float64((batch-left)*size)/most*1e9))
	}
	return sent
}

// Slow start reaches the rate of a fast line soon, with batches and without.
func TestSlowStart(t *testing.T) {
	for _, c := range []struct {
		batch, size int
		rate        float64 // bytes/s
	}{{128, 1400, 1e9}, {128, 1024, 400e6}, {128, 1400, 125e6}, {45, 1400, 1e9}, {1, 1400, 125e6}, {1, 64, 10e6}} {
		s := sender()
		now := int64(0)
		first := flood(s, &now, 50*ms, c.batch, c.size, c.rate)
		start := now
		sent := flood(s, &now, 100*ms, c.batch, c.size, c.rate)
		if rate := float64(sent) / float64(now-start) * 1e9; rate < 0.98*c.rate {
			t.Errorf("%+v: %.0f bytes/s from 50 to 100 ms, %+v", c, rate, s.Stats())
		}
		t.Logf("%+v: %.0f%% of the rate in the first 50 ms, limit then %.2g bytes/s", c, float64(first)/(c.rate*0.05)*100, s.Stats().Rate())
	}
}

// A message of some packets on a new flow waits a few milliseconds at most.
func TestFirstBurst(t *testing.T) {
	s := sender()
	now := int64(0)
	for range 5 {
		flood(s, &now, now+1, 128, 1400, 1e9)
	}
	if now > 16*ms {
		t.Errorf("640 packets took %d ns", now)
	}
}

// A flow that sends little keeps what it may send (CA-3), however long, and
// its packets do not wait; nor does a burst then.
func TestSparse(t *testing.T) {
	s := sender()
	now := int64(0)
	flood(s, &now, 100*ms, 128, 1400, 500e6)
	s.Update(now, 0) // avoidance
	before := s.Stats().Rate()
	for range 600 {
		now += 1000 * ms
		if d := s.Sent(now, 1, 100); d != 0 {
			t.Fatalf("a lonely packet makes the next wait for %d ns", d)
		}
	}
	if after := s.Stats().Rate(); after < before {
		t.Errorf("limit fell from %.3g to %.3g bytes/s without congestion", before, after)
	}
	start := now
	sent := flood(s, &now, now+50*ms, 128, 1400, 500e6)
	if rate := float64(sent) / float64(now-start) * 1e9; rate < 450e6 {
		t.Errorf("%.3g bytes/s after silence", rate)
	}
	// The same for one that always was like that.
	s = sender()
	for range 600 {
		now += 1000 * ms
		s.Sent(now, 1, 100)
	}
	start = now
	flood(s, &now, now+1, 128, 1400, 500e6)
	if now-start > 5*ms {
		t.Errorf("a batch after silence took %d ns", now-start)
	}
}

// Small bursts of a flow that sends little do not wait in avoidance either.
func TestSparseBursts(t *testing.T) {
	s := sender()
	s.Update(0, 0)
	now := int64(0)
	for i := range 1000 {
		now += 5 * ms * int64(1+i%5)
		for range i % burst {
			if d := s.Sent(now, 1, 1000+i%400); d != 0 {
				t.Fatalf("a packet of burst %d makes the next wait for %d ns, %+v", i, d, s)
			}
		}
	}
}

// A flow that may send next to nothing is slow, but not for ever.
func TestRecovery(t *testing.T) {
	s := sender()
	now := int64(0)
	for range 2000 {
		s.Update(now, 8160)
		now += max(s.Sent(now, 1, 1400), 1000)
	}
	low := s.Stats()
	if low.Rate() > 100e3 {
		t.Errorf("under lasting congestion: %+v", low)
	}
	s.Update(now, 0)
	start := now
	flood(s, &now, now+3000*ms, 128, 1400, 125e6)
	mid := now
	sent := flood(s, &now, now+500*ms, 128, 1400, 125e6)
	if rate := float64(sent) / float64(now-mid) * 1e9; rate < 0.95*125e6 {
		t.Errorf("%.3g bytes/s 3 s after the congestion, %+v, %d", rate, s.Stats(), start)
	}
}

// A level of 32 e takes e/256 of the window for every 8 to 64 packets, whatever the rate.
func TestReaction(t *testing.T) {
	for _, rate := range []float64{4e6, 10e6, 100e6, 1e9} {
		for _, batch := range []int{1, 128} {
			s := sender()
			now := int64(0)
			flood(s, &now, 300*ms, batch, 1400, rate)
			// Find a limit that binds.
			for s.Stats().Rate() > rate/2 {
				s.Update(now, 512)
				flood(s, &now, now+1, batch, 1400, rate)
			}
			before, packets := s.Stats().Rate(), 0
			for s.Stats().Rate() > before/2 && packets < 100000 {
				s.Update(now, 512)
				packets += int(flood(s, &now, now+1, batch, 1400, rate)) / 1400
			}
			// Halved after 11 steps of 1/16.
			if packets < 11*least/2 || packets > 12*(2*most+batch) {
				t.Errorf("%g bytes/s in batches of %d: halved after %d packets", rate, batch, packets)
			}
		}
	}
}

// Nothing that comes in makes a sender fail or wait for longer than a second.
func FuzzSender(f *testing.F) {
	f.Add([]byte{1, 2, 3, 0, 255, 255, 9, 9, 9, 200, 100, 50, 7})
	f.Fuzz(func(t *testing.T, b []byte) {
		s := sender()
		now := int64(0)
		for ; len(b) >= 4; b = b[4:] {
			now += int64(b[0]) << (b[1] % 40)
			if b[2]%5 == 0 {
				s.Update(now, uint16(b[2])<<8|uint16(b[3]))
			}
			n := int(b[2])%200 + 1
			d := s.Sent(now, n, n*int(b[3])*16)
			if d < 0 || d > maxDelay {
				t.Fatalf("delay %d, %+v", d, s)
			}
			if s.window < 1 || s.step < 1 || s.shift < minShift || s.shift > maxShift {
				t.Fatalf("%+v", s)
			}
			if d == 0 && s.Room(now) < 0 {
				t.Fatalf("no room and no delay: %+v", s)
			}
		}
	})
}

func BenchmarkSent(b *testing.B) {
	b.ReportAllocs()
	s := sender()
	now := int64(0)
	for range b.N {
		now += 128_000
		s.Room(now)
		s.Sent(now, 128, 128*1024)
	}
}
