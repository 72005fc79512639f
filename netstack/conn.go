// SPDX-License-Identifier: BSD-3-Clause

package netstack

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/waiter"

	"o7gw/o7s/packet"
)

// Conn is a TCP connection of a client. Beside the methods of net.Conn it has
// ReadBatch and WriteBatch, which hold no buffer while they wait. It holds
// little memory while nothing is on the way.
type Conn struct {
	s        *Stack
	ep       tcpip.Endpoint
	wq       waiter.Queue
	src, dst netip.AddrPort

	// Each of the two wakes one goroutine, which holds the lock.
	readEntry, writeEntry waiter.Entry
	readable, writable    chan struct{}

	readMu sync.Mutex
	in     batchWriter
	inOne  tcpip.SliceWriter

	writeMu sync.Mutex
	out     batchReader
	outOne  bytes.Reader

	readEnd, writeEnd deadline

	// failed is the error that ended the connection. gVisor tells it once, to
	// whoever asks first.
	failed atomic.Pointer[error]

	once   sync.Once
	closed chan struct{}
}

var _ net.Conn = (*Conn)(nil)

func newConn(s *Stack, src, dst netip.AddrPort) *Conn {
	return &Conn{s: s, src: src, dst: dst, closed: make(chan struct{})}
}

// start takes the endpoint, which is connected.
func (c *Conn) start(ep tcpip.Endpoint) {
	c.ep = ep
	o := ep.SocketOptions()
	o.SetDelayOption(false)
	o.SetKeepAlive(true)
	idle, interval := tcpip.KeepaliveIdleOption(keepaliveIdle), tcpip.KeepaliveIntervalOption(keepaliveInterval)
	ep.SetSockOpt(&idle)
	ep.SetSockOpt(&interval)
	ep.SetSockOptInt(tcpip.KeepaliveCountOption, keepaliveCount)
	c.readEntry, c.readable = waiter.NewChannelEntry(waiter.ReadableEvents | waiter.EventErr | waiter.EventHUp)
	c.writeEntry, c.writable = waiter.NewChannelEntry(waiter.WritableEvents | waiter.EventErr | waiter.EventHUp)
	c.wq.EventRegister(&c.readEntry)
	c.wq.EventRegister(&c.writeEntry)
	c.readEnd.start()
	c.writeEnd.start()
}

// await waits for an event, a deadline, or Close.
func (c *Conn) await(op string, event chan struct{}, end *deadline) error {
	select {
	case <-event:
		return nil
	case <-c.closed:
		return opError(op, net.ErrClosed)
	case <-end.wait():
		return opError(op, os.ErrDeadlineExceeded)
	}
}

// ready reports what forbids to begin an operation.
func (c *Conn) ready(op string, end *deadline) error {
	select {
	case <-c.closed:
		return opError(op, net.ErrClosed)
	case <-end.wait():
		return opError(op, os.ErrDeadlineExceeded)
	default:
		return nil
	}
}

// failure is the error of an operation that gVisor did not do.
func (c *Conn) failure(op string, err error) error {
	select {
	case <-c.closed: // by us
		return opError(op, net.ErrClosed)
	default:
	}
	if tcp.EndpointState(c.ep.State()) == tcp.StateError {
		c.failed.CompareAndSwap(nil, &err)
		err = *c.failed.Load()
	}
	return opError(op, err)
}

// Broken returns why the connection has ended, nil if it has not, or in an
// orderly way. It tells it also to somebody who neither reads nor writes.
func (c *Conn) Broken() error {
	if tcp.EndpointState(c.ep.State()) != tcp.StateError {
		return nil
	}
	if err := c.failed.Load(); err != nil {
		return *err
	}
	return syscall.ECONNRESET
}

// Drained reports whether the client has acknowledged all that was written.
func (c *Conn) Drained() bool {
	if !c.writeMu.TryLock() {
		return false // somebody waits for room
	}
	defer c.writeMu.Unlock()
	// gVisor does not tell how much waits, but whether it is less than the
	// size of the buffer. Nobody writes, so nobody else looks at the size.
	o := c.ep.SocketOptions()
	size := o.GetSendBufferSize()
	o.SetSendBufferSize(1, false)
	defer o.SetSendBufferSize(size, false)
	return c.ep.Readiness(waiter.WritableEvents) != 0
}

// Read reads; io.EOF says that the client has finished.
func (c *Conn) Read(p []byte) (int, error) {
	c.readMu.Lock()
	defer c.readMu.Unlock()
	if err := c.ready("read", &c.readEnd); err != nil || len(p) == 0 {
		return 0, err
	}
	c.inOne = p
	n, err := c.readLocked(&c.inOne)
	c.inOne = nil
	return n, err
}

// ReadBatch waits for data, without holding a buffer meanwhile, and returns it
// in buffers with at most size bytes each, in bufs[:n]. The caller owns them.
// io.EOF says that the client has finished.
func (c *Conn) ReadBatch(bufs []*packet.Buffer, size int) (n int, err error) {
	c.readMu.Lock()
	defer c.readMu.Unlock()
	if err := c.ready("read", &c.readEnd); err != nil {
		return 0, err
	}
	c.in = batchWriter{bufs: bufs, size: size}
	_, err = c.readLocked(&c.in)
	n = c.in.n
	c.in = batchWriter{}
	return n, err
}

