// SPDX-License-Identifier: BSD-3-Clause

package netstack

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"
	"gvisor.dev/gvisor/pkg/waiter"
)

// Keepalives notice clients that vanished without a word.
const (
	keepaliveIdle     = 60 * time.Second
	keepaliveInterval = 30 * time.Second
	keepaliveCount    = 5
)

// forward gives connection attempts to Config.TCP, and datagrams that were put
// together from fragments to Config.UDP.
func (s *Stack) forward() {
	// The limits are checked before.
	f := tcp.NewForwarder(s.stack, 0, s.cfg.Limits.HalfOpen+1, s.attempt)
	s.stack.SetTransportProtocolHandler(tcp.ProtocolNumber, func(id stack.TransportEndpointID, pkt *stack.PacketBuffer) bool {
		h := header.TCP(pkt.TransportHeader().Slice())
		switch flags := h.Flags() & (header.TCPFlagRst | header.TCPFlagSyn | header.TCPFlagAck); {
		case flags.Contains(header.TCPFlagRst):
			s.givenUp(id)
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
	s.stack.SetTransportProtocolHandler(udp.ProtocolNumber, s.reassembled)
}

// admit notes a SYN, unless it is the repetition of one that waits for its
// answer, or one too many.
func (s *Stack) admit(id stack.TransportEndpointID, seq uint32, tos uint8) bool {
	r := &TCPRequest{
		Src: addrPort(id.RemoteAddress, id.RemotePort), Dst: addrPort(id.LocalAddress, id.LocalPort),
		TOS: tos, s: s, seq: seq,
	}
	s.pendingMu.Lock()
	defer s.pendingMu.Unlock()
	if s.pending[id] != nil || s.closed.Load() || !unicast(r.Src.Addr()) || !unicast(r.Dst.Addr()) || !s.lim.begin(r.Src.Addr()) {
		return false
	}
	r.ctx, r.cancel = context.WithTimeout(s.ctx, patience)
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
	r.cancel()
	s.lim.end(r.Src.Addr(), false)
	s.wg.Done()
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
}

// patience is how long a client that has no answer keeps asking, at least:
// more than the patience of any.
const patience = 2 * time.Minute

// attempt hands an admitted SYN over, on a goroutine of its own.
func (s *Stack) attempt(f *tcp.ForwarderRequest) {
	defer s.wg.Done()
	s.pendingMu.Lock()
	r := s.pending[f.ID()]
	s.pendingMu.Unlock()
	r.r = f
	s.cfg.TCP(r)
}

// givenUp ends the wait of a client that has reset its attempt.
func (s *Stack) givenUp(id stack.TransportEndpointID) {
	s.pendingMu.Lock()
	r := s.pending[id]
	s.pendingMu.Unlock()
	if r != nil {
		r.cancel()
	}
}

// Context ends when the client has given up, or the Stack is closed.
func (r *TCPRequest) Context() context.Context { return r.ctx }

// finish ends the attempt.
func (r *TCPRequest) finish(reset, connected bool) {
	id := r.r.ID()
	// First in gVisor, so that a next SYN finds neither.
	r.r.Complete(reset)
	r.s.pendingMu.Lock()
	delete(r.s.pending, id)
	r.s.pendingMu.Unlock()
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

// Accept completes the handshake.
func (r *TCPRequest) Accept() (*Conn, error) {
	if err := r.ctx.Err(); err != nil {
		r.finish(true, false)
		return nil, err
	}
	c := &Conn{s: r.s, src: r.Src, closed: make(chan struct{})}
	ep, terr := r.r.CreateEndpoint(&c.wq)
	if terr != nil {
		r.finish(false, false)
		return nil, failure("accept", terr)
	}
	r.finish(false, true)
	r.s.accepted.Add(1)
	ep.SocketOptions().SetKeepAlive(true)
	idle, interval := tcpip.KeepaliveIdleOption(keepaliveIdle), tcpip.KeepaliveIntervalOption(keepaliveInterval)
	ep.SetSockOpt(&idle)
	ep.SetSockOpt(&interval)
	ep.SetSockOptInt(tcpip.KeepaliveCountOption, keepaliveCount)
	ep.SocketOptions().SetDelayOption(false)
	c.ep = ep
	c.TCPConn = gonet.NewTCPConn(&c.wq, ep)
	c.readEntry, c.readable = waiter.NewChannelEntry(waiter.ReadableEvents | waiter.EventErr | waiter.EventHUp)
	c.writeEntry, c.writable = waiter.NewChannelEntry(waiter.WritableEvents | waiter.EventErr | waiter.EventHUp)
	c.wq.EventRegister(&c.readEntry)
	c.wq.EventRegister(&c.writeEntry)
	r.s.conns.add(c)
	return c, nil
}

// connSet is the open connections.
type connSet struct {
	mu  sync.Mutex
	all map[*Conn]struct{}
}

func (s *connSet) add(c *Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all == nil {
		s.all = map[*Conn]struct{}{}
	}
	s.all[c] = struct{}{}
}

func (s *connSet) remove(c *Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.all, c)
}

// reset aborts all connections.
func (s *connSet) reset() {
	s.mu.Lock()
	var all []*Conn
	for c := range s.all {
		all = append(all, c)
	}
	s.mu.Unlock()
	for _, c := range all {
		c.Reset()
	}
}

func addrPort(a tcpip.Address, port uint16) netip.AddrPort {
	if a.Len() == 4 {
		return netip.AddrPortFrom(netip.AddrFrom4(a.As4()), port)
	}
	return netip.AddrPortFrom(netip.AddrFrom16(a.As16()), port)
}
