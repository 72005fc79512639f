// SPDX-License-Identifier: BSD-3-Clause

// Command ovpn is a point-to-point IP tunnel over one flow (spec 40 §6.6): a
// server waits for a peer, a client connects to a server; every packet of the
// flow is one IP packet. It needs a running irmd.
//
// It differs from the prototype in that it takes IPv6, follows the MTU of the
// flow, ends when the flow does, and obeys signals at any time. For several
// peers, reconnects and routes use o7gw.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"os/signal"
	"syscall"

	"o7gw/gateway"
	"o7gw/gateway/tunnel"
	"o7gw/o7s"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGQUIT, syscall.SIGHUP, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Geteuid() == 0, os.Stdout))
}

// run returns the exit code.
func run(ctx context.Context, args []string, root bool, w io.Writer) int {
	o, err := parse(args)
	if errors.Is(err, errHelp) {
		fmt.Fprint(w, usage)
		return 0
	}
	// The prototype refuses this before it looks at the options.
	if !root {
		fmt.Fprintln(w, "ovpn must be run as root.")
		return 1
	}
	if err != nil {
		fmt.Fprintf(w, "%v\n\n%s", err, usage)
		return 1
	}
	out := reporter{w: w, json: o.json}
	stack, err := o7s.Connect(ctx, o.runDir)
	if err != nil {
		return out.fail(ctx, "", fmt.Sprintf("Failed to connect to the IRM daemon: %v.", err))
	}
	defer stack.Close()
	return carry(ctx, gateway.NewNetwork(stack), o, &out)
}

// carry gets the flow, and ends with it.
func carry(ctx context.Context, n tunnel.Network, o options, out *reporter) int {
	cfg := tunnel.Defaults()
	cfg.Name, cfg.Plain, cfg.Device = "ovpn", true, "tun%d"
	cfg.Addresses = []netip.Prefix{o.addr}
	// As the prototype: whatever is routed to the device goes to the peer, and
	// whatever comes from it is taken.
	cfg.Allow = []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}
	cfg.Routes = false
	var f tunnel.Flow
	var err error
	if o.name != "" {
		out.say("allocating", "Allocating a flow to %s.", o.name)
		if f, err = n.Dial(ctx, o.name, o.qos); err != nil {
			return out.fail(ctx, err.Error(), "Failed to allocate flow.")
		}
	} else {
		out.say("waiting", "Waiting for a new flow...")
		if f, err = accept(ctx, n); err != nil {
			return out.fail(ctx, err.Error(), "Failed to accept flow.")
		}
	}
	out.say("allocated", "Flow allocated.")
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	dev, err := tunnel.Attach(ctx, cfg, f, log, func(device string, mtu int) {
		out.device, out.mtu = device, mtu
		out.say("device", "Tunnel device name is %s.", device)
		out.say("started", "Starting read/write threads.")
	})
	switch {
	case err != nil && ctx.Err() == nil && dev == "":
		return out.fail(ctx, err.Error(), "Failed to open tunnel device.")
	case ctx.Err() != nil:
		out.say("shutdown", "Shutting down...")
		return 0
	}
	return out.fail(ctx, err.Error(), "Flow ended.")
}

// accept waits for one flow. Without a name of its own the server is found
// under the names that this program or process is bound to.
func accept(ctx context.Context, n tunnel.Network) (tunnel.Flow, error) {
	l, err := n.Listen(ctx, "")
	if err != nil {
		return nil, err
	}
	f, err := l.AcceptFlow(ctx)
	return f, errors.Join(err, l.Close())
}

// reporter prints the prototype's lines, or JSON objects, one per line.
type reporter struct {
	w      io.Writer
	json   bool
	device string
	mtu    int
}

type event struct {
	Event  string `json:"event"`
	Text   string `json:"text"`
	Device string `json:"device,omitempty"`
	MTU    int    `json:"mtu,omitempty"` // bytes
	Reason string `json:"reason,omitempty"`
}

func (r *reporter) say(name, format string, args ...any) {
	r.print(event{Event: name, Text: fmt.Sprintf(format, args...)})
}

func (r *reporter) print(e event) {
	if !r.json {
		fmt.Fprintln(r.w, e.Text)
		return
	}
	e.Device, e.MTU = r.device, r.mtu
	json.NewEncoder(r.w).Encode(e)
}

// fail reports an error and returns the exit code: 0 if a signal asked for the
// end.
func (r *reporter) fail(ctx context.Context, reason, text string) int {
	if ctx.Err() != nil {
		r.say("shutdown", "Shutting down...")
		return 0
	}
	if !r.json && reason != "" {
		fmt.Fprintf(os.Stderr, "ovpn: %s\n", reason)
	}
	r.print(event{Event: "error", Text: text, Reason: reason})
	return 1
}
