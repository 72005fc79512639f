// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"o7gw/integration/lab"
	"o7gw/o7s"
)

const echoName = "echo"

// udp4Alloc measures the allocation of a flow to a remote name.
func udp4Alloc(ctx context.Context, b *bench) ([]figure, error) {
	p, err := b.pair()
	if err != nil {
		return nil, err
	}
	defer p.Close()
	if err := p.daemons(ctx, echoName); err != nil {
		return nil, err
	}
	server, err := p.role(1, "echo")
	if err != nil {
		return nil, err
	}
	if err := server.WaitFor(ctx, "ready"); err != nil {
		return nil, err
	}
	var medians []float64
	for range 5 {
		client, err := p.role(0, "allocator", "200")
		if err != nil {
			return nil, err
		}
		var times []float64
		if err := result(ctx, client, &times); err != nil {
			return nil, err
		}
		medians = append(medians, median(times))
	}
	return []figure{newFigure("udp4_alloc", "µs", medians, nil)}, nil
}

// playAllocator allocates flows one after the other and reports the times in
// µs.
func playAllocator(ctx context.Context, args []string) error {
	n, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	stack, err := o7s.Connect(ctx, "")
	if err != nil {
		return err
	}
	defer stack.Close()
	var times []float64
	for range n {
		start := time.Now()
		flow, err := stack.Dial(ctx, echoName)
		if err != nil {
			return err
		}
		times = append(times, float64(time.Since(start))/1e3)
		if err := flow.Close(); err != nil {
			return err
		}
	}
	return report(times)
}

// playEcho is the role that echoes on all flows to its name.
func playEcho(ctx context.Context, _ []string) error {
	stack, l, err := listen(ctx, echoName)
	if err != nil {
		return err
	}
	defer stack.Close()
	var flows sync.WaitGroup
	defer flows.Wait()
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
			for {
				n, _, err := flow.ReadPacket(buf)
				if err != nil {
					return
				}
				if err := flow.WritePacket(buf[:n]); err != nil {
					return
				}
			}
		})
	}
}

// Flows between two processes over one daemon, all open at once.
const manyFlows = 10000

// opened is the first report of playEchoClient.
type opened struct {
	OpenSeconds float64 // for all flows
	EchoSeconds float64 // for one packet on each
}

// flows10k opens them all and echoes on each. Memory is that of both
// applications and the daemon together, shared pages counted once.
func flows10k(ctx context.Context, b *bench) ([]figure, error) {
	p, err := b.single()
	if err != nil {
		return nil, err
	}
	defer p.Close()
	if err := p.daemons(ctx, echoName); err != nil {
		return nil, err
	}
	server, err := p.role(1, "echo")
	if err != nil {
		return nil, err
	}
	if err := server.WaitFor(ctx, "ready"); err != nil {
		return nil, err
	}
	before, err := memory(p.hosts[0])
	if err != nil {
		return nil, err
	}
	client, err := p.role(0, "echo-client", strconv.Itoa(manyFlows))
	if err != nil {
		return nil, err
	}
	if err := client.WaitFor(ctx, "echoed"); err != nil {
		return nil, err
	}
	after, err := memory(p.hosts[0])
	if err != nil {
		return nil, err
	}
	if err := client.Stop(ctx); err != nil {
		return nil, err
	}
	var o opened
	if err := result(ctx, client, &o); err != nil {
		return nil, err
	}
	perFlow := float64(after-before) / manyFlows / 1024
	one := func(name, unit string, v float64) figure { return newFigure(name, unit, []float64{v}, nil) }
	return []figure{
		one("flows10k", "flows", manyFlows),
		one("flows10k_memory", "KiB/flow", perFlow),
		one("flows10k_open", "1/s", manyFlows/o.OpenSeconds),
		one("flows10k_echo", "1/s", manyFlows/o.EchoSeconds),
	}, nil
}

// memory returns the bytes that all processes of a host use, shared pages
// counted once.
func memory(h *lab.Host) (int64, error) {
	pids, err := h.Processes()
	if err != nil {
		return 0, err
	}
	var sum int64
	for _, pid := range pids {
		text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "smaps_rollup"))
		if err != nil {
			return 0, err
		}
		_, rest, found := strings.Cut(string(text), "\nPss:")
		var kib int64
		if _, err := fmt.Sscan(rest, &kib); !found || err != nil {
			return 0, fmt.Errorf("no Pss of process %d", pid)
		}
		sum += kib * 1024
	}
	return sum, nil
}

// openers is how many flows are allocated at the same time.
const openers = 16

// playEchoClient opens many flows and echoes on all of them; then it keeps
// them open until SIGTERM.
func playEchoClient(ctx context.Context, args []string) error {
	n, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	stack, err := o7s.Connect(ctx, "")
	if err != nil {
		return err
	}
	defer stack.Close()
	flows := make([]*o7s.Flow, n)
	defer func() {
		for _, f := range flows {
			if f != nil {
				f.Close()
			}
		}
	}()
	start := time.Now()
	err = each(n, openers, func(i int) (err error) {
		flows[i], err = stack.Dial(ctx, echoName)
		return err
	})
	if err != nil {
		return err
	}
	o := opened{OpenSeconds: time.Since(start).Seconds()}
	start = time.Now()
	// All requests are on their way before the first reply is read.
	for i, f := range flows {
		if err := f.WritePacket(fmt.Appendf(nil, "packet %d", i)); err != nil {
			return err
		}
	}
	buf := make([]byte, 64)
	for i, f := range flows {
		f.SetReadDeadline(time.Now().Add(10 * time.Second))
		k, _, err := f.ReadPacket(buf)
		if err != nil {
			return fmt.Errorf("flow %d: %w", i, err)
		}
		if want := fmt.Sprintf("packet %d", i); string(buf[:k]) != want {
			return fmt.Errorf("flow %d: got %q, want %q", i, buf[:k], want)
		}
	}
	o.EchoSeconds = time.Since(start).Seconds()
	fmt.Fprintln(os.Stdout, "echoed")
	<-ctx.Done()
	return report(o)
}

// each calls f for 0 … n-1 from several goroutines and returns the first
// errors.
func each(n, workers int, f func(i int) error) error {
	var next atomic.Int64
	errs := make([]error, workers)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				if err := f(i); err != nil {
					errs[w] = fmt.Errorf("%d: %w", i, err)
					return
				}
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}
