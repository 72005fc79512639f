// SPDX-License-Identifier: BSD-3-Clause

package netstack

import (
	"context"
	"math"
	"net/netip"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
)

// forward gives connection attempts to Config.TCP.
func (s *Stack) forward() {
	f := tcp.NewForwarder(s.stack, firstBuffer, math.MaxInt, s.attempt) // admit has checked the limits
	s.stack.SetTransportProtocolHandler(tcp.ProtocolNumber, func(id stack.TransportEndpointID, pkt *stack.PacketBuffer) bool {
		h := header.TCP(pkt.TransportHeader().Slice())
		switch flags := h.Flags() & (header.TCPFlagRst | header.TCPFlagSyn | header.TCPFlagAck); {
		case flags.Contains(header.TCPFlagRst):
			s.reset(id, h.SequenceNumber())
			return true
		case flags != header.TCPFlagSyn:
			return false // answered with a reset
		}
		tos, _ := pkt.Network().TOS()
		if !s.admit(id, h.SequenceNumber(), tos) {
			return true
		}
		if !f.HandlePacket(id, pkt) {
			s.forget(id)
			return false
		}
		return true
	})
}

// TCPRequest is an attempt to connect. Exactly one of Accept, Refuse and
// Unreachable must be called; until then the client has no answer.
type TCPRequest struct {
	Src, Dst netip.AddrPort
	TOS      uint8

	s      *Stack
	r      *tcp.ForwarderRequest
	id     stack.TransportEndpointID
	seq    uint32 // of the SYN
	ctx    context.Context
	cancel context.CancelFunc

	// of pending.mu
	since    tcpip.MonotonicTime // the first SYN
	heard    tcpip.MonotonicTime // the latest SYN
	in       *queue              // nil: neither waiting nor answered
	answered bool                // with a SYN-ACK
	evicted  bool                // to make room for others
	silence  tcpip.Timer         // ends the attempt
}

// A client that has no answer repeats its SYN, after twice as long each time.
// One that does not has given up.
const (
	firstSilence = 4 * time.Second // the first repetition comes after one, of old systems after three
	slackSilence = 2 * time.Second
	// handshakeTime is how long a client is waited for after the SYN-ACK.
	handshakeTime = 15 * time.Second
)

// admit notes a SYN, unless it is the repetition of one that waits for its
// answer, or one too many.
func (s *Stack) admit(id stack.TransportEndpointID, seq uint32, tos uint8) bool {
	src := addrPort(id.RemoteAddress, id.RemotePort)
	now := s.clock.NowMonotonic()
	var old *TCPRequest
	defer func() { s.evict(old) }() // without the lock
	p := &s.pending
	p.mu.Lock()
	defer p.mu.Unlock()
	if r := p.all[id]; r != nil {
		if !r.answered {
			r.silence.Reset(2*now.Sub(r.heard) + slackSilence)
			r.heard = now
		}
		return false
	}
	if s.closed.Load() {
		return false
	}
	err := s.lim.begin(src.Addr())
	if err == errHalfOpen {
		if old = p.evictLocked(now); old != nil {
			s.lim.end(old.Src.Addr(), false)
			err = s.lim.begin(src.Addr())
		}
	}
	if err != nil {
		s.limited.Add(1)
		return false
	}
	r := &TCPRequest{Src: src, Dst: addrPort(id.LocalAddress, id.LocalPort), TOS: tos, s: s, id: id, seq: seq, since: now, heard: now}
	r.ctx, r.cancel = context.WithCancel(s.ctx)
	r.silence = s.clock.AfterFunc(firstSilence, r.abandon)
	p.addLocked(r)
	s.wg.Add(1)
	return true
}

// evict ends a request whose place somebody else has taken.
func (s *Stack) evict(r *TCPRequest) {
	if r != nil {
		s.limited.Add(1)
		r.abandon()
	}
}

// abandon ends an attempt, and its handshake if that has begun.
func (r *TCPRequest) abandon() {
	r.cancel()
	proto := header.IPv4ProtocolNumber
	if r.Src.Addr().Is6() {
		proto = header.IPv6ProtocolNumber
	}
	if e := r.s.stack.FindTransportEndpoint(proto, tcp.ProtocolNumber, r.id, nic); e != nil {
		e.Abort()
	}
}

// forget undoes admit.
func (s *Stack) forget(id stack.TransportEndpointID) {
	s.pending.get(id).end(false)
	s.wg.Done()
}

// attempt hands an admitted SYN over, on a goroutine of its own.
func (s *Stack) attempt(f *tcp.ForwarderRequest) {
	defer s.wg.Done()
	r := s.pending.get(f.ID())
	r.r = f
	s.cfg.TCP(r)
}

// reset ends the wait of a client that has reset its attempt. Its sequence
// number is that after the SYN (RFC 9293 §3.10.7.4); others are not believed.
func (s *Stack) reset(id stack.TransportEndpointID, seq uint32) {
	if r := s.pending.get(id); r != nil && seq == r.seq+1 {
		r.cancel()
	}
}

// Context ends when the client has given up, or the Stack is closed.
func (r *TCPRequest) Context() context.Context { return r.ctx }

// finish ends the attempt.
func (r *TCPRequest) finish(reset, connected bool) {
	r.r.Complete(reset) // first in gVisor, so that a next SYN finds neither
	r.end(connected)
}

func (r *TCPRequest) end(connected bool) {
	evicted := r.s.pending.remove(r)
	r.silence.Stop()
	r.cancel()
	switch {
	case !evicted:
		r.s.lim.end(r.Src.Addr(), connected)
	case connected:
		r.s.lim.opened(r.Src.Addr())
	}
}

// Refuse answers with a reset.
func (r *TCPRequest) Refuse() {
	r.s.refused.Add(1)
	r.finish(true, false)
}

// Unreachable answers with an ICMP error, host unreachable, which ends the
// attempt as fast as a reset.
func (r *TCPRequest) Unreachable() {
	r.s.refused.Add(1)
	r.s.tcpUnreachable(r)
	r.finish(false, false)
}

// Accept completes the handshake: only now the client gets a SYN-ACK. It
// fails if the client has given up, or does not answer.
func (r *TCPRequest) Accept() (*Conn, error) {
	if err := r.ctx.Err(); err != nil {
		r.s.refused.Add(1)
		r.finish(true, false)
		return nil, opError("accept", err)
	}
	r.s.pending.answer(r)
	c := newConn(r.s, r.Src, r.Dst)
	ep, terr := r.r.CreateEndpoint(&c.wq)
	if terr != nil {
		r.s.failed.Add(1)
		r.finish(false, false)
		return nil, opError("accept", cause(terr))
	}
	c.start(ep)
	r.finish(false, true)
	r.s.accepted.Add(1)
	r.s.conns.add(c)
	return c, nil
}

func addrPort(a tcpip.Address, port uint16) netip.AddrPort {
	if a.Len() == 4 {
		return netip.AddrPortFrom(netip.AddrFrom4(a.As4()), port)
	}
	return netip.AddrPortFrom(netip.AddrFrom16(a.As16()), port)
}
