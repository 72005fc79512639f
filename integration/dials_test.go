// SPDX-License-Identifier: BSD-3-Clause

package integration

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"o7gw/integration/lab"
	"o7gw/o7s"
)

func init() {
	roles["echo-server"] = echoServer
	roles["read-to-the-end"] = readToTheEnd
	roles["many-dials"] = manyDials
}

// echoServer echoes every packet on every flow to a name, through the daemon.
func echoServer(ctx context.Context, args []string) error {
	s, err := o7s.Connect(ctx, "")
	if err != nil {
		return err
	}
	defer s.Close()
	l, err := s.Listen(ctx, args[0])
	if err != nil {
		return err
	}
	fmt.Println("listening")
	for {
		f, err := l.AcceptFlow(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		go func() {
			defer f.Close()
			buf := make([]byte, 2048)
			for {
				n, _, err := f.ReadPacket(buf)
				if err != nil || f.WritePacket(buf[:n]) != nil {
					return
				}
			}
		}()
	}
}

// manyDials allocates flows to a name at once and uses each. Arguments: name,
// number.
func manyDials(ctx context.Context, args []string) error {
	count, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	s, err := o7s.Connect(ctx, "")
	if err != nil {
		return err
	}
	defer s.Close()
	errs := make([]error, count)
	times := make([]time.Duration, count)
	var wg sync.WaitGroup
	begin := time.Now()
	for n := range count {
		wg.Go(func() {
			errs[n] = func() error {
				f, err := s.Dial(ctx, args[0])
				if err != nil {
					return err
				}
				defer f.Close()
				times[n] = time.Since(begin)
				text := fmt.Appendf(nil, "flow %d", n)
				if err := f.WritePacket(text); err != nil {
					return err
				}
				f.SetReadDeadline(time.Now().Add(30 * time.Second))
				buf := make([]byte, 100)
				if n, _, err := f.ReadPacket(buf); err != nil || !bytes.Equal(buf[:n], text) {
					return fmt.Errorf("got %q: %w", buf[:n], errors.Join(err, errors.New("no echo")))
				}
				return nil
			}()
		})
	}
	wg.Wait()
	var longest time.Duration
	for _, d := range times {
		longest = max(longest, d)
	}
	fmt.Printf("%d flows, the last after %v\n", count, longest)
	return errors.Join(errs...)
}

// TestManyDials: 500 flows at once from four processes all come into being,
// and leave nothing behind.
func TestManyDials(t *testing.T) {
	w := newWorld(t, 90*time.Second, 2)
	a, b := w.udpPair(addr4, "echo")
	server := w.role(1, "listening", "echo-server", "echo")
	round := func() {
		var clients []*lab.Proc
		for range 4 {
			clients = append(clients, w.role(0, "", "many-dials", "echo", "125"))
		}
		for _, c := range clients {
			if err := c.Wait(w.ctx); err != nil {
				t.Errorf("%v:\n%s", err, c.Output())
			}
			t.Log(c.Output())
		}
	}
	round()
	procs := []*lab.Proc{a.Proc, b.Proc, server}
	var before []lab.Usage
	for _, p := range procs {
		before = append(before, w.settled(p))
	}
	for range 3 {
		round()
	}
	for i, p := range procs {
		w.back(p, before[i])
	}
	for i := range 2 {
		if out := w.mustRun(i, "irm", "flow", "list", "--json"); out != "[]\n" {
			t.Errorf("flows are left:\n%s", out)
		}
	}
}
