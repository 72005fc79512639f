// SPDX-License-Identifier: BSD-3-Clause

package exit

import (
	"context"
	"net"
	"net/netip"
	"time"
)

// attemptDelay is the head start of an attempt to connect before the next
// begins (RFC 8305 §5).
const attemptDelay = 250 * time.Millisecond

// interleave orders addresses so that families alternate, IPv6 first (RFC 8305
// §4).
func interleave(addrs []netip.Addr) []netip.Addr {
	var six, four, out []netip.Addr
	for _, a := range addrs {
		if a.Is6() {
			six = append(six, a)
		} else {
			four = append(four, a)
		}
	}
	for len(six)+len(four) > 0 {
		if len(six) > 0 {
			out, six = append(out, six[0]), six[1:]
		}
		if len(four) > 0 {
			out, four = append(out, four[0]), four[1:]
		}
	}
	return out
}

// result is the end of one attempt.
type result struct {
	conn *net.TCPConn
	err  error
}

// race connects to the first of the addresses that answers: an attempt begins
// when the one before has failed, or has had its head start. It returns the
// first error if none does.
func race(ctx context.Context, addrs []netip.Addr, port uint16) (*net.TCPConn, error) {
	ctx, cancel := context.WithCancel(ctx)
	results := make(chan result)
	running := 0
	defer func() {
		cancel()
		for range running {
			if r := <-results; r.conn != nil {
				r.conn.Close()
			}
		}
	}()
	next := time.NewTimer(0)
	defer next.Stop()
	first := error(errNoAddress)
	for running > 0 || len(addrs) > 0 {
		select {
		case <-next.C:
			if len(addrs) == 0 {
				continue
			}
			to := netip.AddrPortFrom(addrs[0], port)
			addrs = addrs[1:]
			running++
			go func() {
				var r result
				d := net.Dialer{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: time.Minute, Interval: 30 * time.Second}}
				c, err := d.DialContext(ctx, "tcp", to.String())
				if r.err = err; err == nil {
					r.conn = c.(*net.TCPConn)
				}
				results <- r
			}()
			next.Reset(attemptDelay)
		case r := <-results:
			running--
			if r.err == nil {
				return r.conn, nil
			}
			if first == errNoAddress {
				first = r.err
			}
			next.Reset(0)
		}
	}
	return nil, first
}
