// SPDX-License-Identifier: BSD-3-Clause

package ddns

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/miekg/dns"
)

// udpBuffer is the largest answer taken over UDP, bytes. Queries do not
// announce it, so that servers send 512 at most.
const udpBuffer = 4096

// attempt is one way to ask.
type attempt struct {
	network string
	wait    time.Duration
}

// attempts are made in turn until one is answered: a datagram may be lost, or
// UDP may not pass at all.
var attempts = []attempt{{"udp", 500 * time.Millisecond}, {"udp", time.Second}, {"tcp", 2 * time.Second}}

// Patience is how long a look-up is worth: all attempts, and one answer that
// was truncated and is fetched again over TCP.
const Patience = 5500 * time.Millisecond

// exchange sends a message and returns the answer, whatever its response
// code.
func (s Server) exchange(ctx context.Context, q *dns.Msg) (*dns.Msg, error) {
	var last error
	for _, a := range attempts {
		r, err := s.once(ctx, a, q)
		if err == nil && r.Truncated && a.network == "udp" {
			r, err = s.once(ctx, attempt{"tcp", 2 * time.Second}, q)
		}
		if err == nil {
			return r, nil
		}
		if ctx.Err() != nil {
			return nil, fmt.Errorf("ask DNS server %v: %w", s.Addr, ctx.Err())
		}
		last = err
	}
	return nil, fmt.Errorf("%w %v: %w", ErrUnanswered, s.Addr, last)
}

// once makes one attempt, with a socket and a number of its own, so that
// who wants to forge an answer has to guess both.
func (s Server) once(ctx context.Context, a attempt, q *dns.Msg) (*dns.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, a.wait)
	defer cancel()
	var d net.Dialer
	c, err := d.DialContext(ctx, a.network, s.Addr.String())
	if err != nil {
		return nil, err
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.SetDeadline(time.Unix(1, 0)) })()

	conn := dns.Conn{Conn: c, UDPSize: udpBuffer}
	q.Id = dns.Id()
	if err := conn.WriteMsg(q); err != nil {
		return nil, err
	}
	for {
		raw, err := conn.ReadMsgHeader(nil)
		if err != nil && !errors.Is(err, dns.ErrShortRead) {
			return nil, err
		}
		r := new(dns.Msg)
		if err == nil && r.Unpack(raw) == nil && answers(q, r) {
			return r, nil
		}
		// Somebody else's, or rubbish: the real answer may still come.
	}
}
