// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"o7gw/o7s"
)

const (
	rateName = "rate"
	// dialers is how many flows one process allocates at the same time.
	dialers = 48
	// acceptors is how many calls of Accept the server has under way.
	acceptors  = 8
	ratePeriod = 2 * time.Second
	rateRuns   = 5
	// tick is the unit of times in /proc.
	tick = 10 * time.Millisecond
)

// allocated is the result of a dialer.
type allocated struct {
	Flows     uint64
	Seconds   float64
	Processor float64 // seconds that it used itself
}

// allocRate measures how many flows a second a client gets, one process
// allocating and closing them, another on the other host accepting them.
func allocRate(ctx context.Context, b *bench) ([]figure, error) {
	p, err := b.unicastPair(ctx, rateName)
	if err != nil {
		return nil, err
	}
	defer p.Close()
	return p.allocRate(ctx, "alloc_rate")
}

func (p *pair) allocRate(ctx context.Context, figureName string) ([]figure, error) {
	server, err := p.role(1, "closer", rateName)
	if err != nil {
		return nil, err
	}
	if err := server.WaitFor(ctx, "ready"); err != nil {
		return nil, err
	}
	var rates, costs []float64
	for range rateRuns {
		before, err := p.processorTime()
		if err != nil {
			return nil, err
		}
		client, err := p.role(0, "dialer", rateName, strconv.Itoa(dialers), ratePeriod.String())
		if err != nil {
			return nil, err
		}
		var out allocated
		if err := result(ctx, client, &out); err != nil {
			return nil, err
		}
		after, err := p.processorTime()
		if err != nil {
			return nil, err
		}
		if out.Flows == 0 {
			return nil, errors.New("no flow was allocated")
		}
		rates = append(rates, float64(out.Flows)/out.Seconds)
		costs = append(costs, ((after-before).Seconds()+out.Processor)*1e6/float64(out.Flows))
	}
	return []figure{
		newFigure(figureName, "1/s", rates, nil),
		newFigure(figureName+"_cpu", "µs/flow", costs, nil),
	}, nil
}

// processorTime returns what all processes of both hosts have used.
func (p *pair) processorTime() (time.Duration, error) {
	var ticks uint64
	for _, h := range p.hosts {
		pids, err := h.Processes()
		if err != nil {
			return 0, err
		}
		for _, pid := range pids {
			text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
			if err != nil {
				return 0, err
			}
			// The name of the program, in parentheses, may contain anything.
			fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
			if len(fields) < 13 {
				return 0, fmt.Errorf("no times of process %d", pid)
			}
			for _, f := range fields[11:13] { // of its own code and of the kernel
				n, err := strconv.ParseUint(f, 10, 64)
				if err != nil {
					return 0, fmt.Errorf("times of process %d: %w", pid, err)
				}
				ticks += n
			}
		}
	}
	return time.Duration(ticks) * tick, nil
}

// playDialer is the role that allocates flows and closes them: arguments are the
// name, how many at the same time, and the time.
func playDialer(ctx context.Context, args []string) error {
	workers, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	period, err := time.ParseDuration(args[2])
	if err != nil {
		return err
	}
	stack, err := o7s.Connect(ctx, "")
	if err != nil {
		return err
	}
	defer stack.Close()
	var flows atomic.Uint64
	start := time.Now()
	err = each(workers, workers, func(int) error {
		for time.Since(start) < period {
			flow, err := stack.Dial(ctx, args[0])
			if err != nil {
				return err
			}
			if err := flow.Close(); err != nil {
				return err
			}
			flows.Add(1)
		}
		return nil
	})
	if err != nil {
		return err
	}
	out := allocated{Flows: flows.Load(), Seconds: time.Since(start).Seconds()}
	var used unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &used); err != nil {
		return err
	}
	out.Processor = time.Duration(used.Utime.Nano() + used.Stime.Nano()).Seconds()
	return report(out)
}

// playCloser is the role that accepts the flows to the name, its argument, and
// closes each when the client has.
func playCloser(ctx context.Context, args []string) error {
	stack, err := o7s.Connect(ctx, "")
	if err != nil {
		return err
	}
	defer stack.Close()
	l, err := stack.Listen(ctx, args[0])
	if err != nil {
		return err
	}
	defer l.Close()
	fmt.Fprintln(os.Stdout, "ready")
	var flows sync.WaitGroup
	defer flows.Wait()
	return each(acceptors, acceptors, func(int) error {
		for {
			flow, err := l.AcceptFlow(ctx)
			if ctx.Err() != nil {
				return nil
			}
			if err != nil {
				return err
			}
			flows.Go(func() {
				defer flow.Close()
				defer context.AfterFunc(ctx, func() { flow.Close() })()
				buf := make([]byte, 64)
				var err error
				for err == nil {
					_, _, err = flow.ReadPacket(buf)
				}
				if ctx.Err() == nil && !errors.Is(err, io.EOF) {
					fmt.Fprintln(os.Stderr, "bench: closer:", err)
				}
			})
		}
	})
}
