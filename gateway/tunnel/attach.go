// SPDX-License-Identifier: BSD-3-Clause

package tunnel

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"time"
)

// Attach runs a tunnel in plain mode over one flow that exists, and returns
// when the flow or ctx ends, with the reason: what ovpn does. ready is called
// with the name and MTU of the interface once it is up. device is empty if the
// interface could not be made. The flow is closed in any case.
func Attach(ctx context.Context, cfg Config, f Flow, log *slog.Logger, ready func(device string, mtu int)) (device string, err error) {
	cfg.Plain = true
	if cfg.MTU == 0 {
		cfg.MTU = f.MTU()
	}
	t := New(cfg, nil, log)
	if err := t.openDevice(&cfg); err != nil {
		f.Close()
		return "", err
	}
	run, cancel := context.WithCancel(ctx)
	t.ctx, t.cancel, t.started = run, cancel, time.Now()
	failed := make(chan error, 1)
	t.wg.Go(func() {
		failed <- t.out.loop()
		cancel()
	})
	ready(t.dev.Name(), cfg.MTU)
	p := newPeer(t, f)
	err = p.run(run, func() {})
	ended := ctx.Err() == nil && run.Err() != nil
	t.Close()
	if devErr := <-failed; ended {
		err = fmt.Errorf("interface %s: %w", t.dev.Name(), devErr)
	}
	return t.dev.Name(), err
}

// openDevice makes the interface and what hangs on it.
func (t *Tunnel) openDevice(cfg *Config) error {
	mtu := cfg.MTU
	if mtu == 0 {
		mtu = firstMTU
	}
	dev, err := t.open(cfg.Device, mtu)
	if err != nil {
		return err
	}
	t.dev, t.mtu, t.routes = dev, mtu, map[netip.Prefix]bool{}
	t.view.Store(t.newView())
	t.out = &outbound{t: t, sink: dev.NewWriter()}
	if err = dev.SetMTU(mtu, layerOverhead); err == nil {
		err = dev.SetAddrs(cfg.Addresses)
	}
	if err != nil {
		dev.Close()
	}
	return err
}
