// SPDX-License-Identifier: BSD-3-Clause

package netstack

import (
	"context"
	"net/netip"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
)

// forward gives connection attempts to Config.TCP.
func (s *Stack) forward() {
	// The limits are checked before: gVisor's is never reached.
	f := tcp.NewForwarder(s.stack, firstBuffer, s.cfg.Limits.HalfOpen+1, s.attempt)
	s.stack.SetTransportProtocolHandler(tcp.ProtocolNumber, func(id stack.TransportEndpointID, pkt *stack.PacketBuffer) bool {
		h := header.TCP(pkt.TransportHeader().Slice())
		switch flags := h.Flags() & (header.TCPFlagRst | header.TCPFlagSyn | header.TCPFlagAck); {
		case flags.Contains(header.TCPFlagRst):
			s.givenUp(id, h.SequenceNumber())
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
	seq    uint32 // of the SYN
	ctx    context.Context
	cancel context.CancelFunc

	// of Stack.pendingMu
	answered bool
	heard    tcpip.MonotonicTime // the latest SYN
	silence  tcpip.Timer         // ends ctx
}

// A client that has no answer repeats its SYN, after twice as long each time.
// One that does not has given up.
const (
	firstSilence = 4 * time.Second // the first repetition comes after one, of old systems after three
	slackSilence = 2 * time.Second
)

// admit notes a SYN, unless it is the repetition of one that waits for its
// answer, or one too many.
func (s *Stack) admit(id stack.TransportEndpointID, seq uint32, tos uint8) bool {
	src := addrPort(id.RemoteAddress, id.RemotePort)
	now := s.clock.NowMonotonic()
	s.pendingMu.Lock()
	defer s.pendingMu.Unlock()
	if r := s.pending[id]; r != nil {
		if !r.answered {
			r.silence.Reset(2*now.Sub(r.heard) + slackSilence)
			r.heard = now
		}
		return false
	}
	if s.closed.Load() || !s.lim.begin(src.Addr()) {
		return false
	}
	r := &TCPRequest{Src: src, Dst: addrPort(id.LocalAddress, id.LocalPort), TOS: tos, s: s, seq: seq, heard: now}
	r.ctx, r.cancel = context.WithCancel(s.ctx)
	r.silence = s.clock.AfterFunc(firstSilence, r.cancel)
	s.pending[id] = r
	s.wg.Add(1)
	return true
}

// forget undoes admit.
func (s *Stack) forget(id stack.TransportEndpointID) {
	s.pendingMu.Lock()
	r := s.pending[id]
	delete(s.pending, id)
	s.pendingMu.Unlock()
	r.end(false)
	s.wg.Done()
}

// attempt hands an admitted SYN over, on a goroutine of its own.
func (s *Stack) attempt(f *tcp.ForwarderRequest) {
	defer s.wg.Done()
	s.pendingMu.Lock()
	r := s.pending[f.ID()]
	s.pendingMu.Unlock()
	r.r = f
	s.cfg.TCP(r)
}

// givenUp ends the wait of a client that has reset its attempt. Its sequence
// number is that after the SYN (RFC 9293 §3.10.7.4); others are not believed.
func (s *Stack) givenUp(id stack.TransportEndpointID, seq uint32) {
	s.pendingMu.Lock()
	r := s.pending[id]
	s.pendingMu.Unlock()
	if r != nil && seq == r.seq+1 {
		r.cancel()
	}
}

// Context ends when the client has given up, or the Stack is closed.
func (r *TCPRequest) Context() context.Context { return r.ctx }

// answer stops the watch for the client's repetitions.
func (r *TCPRequest) answer() {
	r.s.pendingMu.Lock()
	r.answered = true
	r.s.pendingMu.Unlock()
	r.silence.Stop()
}

// finish ends the attempt.
func (r *TCPRequest) finish(reset, connected bool) {
	id := r.r.ID()
	// First in gVisor, so that a next SYN finds neither.
	r.r.Complete(reset)
	r.s.pendingMu.Lock()
	delete(r.s.pending, id)
	r.s.pendingMu.Unlock()
	r.end(connected)
}

func (r *TCPRequest) end(connected bool) {
	r.silence.Stop()
	r.cancel()
	r.s.lim.end(r.Src.Addr(), connected)
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
	r.answer()
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
