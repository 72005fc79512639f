// SPDX-License-Identifier: BSD-3-Clause

package udpsock

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync/atomic"
	"syscall"
	"time"

	"o7gw/proxy"
	"o7gw/proxy/ledger"
)

// Rules are what a Relay keeps to.
type Rules struct {
	Idle time.Duration // the session ends when nothing passed for so long
	// Address returns where a datagram goes that the session has addressed so;
	// invalid: nowhere. nil: the socket is connected.
	Address func(to netip.AddrPort) netip.AddrPort
	// From reports whether a datagram of that source is passed on; nil: all
	// are.
	From func(from netip.AddrPort) bool
}

// ErrIdle ends a session through which nothing passed.
var ErrIdle = errors.New("idle")

// idleSteps is how often within the idle time the session is looked at.
const idleSteps = 4

// Relay joins a socket and a session until one of them ends, nothing passes for
// the idle time, or ctx ends; it closes both. It counts into s.
func Relay(ctx context.Context, sock *Socket, flow *proxy.Packets, s *ledger.Session, rules Rules) error {
	var busy atomic.Bool
	ended := make(chan error, 1)
	end := func(err error) {
		select {
		case ended <- err:
		default:
		}
	}
	flow.Receive(func(d []proxy.Datagram) {
		busy.Store(true)
		kept := rules.pass(d)
		bytes := 0
		for i := range kept {
			bytes += kept[i].Buf.Len()
		}
		s.Rx(len(kept), bytes)
		sock.Write(kept) // what the kernel refuses is lost, as on any network
	}, end)
	reading := make(chan struct{})
	go func() {
		defer close(reading)
		end(read(sock, flow, s, &busy, rules.From))
	}()
	err := watch(ctx, ended, &busy, rules.Idle)
	sock.Close()
	flow.Close()
	<-reading
	return err
}

// pass returns the datagrams that go somewhere, with where they go to, in d.
func (r *Rules) pass(d []proxy.Datagram) []proxy.Datagram {
	if r.Address == nil {
		return d
	}
	kept := d[:0]
	for i := range d {
		if to := r.Address(d[i].Addr); to.IsValid() {
			kept = append(kept, proxy.Datagram{Addr: to, Buf: d[i].Buf})
		} else {
			d[i].Buf.Release()
		}
	}
	return kept
}

// read carries datagrams of the socket to the flow until the socket is closed.
// If it is connected, and the first that it has to tell is that nobody is
// there, it ends with that.
func read(sock *Socket, flow *proxy.Packets, s *ledger.Session, busy *atomic.Bool, from func(netip.AddrPort) bool) error {
	heard := !sock.connected
	for {
		d, err := sock.Read()
		switch {
		case errors.Is(err, net.ErrClosed):
			return nil
		case errors.Is(err, syscall.ECONNREFUSED) && !heard:
			return err
		case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
			continue // of a datagram before; the service may come back
		case err != nil:
			return err
		}
		bytes := 0
		kept := d[:0]
		for i := range d {
			if from != nil && !from(d[i].Addr) {
				d[i].Buf.Release()
				continue
			}
			bytes += d[i].Buf.Len()
			kept = append(kept, d[i])
		}
		if len(kept) == 0 {
			continue
		}
		heard = true
		busy.Store(true)
		s.Tx(len(kept), bytes)
		if err := flow.Send(kept); err != nil {
			return err
		}
	}
}

// watch waits for the end of a session.
func watch(ctx context.Context, ended <-chan error, busy *atomic.Bool, idle time.Duration) error {
	t := time.NewTicker(idle / idleSteps)
	defer t.Stop()
	quiet := 0
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case err := <-ended:
			if err == io.EOF {
				return nil
			}
			return err
		case <-t.C:
		}
		if busy.Swap(false) {
			quiet = 0
		} else if quiet++; quiet >= idleSteps {
			return ErrIdle
		}
	}
}
