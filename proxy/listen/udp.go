// SPDX-License-Identifier: BSD-3-Clause

package listen

import (
	"context"
	"errors"
	"net"
	"net/netip"
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
	// sweepEvery is the resolution of idle times.
	sweepEvery = time.Second
	// failedFor is how long datagrams are dropped without another attempt
	// after one to allocate the flow failed.
	failedFor = time.Second
)

// Dial begins the session of a client.
type Dial func(ctx context.Context, from netip.AddrPort) (*proxy.Packets, ledger.Info, error)

// UDP takes datagrams at one address: each client, by its address and port, has
// a session.
type UDP struct {
	sock *udpsock.Socket
	dial Dial
	book *ledger.Book
	max  int
	idle int64 // sweeps

	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	wg     sync.WaitGroup

	tick    atomic.Int64
	dropped atomic.Uint64

	writing sync.Mutex // of sock

	mu       sync.Mutex
	open     map[netip.AddrPort]*client
	dialling int
	drained  bool
}

// client is the session of one client.
type client struct {
	from  netip.AddrPort
	used  atomic.Int64 // tick
	flow  atomic.Pointer[proxy.Packets]
	entry *ledger.Session

	mu      sync.Mutex
	waiting []proxy.Datagram
	failed  bool
	ended   bool
}

// ListenUDP opens an address. At most max clients have sessions at a time,
// which end when nothing passes for the idle time.
func ListenUDP(at netip.AddrPort, max int, idle time.Duration, book *ledger.Book, dial Dial) (*UDP, error) {
	c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(at))
	if err != nil {
		return nil, err
	}
	sock, err := udpsock.New(c, false)
	if err != nil {
		c.Close()
		return nil, err
	}
	u := &UDP{sock: sock, dial: dial, book: book, max: max, idle: int64(idle / sweepEvery), open: map[netip.AddrPort]*client{}}
	u.ctx, u.cancel = context.WithCancel(context.Background())
	u.wg.Go(u.read)
	u.wg.Go(u.sweep)
	return u, nil
}

// Addr returns the address.
func (u *UDP) Addr() netip.AddrPort { return u.sock.LocalAddr().(*net.UDPAddr).AddrPort() }

// read takes datagrams until the socket is closed.
func (u *UDP) read() {
	for {
		d, err := u.sock.Read()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue // an ICMP error about a client that is gone
		}
		for len(d) > 0 {
			n := 1
			for n < len(d) && d[n].Addr == d[0].Addr {
				n++
			}
			u.take(d[:n])
			d = d[n:]
		}
	}
}

// take hands datagrams of one client to its session; it takes the buffers.
func (u *UDP) take(d []proxy.Datagram) {
	from := d[0].Addr
	u.mu.Lock()
	c := u.open[from]
	if c == nil {
		if u.drained || len(u.open) >= u.max || u.dialling >= dialsAtOnce {
			u.mu.Unlock()
			u.dropped.Add(uint64(len(d)))
			release(d)
			return
		}
		c = &client{from: from}
		u.open[from] = c
		u.dialling++
		u.wg.Go(func() { u.begin(c) })
	}
	u.mu.Unlock()
	c.used.Store(u.tick.Load())
	for i := range d {
		d[i].Addr = netip.AddrPort{} // the target is that of the request
	}
	if flow := c.flow.Load(); flow != nil {
		c.send(flow, d)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch flow := c.flow.Load(); {
	case flow != nil:
		c.send(flow, d)
	case c.failed || c.ended:
		release(d)
	default:
		n := min(len(d), waitingMost-len(c.waiting))
		c.waiting = append(c.waiting, d[:n]...)
		release(d[n:])
	}
}

func (c *client) send(flow *proxy.Packets, d []proxy.Datagram) {
	bytes := 0
	for i := range d {
		bytes += d[i].Buf.Len()
	}
	c.entry.Tx(len(d), bytes)
	flow.Send(d) // what the layer has no room for is lost, as on any network
}

// begin allocates the flow of a client.
func (u *UDP) begin(c *client) {
	flow, info, err := u.dial(u.ctx, c.from)
	u.mu.Lock()
	u.dialling--
	u.mu.Unlock()
	c.mu.Lock()
	waiting := c.waiting
	c.waiting = nil
	if err != nil {
		c.failed = true
		c.mu.Unlock()
		release(waiting)
		u.book.Refused(info, err)
		return
	}
	if c.ended {
		c.mu.Unlock()
		flow.Close()
		return
	}
	info.Peer = flow.Flow().Peer()
	c.entry = u.book.Open(info)
	c.flow.Store(flow)
	if len(waiting) > 0 {
		c.send(flow, waiting)
	}
	c.mu.Unlock()
	flow.Receive(func(d []proxy.Datagram) { u.answer(c, d) }, func(err error) { u.end(c, err) })
}

// answer takes datagrams of the flow to the client.
func (u *UDP) answer(c *client, d []proxy.Datagram) {
	c.used.Store(u.tick.Load())
	bytes := 0
	for i := range d {
		d[i].Addr = c.from
		bytes += d[i].Buf.Len()
	}
	c.entry.Rx(len(d), bytes)
	u.writing.Lock()
	defer u.writing.Unlock()
	u.sock.Write(d)
}

// end ends a session, once.
func (u *UDP) end(c *client, reason error) {
	c.mu.Lock()
	if c.ended {
		c.mu.Unlock()
		return
	}
	c.ended = true
	release(c.waiting)
	c.waiting = nil
	flow := c.flow.Load()
	c.mu.Unlock()
	u.mu.Lock()
	delete(u.open, c.from)
	u.mu.Unlock()
	if flow != nil {
		flow.Close()
		c.entry.Close(reason)
	}
}

// sweep ends idle sessions until ctx ends.
func (u *UDP) sweep() {
	t := time.NewTicker(sweepEvery)
	defer t.Stop()
	for {
		select {
		case <-u.ctx.Done():
			return
		case <-t.C:
		}
		now := u.tick.Add(1)
		for _, c := range u.all() {
			limit := u.idle
			c.mu.Lock()
			if c.failed {
				limit = int64(failedFor / sweepEvery)
			}
			c.mu.Unlock()
			if now-c.used.Load() > limit {
				u.end(c, udpsock.ErrIdle)
			}
		}
	}
}

func (u *UDP) all() (list []*client) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, c := range u.open {
		list = append(list, c)
	}
	return list
}

// Drain begins no new sessions.
func (u *UDP) Drain() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.drained = true
}

// Close ends everything and returns when nothing is left.
func (u *UDP) Close() {
	u.Drain()
	u.cancel()
	u.sock.Close()
	u.wg.Wait()
	for _, c := range u.all() {
		u.end(c, net.ErrClosed)
	}
}

func release(d []proxy.Datagram) {
	for i := range d {
		d[i].Buf.Release()
	}
}
