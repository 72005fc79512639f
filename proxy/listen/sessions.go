// SPDX-License-Identifier: BSD-3-Clause

package listen

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"o7gw/proxy"
	"o7gw/proxy/ledger"
	"o7gw/proxy/udpsock"
)

const (
	// waitingMost is how many datagrams wait for the flow of their session.
	waitingMost = 64
	// dialsAtOnce is how many flows are allocated at a time; datagrams that
	// would need one more are dropped, and sent again by who needs them.
	dialsAtOnce = 128
	// SweepEvery is how often Sweep wants to be called: the resolution of idle
	// times.
	SweepEvery = time.Second
	// failedFor is how long datagrams are dropped without another attempt
	// after one to allocate the flow failed.
	failedFor = time.Second
	// silentFor is the idle time of a session in which nothing has come back:
	// who sends from invented addresses gets no answers.
	silentFor = 30 * time.Second
)

// Sessions are UDP sessions that share a socket, told apart by keys. Datagrams
// wait, not too many, until the flow of their session is there.
type Sessions[K comparable] struct {
	book   *ledger.Book
	idle   atomic.Int64 // in sweeps
	tick   atomic.Int64 // sweeps so far: the clock of idle times
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup // flows being allocated

	mu       sync.Mutex
	open     map[K]*Session[K]
	dialling int
	drained  bool
}

// Beginning is how a session begins: Dial allocates its flow, and Answer takes
// the datagrams that come back on it, with their buffers; it must not block.
// Enter, if not nil, takes a place for the session and may refuse it, and Leave
// gives it back. Refuse, if not nil, is told of datagrams that nobody takes
// because the flow could not be allocated, the first of a batch; the buffer
// stays the caller's.
type Beginning struct {
	Dial   func(ctx context.Context) (*proxy.Packets, ledger.Info, error)
	Answer func(d []proxy.Datagram)
	Enter  func() bool
	Leave  func()
	Refuse func(d proxy.Datagram)
}

// Session is one of Sessions.
type Session[K comparable] struct {
	key   K
	begin Beginning
	used  atomic.Int64 // tick
	heard atomic.Bool  // something has come back
	flow  atomic.Pointer[proxy.Packets]
	entry *ledger.Session

	mu      sync.Mutex
	waiting []proxy.Datagram
	failed  bool
	ended   bool
}

// NewSessions returns sessions that end when nothing passes for the idle time,
// if Sweep is called.
func NewSessions[K comparable](book *ledger.Book, idle time.Duration) *Sessions[K] {
	s := &Sessions[K]{book: book, open: map[K]*Session[K]{}}
	s.SetIdle(idle)
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s
}

// SetIdle changes the idle time.
func (s *Sessions[K]) SetIdle(idle time.Duration) { s.idle.Store(sweeps(idle)) }

func sweeps(d time.Duration) int64 { return int64((d + SweepEvery - 1) / SweepEvery) }

// Find returns the session of a key, nil if there is none.
func (s *Sessions[K]) Find(k K) *Session[K] {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.open[k]
}

// Begin returns the session of a key, and begins it if there is none; nil:
// there is no room for one, or this is the end.
func (s *Sessions[K]) Begin(k K, b Beginning) *Session[K] {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.open[k]; c != nil {
		return c
	}
	if s.drained || s.dialling >= dialsAtOnce || b.Enter != nil && !b.Enter() {
		return nil
	}
	c := &Session[K]{key: k, begin: b}
	c.used.Store(s.tick.Load())
	s.open[k] = c
	s.dialling++
	s.wg.Go(func() { s.dial(c) })
	return c
}

