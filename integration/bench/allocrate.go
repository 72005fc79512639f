// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"o7gw/integration/lab"
	"o7gw/o7s"
)

const (
	rateName = "rate"
	// callerName is in the certificate of the client.
	callerName = "bench"
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
	return p.allocRate(ctx, "alloc_rate", "", "")
}

// allocRateAuth is allocRate with flows whose ends show certificates, and are
// encrypted with keys of their own.
func allocRateAuth(ctx context.Context, b *bench) ([]figure, error) {
	p, err := b.unicastPair(ctx, rateName)
	if err != nil {
		return nil, err
	}
	defer p.Close()
	if err := p.certify(ctx, rateName); err != nil {
		return nil, err
	}
	return p.allocRate(ctx, "alloc_rate_auth", callerName, rateName)
}

// certify gives the second host a certificate for the name, and the first one with
// which it calls the name, of one authority. Nothing less is accepted.
func (p *pair) certify(ctx context.Context, name string) error {
	client, server := lab.SecurityDir(p.dirs[0]), lab.SecurityDir(p.dirs[1])
	ca := filepath.Join(p.dir, "ca")
	for _, args := range [][]string{
		{"ca", "dir", ca},
		{"issue", name, "dir", server, "ca", ca + "/ca"},
		{"issue", callerName, "client", name, "dir", client, "ca", ca + "/ca"},
	} {
		out, err := exec.CommandContext(ctx, filepath.Join(p.b.bin, "irm"), append([]string{"pki"}, args...)...).CombinedOutput()
		if err != nil {
			return fmt.Errorf("irm pki %s: %w\n%s", strings.Join(args, " "), err, out)
		}
	}
	conf := []byte("kex = X25519\nrequire = encryption,authentication\n")
	for _, dir := range []string{filepath.Join(client, "client", name), filepath.Join(server, "server", name)} {
		if err := os.WriteFile(filepath.Join(dir, "enc.conf"), conf, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// allocRate measures with ends that show the names client and server.
func (p *pair) allocRate(ctx context.Context, figureName, client, server string) ([]figure, error) {
	closer, err := p.role(1, "closer", rateName, client)
	if err != nil {
		return nil, err
	}
	if err := closer.WaitFor(ctx, "ready"); err != nil {
		return nil, err
	}
	var rates, costs []float64
	for range rateRuns {
		before, err := p.processorTime()
		if err != nil {
			return nil, err
		}
		dialer, err := p.role(0, "dialer", rateName, server, strconv.Itoa(dialers), ratePeriod.String())
		if err != nil {
			return nil, err
		}
		var out allocated
		if err := result(ctx, dialer, &out); err != nil {
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

// shows returns an error if the peer of the flow does not show the name, or the
// flow is not encrypted although it does.
func shows(f *o7s.Flow, name string) error {
	if f.Peer() != name || (f.Cipher() == "") != (name == "") {
		return fmt.Errorf("the peer shows %q, cipher %q", f.Peer(), f.Cipher())
	}
	return nil
}

// playDialer is the role that allocates flows and closes them: arguments are the
// name, that which the peer is to show, how many at the same time, and the time.
func playDialer(ctx context.Context, args []string) error {
	workers, err := strconv.Atoi(args[2])
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
	var flows atomic.Uint64
	start := time.Now()
	err = each(workers, workers, func(int) error {
		for time.Since(start) < period {
			flow, err := stack.Dial(ctx, args[0])
			if err != nil {
				return err
			}
			if err := errors.Join(shows(flow, args[1]), flow.Close()); err != nil {
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

// playCloser is the role that accepts the flows to a name and closes each when the
// client has: arguments are the name, and that which the clients are to show.
func playCloser(ctx context.Context, args []string) error {
	stack, l, err := listen(ctx, args[0])
	if err != nil {
		return err
	}
	defer stack.Close()
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
			if err := shows(flow, args[1]); err != nil {
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
