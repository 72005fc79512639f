// SPDX-License-Identifier: BSD-3-Clause

package exit

import (
	"context"
	"net"
	"net/netip"
	"time"

	"o7gw/proxy/session"
)

const (
	// attemptDelay is the head start of an attempt to connect before the next
	// begins (RFC 8305 §5).
	attemptDelay = 250 * time.Millisecond
	// resolutionDelay is how long IPv4 addresses wait for those of IPv6 (§3).
	resolutionDelay = 50 * time.Millisecond
	// attemptsMost bounds the attempts for one session: a name can have very
	// many addresses.
	attemptsMost = 16
)

// race connects to the first address that answers (RFC 8305, "happy eyeballs"):
// families alternate, IPv6 first; an attempt begins when the one before has
// failed or has had its head start.
type race struct {
	port    uint16
	allowed func(netip.Addr) bool
	dial    func(context.Context, netip.AddrPort) (net.Conn, error)

	six, four []netip.Addr // to be tried
	last4     bool         // the attempt before was IPv4
	begun     int          // attempts
	running   int
	results   chan result

	failed  error // of attempts
	unknown error // of looking up
	denied  bool  // an address was not allowed
}

// result is the end of one attempt.
type result struct {
	conn net.Conn
	err  error
}

// run takes addresses from answers as they come. It returns when a connection
// stands, or none can, or ctx ends; no attempt is left then.
func (r *race) run(ctx context.Context, answers <-chan answer) (net.Conn, error) {
	attempts, cancel := context.WithCancel(ctx)
	r.results = make(chan result)
	defer r.drop()
	defer cancel()
	head, six := time.NewTimer(0), time.NewTimer(time.Hour)
	defer head.Stop()
	defer six.Stop()
	ready := false  // an attempt may begin
	waiting := true // for addresses of IPv6
	for {
		if ready && r.left() > 0 && (!waiting || answers == nil || len(r.six) > 0) {
			r.begin(attempts)
			ready = false
			head.Reset(attemptDelay)
		}
		if answers == nil && r.running == 0 && r.left() == 0 {
			return nil, r.why()
		}
		select {
		case a, ok := <-answers:
			if !ok {
				answers = nil
			} else if r.take(a); waiting && len(r.four) > 0 {
				six.Reset(resolutionDelay)
			}
		case <-six.C:
			waiting = false
		case <-head.C:
			ready = true
		case o := <-r.results:
			r.running--
			if o.err == nil {
				return o.conn, nil
			}
			r.fail(o.err)
			ready = true
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// take sorts the addresses of an answer.
func (r *race) take(a answer) {
	if a.err != nil && (r.unknown == nil || session.StatusOf(r.unknown) == session.NotFound) {
		r.unknown = a.err
	}
	for _, addr := range a.addrs {
		switch addr = addr.Unmap(); {
		case !r.allowed(addr):
			r.denied = true
		case addr.Is4():
			r.four = append(r.four, addr)
		default:
			r.six = append(r.six, addr)
		}
	}
}

// left returns how many attempts may still begin.
func (r *race) left() int { return min(len(r.six)+len(r.four), attemptsMost-r.begun) }

// begin begins an attempt with the next address.
func (r *race) begin(ctx context.Context) {
	from := &r.six
	if len(r.six) == 0 || len(r.four) > 0 && r.begun > 0 && !r.last4 {
		from = &r.four
	}
	to := netip.AddrPortFrom((*from)[0], r.port)
	*from = (*from)[1:]
	r.last4 = from == &r.four
	r.begun++
	r.running++
	go func() {
		c, err := r.dial(ctx, to)
		r.results <- result{c, err}
	}()
}

// dialTCP makes one attempt. Keepalives find out that the other side is gone.
func dialTCP(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
	d := net.Dialer{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: time.Minute, Interval: 30 * time.Second}}
	return d.DialContext(ctx, "tcp", to.String())
}

// drop waits for the attempts that run, which have been cancelled.
func (r *race) drop() {
	for range r.running {
		if o := <-r.results; o.conn != nil {
			o.conn.Close()
		}
	}
}

// fail remembers why an attempt has failed. That there is no way, perhaps for
// want of IPv6, says less than what others say.
func (r *race) fail(err error) {
	if r.failed == nil || session.StatusOf(r.failed) == session.Unreachable {
		r.failed = err
	}
}

// why returns why there is no connection.
func (r *race) why() error {
	switch {
	case r.failed != nil:
		return r.failed
	case r.denied:
		return session.Denied
	case r.unknown != nil:
		return r.unknown
	}
	return session.NotFound
}
