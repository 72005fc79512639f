// SPDX-License-Identifier: BSD-3-Clause

package integration

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"o7gw/integration/lab"
)

func init() {
	roles["tcp-echo"] = tcpEcho
	roles["churn"] = churn
}

// churners is how many connections churn makes at a time, each to a port of its own.
const churners = 8

// tcpEcho echoes what churn sends. Argument: the first address.
func tcpEcho(ctx context.Context, args []string) error { return lab.EchoTCP(ctx, args[0], churners) }

// churn makes connections, some of which end well, some are aborted, some
// vanish with their program. It fails if more than one in a hundred does: on a
// busy machine a service may not be asked in time, and then refuses. Arguments:
// the first address, duration.
func churn(_ context.Context, args []string) error {
	at, err := netip.ParseAddrPort(args[0])
	if err != nil {
		return err
	}
	length, err := time.ParseDuration(args[1])
	if err != nil {
		return err
	}
	end := time.Now().Add(length)
	var total, failed atomic.Int64
	var last atomic.Pointer[error]
	var wg sync.WaitGroup
	for worker := range churners {
		to := lab.PortBehind(at, worker).String()
		wg.Go(func() {
			data := make([]byte, 3000)
			for i := worker; time.Now().Before(end); i++ {
				total.Add(1)
				if err := visit(to, data, i%4); err != nil {
					failed.Add(1)
					last.Store(&err)
				}
			}
		})
	}
	wg.Wait()
	if f, n := failed.Load(), total.Load(); f*100 > n {
		return fmt.Errorf("%d of %d connections failed, at last: %w", f, n, *last.Load())
	}
	return nil
}

// visit makes one connection, which ends in one of several ways.
func visit(addr string, data []byte, way int) error {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer c.Close()
	if _, err := c.Write(data); err != nil {
		return err
	}
	if _, err := io.ReadFull(c, data); err != nil {
		return err
	}
	switch way {
	case 0:
		return c.(*net.TCPConn).SetLinger(0)
	case 1:
		if err := c.(*net.TCPConn).CloseWrite(); err != nil {
			return err
		}
		_, err := io.Copy(io.Discard, c)
		return err
	}
	return nil
}

// churnFor is how long one round of TestChurn takes; O7GW_CHURN sets another,
// such as 10m.
const churnFor = 4 * time.Second

// TestChurn: what sessions needed is given back when they end.
func TestChurn(t *testing.T) {
	length := churnFor
	if text := os.Getenv("O7GW_CHURN"); text != "" {
		var err error
		if length, err = time.ParseDuration(text); err != nil {
			t.Fatal(err)
		}
	}
	w := newSites(t, 4*length+time.Minute)
	gateways := []*lab.Proc{w.up(1, servingConfig), w.up(0, usingConfig)}
	w.role(1, "listening", "tcp-echo", "127.0.0.1:7")
	to := w.ask(0, "sh", "-c", "getent ahostsv4 perf.o7s | head -1 | cut -d' ' -f1")
	usage := func(i int) lab.Usage {
		t.Helper()
		used, err := gateways[i].Usage()
		if err != nil {
			t.Fatal(err)
		}
		return used
	}
	idle := [2]lab.Usage{usage(0), usage(1)}
	round := func() (used [2]lab.Usage) {
		t.Helper()
		p := w.role(0, "", "churn", net.JoinHostPort(to[:len(to)-1], "7"), length.String())
		if err := p.Wait(w.ctx); err != nil {
			t.Fatalf("%v\n%s", err, p.Output())
		}
		for i := range gateways {
			// Rings are kept for further flows, and connections that were closed
			// last are remembered, for some seconds.
			w.eventually("descriptors are given back", func() bool {
				used[i] = usage(i)
				return used[i].Descriptors <= idle[i].Descriptors+4
			})
		}
		return used
	}
	round() // what there is once is there then
	first := round()
	second := round()
	for i := range gateways {
		t.Logf("gateway %d: %+v, then %+v, then %+v", i, idle[i], first[i], second[i])
		// The heap breathes; what stays of each of thousands of sessions would
		// be more.
		if grown := second[i].Resident - first[i].Resident; grown > first[i].Resident/4+(8<<20) {
			t.Errorf("gateway %d has grown by %d bytes", i, grown)
		}
	}
}
