// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"

	"o7gw/integration/lab"
	"o7gw/o7s"
)

// roleEnv names the role that a re-execution of this program plays on a
// host.
const roleEnv = "O7GW_BENCH_ROLE"

var roles = map[string]func(ctx context.Context, args []string) error{
	"wireguard":   playWireguard,
	"sink":        playSink,
	"source":      playSource,
	"allocator":   playAllocator,
	"dialer":      playDialer,
	"closer":      playCloser,
	"bare-echo":   playBareEcho,
	"bare-ping":   playBarePing,
	"echo":        playEcho,
	"echo-client": playEchoClient,
	"delay":       playDelay,
	"tcp-echo":    playTCPEcho,
	"tcp-pong":    playTCPPong,
	"tcp-conns":   playTCPConns,
	"tcp-idle":    playTCPIdle,
	"udp-count":   playUDPCount,
	"udp-load":    playUDPLoad,
}

// play runs a role until it is done or SIGTERM comes, and returns the exit
// status.
func play(role string, args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	f := roles[role]
	if f == nil {
		fmt.Fprintf(os.Stderr, "bench: no role is called %q\n", role)
		return 1
	}
	if err := f(ctx, args); err != nil {
		fmt.Fprintf(os.Stderr, "bench: %s: %v\n", role, err)
		return 1
	}
	return 0
}

// roleCommand is the command that plays a role with a daemon's run directory.
func roleCommand(dir, role string, args ...string) (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self, args...)
	cmd.Env = append(os.Environ(), roleEnv+"="+role, "O7S_RUN_DIR="+dir)
	return cmd, nil
}

// startRole starts a role on a host.
func startRole(h *lab.Host, dir, role string, args ...string) (*lab.Proc, error) {
	cmd, err := roleCommand(dir, role, args...)
	if err != nil {
		return nil, err
	}
	return h.Start(cmd)
}

// listen serves a name of the daemon as a role, and tells the bench when clients
// can come. The listener ends with the stack that is returned, too.
func listen(ctx context.Context, name string) (*o7s.Stack, *o7s.Listener, error) {
	stack, err := o7s.Connect(ctx, "")
	if err != nil {
		return nil, nil, err
	}
	l, err := stack.Listen(ctx, name)
	if err != nil {
		stack.Close()
		return nil, nil, err
	}
	fmt.Fprintln(os.Stdout, "ready")
	return stack, l, nil
}

// report prints the result of a role, for result.
func report(v any) error { return json.NewEncoder(os.Stdout).Encode(v) }

// result waits for the end of a process and decodes the last line that it
// printed.
func result(ctx context.Context, p *lab.Proc, v any) error {
	if err := p.Wait(ctx); err != nil {
		return fmt.Errorf("%w\n%s", err, p.Output())
	}
	lines := strings.Split(strings.TrimSpace(p.Output()), "\n")
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), v); err != nil {
		return fmt.Errorf("result of %s: %w\n%s", p.Name, err, p.Output())
	}
	return nil
}
