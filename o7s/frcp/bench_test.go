// SPDX-License-Identifier: BSD-3-Clause

package frcp

import (
	"testing"
	"time"

	"o7gw/o7s/packet"
)

// pipe moves batches between two Endpoints in memory, as a driver would.
type pipe struct {
	a, b *Endpoint
	now  time.Duration
	in   [64]*packet.Buffer
	mid  [64]*packet.Buffer
	lose func() bool
}

func newPipe(reliable, lend bool, cc Congestion) *pipe {
	cfg := Config{Reliable: reliable, Extended: true, MPL: time.Millisecond, Lend: lend}
	p := &pipe{b: New(cfg), now: time.Second}
	cfg.Congestion = cc
	p.a = New(cfg)
	return p
}

// turn sends a batch of packets of size bytes and has it read at the other end.
func (p *pipe) turn(size int) (read int) {
	p.now += 10 * time.Microsecond
	n := min(len(p.in), p.a.Room())
	packet.GetBatch(p.in[:n], size)
	for _, b := range p.in[:n] {
		b.SetLen(size)
	}
	took := p.a.Send(p.now, p.in[:n])
	if took != n {
		panic("not taken")
	}
	p.move(p.a, p.b)
	read = p.b.Read(p.now, p.in[:])
	packet.ReleaseBatch(p.in[:read])
	p.move(p.b, p.a)
	return read
}

func (p *pipe) move(from, to *Endpoint) {
	for {
		n := from.Drain(p.now, p.mid[:])
		if n == 0 {
			return
		}
		if from.cfg.Lend { // as a ring would copy
			for i, b := range p.mid[:n] {
				p.mid[i] = b.Clone()
			}
		}
		k := 0
		for _, b := range p.mid[:n] {
			if p.lose != nil && p.lose() {
				b.Release()
				continue
			}
			p.mid[k] = b
			k++
		}
		to.Receive(p.now, p.mid[:k])
	}
}

func TestNoAllocation(t *testing.T) {
	for _, cc := range []Congestion{None{}, NewBBR(1412)} {
		for _, reliable := range []bool{true, false} {
			p := newPipe(reliable, false, cc)
			for range 1000 {
				p.turn(1400)
			}
			if n := testing.AllocsPerRun(1000, func() { p.turn(1400) }); n != 0 {
				t.Errorf("reliable %v, %T: %v allocations per batch", reliable, cc, n)
			}
		}
	}
}

func BenchmarkPackets(b *testing.B) {
	for _, c := range []struct {
		name     string
		reliable bool
		lend     bool
		cc       bool
		size     int
	}{
		{"reliable/64", true, false, false, 64},
		{"reliable/1024", true, false, false, 1024},
		{"reliable/1400", true, false, false, 1400},
		{"bbr/1400", true, false, true, 1400},
		{"ordered/64", false, false, false, 64},
		{"ordered/1024", false, false, false, 1024},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			var cc Congestion = None{}
			if c.cc {
				cc = NewBBR(c.size)
			}
			p := newPipe(c.reliable, c.lend, cc)
			sent := 0
			for sent < b.N {
				sent += p.turn(c.size)
			}
			b.ReportMetric(float64(sent)/b.Elapsed().Seconds()/1e6, "Mpkt/s")
		})
	}
}