// Send sends datagrams in a session; it takes the buffers.
func (s *Sessions[K]) Send(c *Session[K], d []proxy.Datagram) {
	c.used.Store(s.tick.Load())
	if flow := c.flow.Load(); flow != nil {
		c.send(flow, d)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch flow := c.flow.Load(); {
	case flow != nil:
		c.send(flow, d)
	case c.failed:
		c.refuse(d)
	case c.ended:
		Release(d)
	default:
		n := min(len(d), waitingMost-len(c.waiting))
		c.waiting = append(c.waiting, d[:n]...)
		Release(d[n:])
	}
}

// refuse drops datagrams of a session that failed; it takes the buffers.
func (c *Session[K]) refuse(d []proxy.Datagram) {
	if len(d) > 0 && c.begin.Refuse != nil {
		c.begin.Refuse(d[0])
	}
	Release(d)
}

func (c *Session[K]) send(flow *proxy.Packets, d []proxy.Datagram) {
	c.entry.Tx(len(d), size(d))
	flow.Send(d) // what the layer has no room for is lost, as on any network
}

func size(d []proxy.Datagram) (bytes int) {
	for i := range d {
		bytes += d[i].Buf.Len()
	}
	return bytes
}

// dial allocates the flow of a session and sends what has waited for it.
func (s *Sessions[K]) dial(c *Session[K]) {
	flow, info, err := c.begin.Dial(s.ctx)
	s.mu.Lock()
	s.dialling--
	s.mu.Unlock()
	c.mu.Lock()
	waiting := c.waiting
	c.waiting = nil
	switch {
	case err != nil:
		c.failed = true
		c.used.Store(s.tick.Load())
		c.mu.Unlock()
		c.refuse(waiting)
		s.book.Refused(info, err)
		return
	case c.ended:
		c.mu.Unlock()
		Release(waiting)
		flow.Close()
		return
	}
	info.Peer = flow.Flow().Peer()
	c.entry = s.book.Open(info)
	c.flow.Store(flow)
	if len(waiting) > 0 {
		c.send(flow, waiting)
	}
	c.mu.Unlock()
	flow.Receive(func(d []proxy.Datagram) { s.answer(c, d) }, func(err error) { s.end(c, err) })
}

// answer takes datagrams of the flow.
func (s *Sessions[K]) answer(c *Session[K], d []proxy.Datagram) {
	c.used.Store(s.tick.Load())
	if !c.heard.Load() {
		c.heard.Store(true)
	}
	c.entry.Rx(len(d), size(d))
	c.begin.Answer(d)
}

// end ends a session, once.
func (s *Sessions[K]) end(c *Session[K], reason error) {
	c.mu.Lock()
	if c.ended {
		c.mu.Unlock()
		return
	}
	c.ended = true
	Release(c.waiting)
	c.waiting = nil
	flow := c.flow.Load()
	c.mu.Unlock()
	s.mu.Lock()
	delete(s.open, c.key)
	s.mu.Unlock()
	if c.begin.Leave != nil {
		c.begin.Leave()
	}
	if flow != nil {
		flow.Close()
		c.entry.Close(reason)
	}
}

// Over reports whether a session has ended.
func (c *Session[K]) Over() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ended
}

// Sweep ends the sessions that have been idle.
func (s *Sessions[K]) Sweep() {
	now, idle := s.tick.Add(1), s.idle.Load()
	for _, c := range s.all() {
		limit := idle
		if !c.heard.Load() {
			limit = min(limit, sweeps(silentFor))
		}
		c.mu.Lock()
		if c.failed {
			limit = sweeps(failedFor)
		}
		c.mu.Unlock()
		if now-c.used.Load() > limit {
			s.end(c, udpsock.ErrIdle)
		}
	}
}

func (s *Sessions[K]) all() (list []*Session[K]) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.open {
		list = append(list, c)
	}
	return list
}

// Drain begins no new sessions.
func (s *Sessions[K]) Drain() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drained = true
}

// Close ends all sessions and returns when nothing is left.
func (s *Sessions[K]) Close() {
	s.Drain()
	s.cancel()
	s.wg.Wait()
	for _, c := range s.all() {
		s.end(c, net.ErrClosed)
	}
}

// Release gives the buffers of datagrams back.
func Release(d []proxy.Datagram) {
	for i := range d {
		d[i].Buf.Release()
	}
}
