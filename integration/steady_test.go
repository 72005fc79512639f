// SPDX-License-Identifier: BSD-3-Clause

package integration

import (
	"context"
	"fmt"
	"strings"
	"time"

	"o7gw/integration/lab"
	"o7gw/o7s"
)

// steady is a program that keeps one flow to an oping server, whatever happens
// to what lies between, sends a request every 5 ms, and prints a dot for
// each reply. Argument: name.
func steady(ctx context.Context, args []string) error {
	stack, err := o7s.Connect(ctx, "")
	if err != nil {
		return err
	}
	defer stack.Close()
	flow, err := stack.Dial(ctx, args[0])
	if err != nil {
		return err
	}
	defer flow.Close()
	ended := make(chan error, 1)
	go func() {
		buf := make([]byte, 64)
		for {
			if _, err := flow.Read(buf); err != nil {
				ended <- err
				return
			}
			fmt.Print(".")
		}
	}()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if _, err := flow.Write(make([]byte, 64)); err != nil { // type 0: a request
				return err
			}
		case err := <-ended:
			return err
		case <-ctx.Done():
			return nil
		}
	}
}

// replies is how many the program has got so far.
func replies(p *lab.Proc) int { return strings.Count(p.Output(), ".") }
