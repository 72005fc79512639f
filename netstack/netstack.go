// SPDX-License-Identifier: BSD-3-Clause

// Package netstack turns packets of a TUN device into TCP connections and UDP
// datagrams, and back: TCP by gVisor, UDP and ICMP by its own, since they need
// no state here.
//
//	device ─ batch ─┬ fragments ─▶ reassembler ─▶ below
//	                ├ TCP ─▶ gVisor ─▶ TCPRequest, Conn
//	                ├ UDP ─▶ Config.UDP
//	                └ ICMP echo ─▶ reply, or unreachable
//	gVisor, SendUDP, ICMP ─▶ output ─ batch ─▶ Writer
//
// One goroutine reads the device and carries each packet to its end; only TCP
// has one more hop, gVisor's goroutine for the connection. Segments that the
// kernel has split are joined before gVisor sees them, and a Writer that is an
// OffloadWriter gets large ones to split, so that clients with a small MTU cost
// little more than those of this host, whose packets have 64 KiB.
//
// Every destination address is taken: what the routes of the host send to the
// device ends here. The package knows nothing of Ouroboros.
//
// Start with New.
package netstack

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"

	"o7gw/o7s/packet"
)

// Device is where packets come from; *tun.Device is one.
type Device interface {
	// Wait blocks until Read has something to read. answers counts the writes of
	// data to clients, in total: it grows where packets go in turns.
	Wait(answers uint64) error
	// Room returns the room, in bytes, that buffers for Read need.
	Room() int
	// Read fills some of at least 128 empty buffers, 0 if there is nothing.
	Read(bufs []*packet.Buffer) (int, error)
}

// Writer takes packets for the device; one goroutine at a time uses it. It
// takes the buffers and clears the slice.
type Writer interface {
	Write(pkts []*packet.Buffer)
}

// Config configures a Stack.
type Config struct {
	Device    Device
	NewWriter func() Writer
	MTU       int // of the device, bytes

	// TCP is called for each admitted connection attempt, on a goroutine of
	// its own, which Close waits for.
	TCP func(*TCPRequest)
	// UDP takes datagrams, in batches, on the goroutine that reads the device;
	// it owns the buffers, not the slice, and must not block. nil drops them.
	UDP func([]Datagram)
	// Echo reports whether a ping to the address is answered.
	Echo func(dst netip.Addr) bool

	Limits Limits
	Log    *slog.Logger
}

// Limits bound the work in flight; 0 is the default.
type Limits struct {
	HalfOpen          int // connection attempts that are neither accepted nor refused: 1024
	HalfOpenPerSource int // of one address: 256
	Conns             int // accepted connections: 16384
	ConnsPerSource    int // of one address: 16384
}

func (l *Limits) fill() {
	for _, f := range []struct {
		n   *int
		def int
	}{{&l.HalfOpen, 1024}, {&l.HalfOpenPerSource, 256}, {&l.Conns, 16384}, {&l.ConnsPerSource, 16384}} {
		if *f.n == 0 {
			*f.n = f.def
		}
	}
}

// Stats are the totals of a Stack.
type Stats struct {
	HalfOpen   int    `json:"half_open"`
	Conns      int    `json:"connections"`
	Accepted   uint64 `json:"accepted_connections"`
	Refused    uint64 `json:"refused_connections"`
	Failed     uint64 `json:"failed_handshakes"`
	Limited    uint64 `json:"limited_connections"` // attempts dropped because of the limits
	RxPackets  uint64 `json:"rx_packets"`
	RxBytes    uint64 `json:"rx_bytes"`
	TxPackets  uint64 `json:"tx_packets"` // before the kernel splits them
	TxBytes    uint64 `json:"tx_bytes"`
	TxDropped  uint64 `json:"tx_dropped"` // the device was too slow
	Malformed  uint64 `json:"malformed_packets"`
	Unhandled  uint64 `json:"unhandled_packets"` // protocols that are not carried
	Echoes     uint64 `json:"answered_echoes"`
	ICMPErrors uint64 `json:"icmp_errors"` // sent
	Retransmit uint64 `json:"tcp_retransmits"`
}

// Stack is a running TCP/IP.
type Stack struct {
	cfg     Config
	clock   tcpip.Clock
	stack   *stack.Stack
	link    *link
	out     *output
	lim     *limiter
	pings   rateLimit
	icmpErr rateLimit

	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	wg     sync.WaitGroup // the reader, and calls of Config.TCP
	once   sync.Once
	closed atomic.Bool

	answers    atomic.Uint64 // writes of data to clients
	pending    pending
	conns      connSet
	fragmentID atomic.Uint32

	accepted, refused, failed, limited, rxPackets, rxBytes, malformed, unhandled, echoes, icmpErrors atomic.Uint64
}

// nic is the number of the only interface of the stack.
const nic = tcpip.NICID(1)

// Keepalives notice clients that vanished without a word.
const (
	keepaliveIdle     = 60 * time.Second
	keepaliveInterval = 30 * time.Second
	keepaliveCount    = 5
)

const (
	// timeWait is how long a closed connection is remembered: segments do not
	// stay longer between the kernel and us.
	timeWait = time.Second
	// finWait is how long a half-closed connection of nobody waits for its
	// other half.
	finWait = 60 * time.Second
	// maxRetries and maxRTO bound the repetitions of data that nobody
	// acknowledges: four minutes in all.
	maxRetries = 10
	maxRTO     = 30 * time.Second
	// maxBuffer is the limit of the automatic tuning of socket buffers, bytes.
	maxBuffer = 4 << 20
	// firstBuffer is where it begins, bytes. What is not used costs nothing.
	firstBuffer = 256 << 10
	// tunedConns is up to how many connections receive buffers are enlarged:
	// clients of services that take nothing shall not fill the memory.
	tunedConns = 256
)

