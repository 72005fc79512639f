// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"o7gw/o7s"
	"o7gw/o7s/packet"
	"o7gw/o7s/qos"
)

const loadName = "sink"

// received is the result of a sink, sent that of a source.
type received struct {
	Packets uint64
	Seconds float64 // from the first packet to the last
	Bytes   uint64
}

type sent struct {
	Packets uint64
	Seconds float64
}

// load sends packets of a size for a second, runs times, and measures what
// arrives at the other process.
func (p *pair) load(ctx context.Context, figureName string, runs, size int, lossless bool) ([]figure, error) {
	if err := p.daemons(ctx, loadName); err != nil {
		return nil, err
	}
	var rates []float64
	for range runs {
		rate, err := p.burst(ctx, figureName, loadName, "raw", size, lossless)
		if err != nil {
			return nil, err
		}
		rates = append(rates, rate)
	}
	return []figure{newFigure(figureName, "1/s", rates, nil)}, nil
}

// burst sends packets for a second to a sink under the name, and returns how
// many of them arrived per second.
func (p *pair) burst(ctx context.Context, figureName, name, qosName string, size int, lossless bool) (float64, error) {
	sink, err := p.role(1, "sink", name)
	if err != nil {
		return 0, err
	}
	if err := sink.WaitFor(ctx, "ready"); err != nil {
		return 0, err
	}
	source, err := p.role(0, "source", name, qosName, strconv.Itoa(size), "1s")
	if err != nil {
		return 0, err
	}
	var out sent
	if err := result(ctx, source, &out); err != nil {
		return 0, err
	}
	var in received
	if err := result(ctx, sink, &in); err != nil {
		return 0, err
	}
	switch {
	case lossless && in.Packets != out.Packets:
		return 0, fmt.Errorf("%d packets sent, %d received", out.Packets, in.Packets)
	case in.Packets < 2 || in.Seconds <= 0:
		return 0, fmt.Errorf("only %d of %d packets received", in.Packets, out.Packets)
	}
	fmt.Fprintf(p.b.log, "%s (%s): %d packets sent, %d received in %.3f s\n", figureName, qosName, out.Packets, in.Packets, in.Seconds)
	// The longer of both times: a flow that stalls is not fast.
	return float64(in.Packets) / max(in.Seconds, out.Seconds), nil
}

func localPPS(ctx context.Context, b *bench) ([]figure, error) {
	p, err := b.single()
	if err != nil {
		return nil, err
	}
	defer p.Close()
	return p.load(ctx, "local_pps64", 5, 64, true)
}

func udp4PPS(ctx context.Context, b *bench) ([]figure, error) {
	p, err := b.pair()
	if err != nil {
		return nil, err
	}
	defer p.Close()
	return p.load(ctx, "udp4_pps1024", 5, 1024, false)
}

// playSource is the role that sends: arguments are the name, the QoS, the size
// and the time.
func playSource(ctx context.Context, args []string) error {
	qs, err := qos.Parse(args[1])
	if err != nil {
		return err
	}
	size, err := strconv.Atoi(args[2])
	if err != nil {
		return err
	}
	period, err := time.ParseDuration(args[3])
	if err != nil {
		return err
	}
	stack, err := o7s.Connect(ctx, "")
	if err != nil {
		return err
	}
	defer stack.Close()
	flow, err := stack.Dial(ctx, args[0], o7s.WithQoS(qs))
	if err != nil {
		return err
	}
	defer flow.Close()
	var out sent
	zeros := make([]byte, size)
	var batch [packet.BatchSize]*packet.Buffer
	start := time.Now()
	for time.Since(start) < period {
		packet.GetBatch(batch[:], size)
		for _, b := range batch {
			b.Append(zeros)
			binary.LittleEndian.PutUint64(b.Bytes(), out.Packets)
			out.Packets++
		}
		if err := flow.WriteBatch(batch[:]); err != nil {
			return err
		}
	}
	out.Seconds = time.Since(start).Seconds()
	if err := flow.Close(); err != nil {
		return err
	}
	return report(out)
}

// playSink is the role that receives one flow to the name, its argument, to its
// end. It checks that packets come in order and once.
func playSink(ctx context.Context, args []string) error {
	stack, l, err := listen(ctx, args[0])
	if err != nil {
		return err
	}
	defer stack.Close()
	flow, err := l.AcceptFlow(ctx)
	if err != nil {
		return err
	}
	defer flow.Close()
	var in received
	var first, last time.Time
	var next uint64
	var batch [packet.BatchSize]*packet.Buffer
	for {
		n, err := flow.ReadBatch(batch[:])
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		last = time.Now()
		if in.Packets == 0 {
			first = last
		}
		for _, b := range batch[:n] {
			seq := binary.LittleEndian.Uint64(b.Bytes())
			if seq < next {
				return fmt.Errorf("packet %d came after %d", seq, next-1)
			}
			next = seq + 1
			in.Bytes += uint64(b.Len())
		}
		in.Packets += uint64(n)
		packet.ReleaseBatch(batch[:n])
	}
	in.Seconds = last.Sub(first).Seconds()
	return report(in)
}