// readLocked waits for data and gives as much to w as it takes.
func (c *Conn) readLocked(w io.Writer) (int, error) {
	for {
		res, terr := c.ep.Read(w, tcpip.ReadOptions{})
		switch terr.(type) {
		case nil:
			if c.s.tuned() {
				c.ep.ModerateRecvBuf(res.Count)
			}
			return res.Count, nil
		case *tcpip.ErrClosedForReceive:
			if err := c.Broken(); err != nil {
				return 0, c.failure("read", err)
			}
			return 0, io.EOF
		case *tcpip.ErrWouldBlock:
		default:
			return 0, c.failure("read", cause(terr))
		}
		if err := c.await("read", c.readable, &c.readEnd); err != nil {
			return 0, err
		}
	}
}

// Write writes, and waits while there is no room.
func (c *Conn) Write(p []byte) (int, error) {
	c.writeMu.Lock()
	defer c.writeMu.Unlock()
	c.outOne.Reset(p)
	err := c.writeLocked(&c.outOne)
	n := len(p) - c.outOne.Len()
	c.outOne.Reset(nil)
	return n, err
}

// WriteBatch writes the bytes of the packets, and waits while there is no
// room. It takes the buffers, not the slice.
func (c *Conn) WriteBatch(pkts []*packet.Buffer) error {
	defer packet.ReleaseBatch(pkts)
	c.writeMu.Lock()
	defer c.writeMu.Unlock()
	c.out = batchReader{pkts: pkts}
	for _, b := range pkts {
		c.out.left += b.Len()
	}
	err := c.writeLocked(&c.out)
	c.out = batchReader{}
	return err
}

// writeLocked writes everything.
func (c *Conn) writeLocked(p tcpip.Payloader) error {
	if err := c.ready("write", &c.writeEnd); err != nil {
		return err
	}
	for p.Len() > 0 {
		// Atomic: gVisor fetches no more of p than it takes.
		_, terr := c.ep.Write(p, tcpip.WriteOptions{Atomic: true})
		switch terr.(type) {
		case nil:
			c.s.answers.Add(1)
			continue
		case *tcpip.ErrWouldBlock:
		default:
			return c.failure("write", cause(terr))
		}
		if err := c.await("write", c.writable, &c.writeEnd); err != nil {
			return err
		}
	}
	return nil
}

// CloseWrite finishes the direction to the client, which reads what was
// written, then io.EOF.
func (c *Conn) CloseWrite() error {
	if err := c.ready("close", &c.writeEnd); err != nil {
		return err
	}
	if terr := c.ep.Shutdown(tcpip.ShutdownWrite); terr != nil {
		return opError("close", cause(terr))
	}
	return nil
}

// Close closes both directions; what was written is still delivered.
func (c *Conn) Close() error {
	c.end(c.ep.Close)
	return nil
}

// Reset aborts the connection: the client gets a reset.
func (c *Conn) Reset() { c.end(c.ep.Abort) }

func (c *Conn) end(how func()) {
	c.once.Do(func() {
		close(c.closed)
		c.wq.EventUnregister(&c.readEntry)
		c.wq.EventUnregister(&c.writeEntry)
		how()
		c.readEnd.set(time.Time{})
		c.writeEnd.set(time.Time{})
		c.s.conns.remove(c)
		c.s.lim.closed(c.src.Addr())
	})
}

// LocalAddr returns the address that the client has called.
func (c *Conn) LocalAddr() net.Addr { return net.TCPAddrFromAddrPort(c.dst) }

// RemoteAddr returns the address of the client.
func (c *Conn) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(c.src) }

// SetDeadline limits the waits of reading and writing calls.
func (c *Conn) SetDeadline(t time.Time) error {
	c.readEnd.set(t)
	c.writeEnd.set(t)
	return nil
}

// SetReadDeadline limits the waits of reading calls.
func (c *Conn) SetReadDeadline(t time.Time) error {
	c.readEnd.set(t)
	return nil
}

// SetWriteDeadline limits the waits of writing calls.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	c.writeEnd.set(t)
	return nil
}

func opError(op string, err error) error { return &net.OpError{Op: op, Net: "tcp", Err: err} }

// cause makes an error of gVisor one of the system.
func cause(terr tcpip.Error) error {
	switch terr.(type) {
	case *tcpip.ErrConnectionReset:
		return syscall.ECONNRESET
	case *tcpip.ErrAborted, *tcpip.ErrConnectionAborted:
		return syscall.ECONNABORTED
	case *tcpip.ErrClosedForSend:
		return syscall.EPIPE
	case *tcpip.ErrNotConnected:
		return syscall.ENOTCONN
	case *tcpip.ErrTimeout:
		return syscall.ETIMEDOUT
	case *tcpip.ErrHostUnreachable, *tcpip.ErrNetworkUnreachable:
		return syscall.EHOSTUNREACH
	case *tcpip.ErrConnectionRefused:
		return syscall.ECONNREFUSED
	case *tcpip.ErrInvalidEndpointState:
		return net.ErrClosed
	}
	return fmt.Errorf("netstack: %v", terr)
}