// New starts a stack on the device; it ends when the device is closed, or with
// Close.
func New(cfg Config) (*Stack, error) { return newStack(cfg, tcpip.NewStdClock()) }

func newStack(cfg Config, clock tcpip.Clock) (*Stack, error) {
	cfg.Limits.fill()
	s := &Stack{cfg: cfg, clock: clock, lim: newLimiter(cfg.Limits)}
	s.pings, s.icmpErr = rateLimit{rate: pingRate}, rateLimit{rate: icmpRate}
	s.out = newOutput(cfg.NewWriter())
	s.link = &link{mtu: uint32(cfg.MTU), out: s.out}
	s.stack = stack.New(stack.Options{
		NetworkProtocols:   []stack.NetworkProtocolFactory{ipv4.NewProtocol, ipv6.NewProtocol},
		TransportProtocols: []stack.TransportProtocolFactory{tcp.NewProtocolCUBIC},
		Clock:              clock,
	})
	s.ctx, s.cancel = context.WithCancel(context.Background())
	if err := s.configure(); err != nil {
		s.cancel()
		s.stack.Destroy()
		s.out.close()
		return nil, err
	}
	s.wg.Go(s.read)
	return s, nil
}

// configure makes the interface and sets what connections inherit.
func (s *Stack) configure() error {
	sack, moderate := tcpip.TCPSACKEnabled(true), tcpip.TCPModerateReceiveBufferOption(true)
	wait, fin := tcpip.TCPTimeWaitTimeoutOption(timeWait), tcpip.TCPLingerTimeoutOption(finWait)
	send := tcpip.TCPSendBufferSizeRangeOption{Min: tcp.MinBufferSize, Default: firstBuffer, Max: maxBuffer}
	receive := tcpip.TCPReceiveBufferSizeRangeOption{Min: tcp.MinBufferSize, Default: firstBuffer, Max: maxBuffer}
	retries, rto := tcpip.TCPMaxRetriesOption(maxRetries), tcpip.TCPMaxRTOOption(maxRTO)
	for _, opt := range []tcpip.SettableTransportProtocolOption{&sack, &moderate, &wait, &fin, &send, &receive, &retries, &rto} {
		if err := s.stack.SetTransportProtocolOption(tcp.ProtocolNumber, opt); err != nil {
			return fmt.Errorf("configure TCP: %v", err)
		}
	}
	var ep stack.LinkEndpoint = s.link
	if s.out.ow != nil {
		ep = offloadLink{s.link}
	}
	if err := s.stack.CreateNIC(nic, ep); err != nil {
		return fmt.Errorf("create interface: %v", err)
	}
	if err := s.stack.SetPromiscuousMode(nic, true); err != nil {
		return fmt.Errorf("take all addresses: %v", err)
	}
	if err := s.stack.SetSpoofing(nic, true); err != nil {
		return fmt.Errorf("use all addresses: %v", err)
	}
	s.stack.SetRouteTable([]tcpip.Route{
		{Destination: header.IPv4EmptySubnet, NIC: nic},
		{Destination: header.IPv6EmptySubnet, NIC: nic},
	})
	s.forward()
	return nil
}

// now returns the time, of a clock that only goes on.
func (s *Stack) now() time.Time { return s.clock.Now() }

// tuned reports whether receive buffers may grow.
func (s *Stack) tuned() bool { return s.lim.open.Load() <= tunedConns }

// Close ends all connections and returns when nothing of the stack is left. It
// does not close the device, but waits until its reader has left it: close the
// device first. Calls of Config.TCP must return when the context of their
// request, or their connection, has ended.
func (s *Stack) Close() error {
	s.once.Do(func() {
		s.pending.mu.Lock()
		s.closed.Store(true) // nothing is admitted from now on
		s.pending.mu.Unlock()
		s.cancel()
		s.abortAll()
		s.stack.Close()
		s.stack.Wait()
		s.stack.Destroy()
		s.out.close()
	})
	return nil
}

// abortAll resets connections, also those in their handshake, until no call of
// Config.TCP can make another one.
func (s *Stack) abortAll() {
	left := make(chan struct{})
	go func() {
		s.wg.Wait()
		close(left)
	}()
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for {
		s.conns.reset()
		for _, e := range s.stack.RegisteredEndpoints() {
			e.Abort()
		}
		select {
		case <-left:
			s.conns.reset()
			return
		case <-again.C:
		}
	}
}

// Stats returns the totals.
func (s *Stack) Stats() Stats {
	half, conns := s.lim.counts()
	return Stats{
		HalfOpen: half, Conns: conns, Limited: s.limited.Load(),
		Accepted: s.accepted.Load(), Refused: s.refused.Load(), Failed: s.failed.Load(),
		RxPackets: s.rxPackets.Load(), RxBytes: s.rxBytes.Load(),
		TxPackets: s.out.packets.Load(), TxBytes: s.out.bytes.Load(), TxDropped: s.out.dropped.Load(),
		Malformed: s.malformed.Load(), Unhandled: s.unhandled.Load(),
		Echoes: s.echoes.Load(), ICMPErrors: s.icmpErrors.Load(),
		Retransmit: s.stack.Stats().TCP.Retransmits.Value(),
	}
}
