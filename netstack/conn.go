// SPDX-License-Identifier: BSD-3-Clause

package netstack

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"syscall"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/waiter"

	"o7gw/o7s/packet"
)

// Conn is a TCP connection of a client. Beside the methods of net.Conn it has
// fast ones, ReadBatch and WriteBatch, of which one goroutine each may be used;
// those know no deadlines.
type Conn struct {
	*gonet.TCPConn
	s   *Stack
	ep  tcpip.Endpoint
	wq  waiter.Queue
	src netip.AddrPort

	readEntry, writeEntry waiter.Entry
	readable, writable    chan struct{}

	once   sync.Once
	closed chan struct{}
}

// ReadBatch waits for data, without holding a buffer meanwhile, and returns it
// in buffers with at most size bytes each, in bufs[:n]. The caller owns them.
// io.EOF: the client has finished.
func (c *Conn) ReadBatch(bufs []*packet.Buffer, size int) (n int, err error) {
	w := batchWriter{bufs: bufs, size: size}
	for {
		res, terr := c.ep.Read(&w, tcpip.ReadOptions{})
		switch terr.(type) {
		case nil:
			c.ep.ModerateRecvBuf(res.Count)
			// More that waits goes into the same batch.
			if w.n < len(bufs) && res.Count > 0 {
				continue
			}
			return w.n, nil
		case *tcpip.ErrWouldBlock:
			if w.n > 0 {
				return w.n, nil
			}
		case *tcpip.ErrClosedForReceive:
			if w.n > 0 {
				return w.n, nil
			}
			return 0, io.EOF
		default:
			if w.n > 0 {
				return w.n, nil
			}
			return 0, failure("read", terr)
		}
		select {
		case <-c.readable:
		case <-c.closed:
			return 0, closedError("read")
		}
	}
}

// batchWriter is what gVisor writes received data to: it fills buffers, and
// takes no more than they hold.
type batchWriter struct {
	bufs []*packet.Buffer
	size int
	n    int // buffers with something in them
}

func (w *batchWriter) Write(p []byte) (int, error) {
	total := 0
	for len(p) > 0 {
		var b *packet.Buffer
		if w.n > 0 && w.bufs[w.n-1].Len() < w.size {
			b = w.bufs[w.n-1]
		} else if w.n < len(w.bufs) {
			b = packet.Get(w.size)
			w.bufs[w.n] = b
			w.n++
		} else {
			return total, io.ErrShortWrite
		}
		part := p[:min(len(p), w.size-b.Len())]
		b.Append(part)
		p = p[len(part):]
		total += len(part)
	}
	return total, nil
}

// WriteBatch writes the bytes of the packets, and waits while there is no
// room. It takes the buffers, not the slice.
func (c *Conn) WriteBatch(pkts []*packet.Buffer) error {
	defer packet.ReleaseBatch(pkts)
	r := batchReader{pkts: pkts}
	for _, b := range pkts {
		r.left += b.Len()
	}
	for r.left > 0 {
		_, terr := c.ep.Write(&r, tcpip.WriteOptions{Atomic: false})
		switch terr.(type) {
		case nil:
			continue
		case *tcpip.ErrWouldBlock:
		default:
			return failure("write", terr)
		}
		select {
		case <-c.writable:
		case <-c.closed:
			return closedError("write")
		}
	}
	return nil
}

// batchReader gives the bytes of packets to gVisor.
type batchReader struct {
	pkts []*packet.Buffer
	off  int // in pkts[0]
	left int
}

func (r *batchReader) Len() int { return r.left }

func (r *batchReader) Read(p []byte) (int, error) {
	if r.left == 0 {
		return 0, io.EOF
	}
	n := 0
	for n < len(p) && len(r.pkts) > 0 {
		k := copy(p[n:], r.pkts[0].Bytes()[r.off:])
		n += k
		if r.off += k; r.off == r.pkts[0].Len() {
			r.pkts, r.off = r.pkts[1:], 0
		}
	}
	r.left -= n
	return n, nil
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
		c.s.conns.remove(c)
		c.s.lim.closed(c.src.Addr())
	})
}

// failure makes an error of gVisor one of the system.
func failure(op string, terr tcpip.Error) error {
	var err error
	switch terr.(type) {
	case *tcpip.ErrConnectionReset, *tcpip.ErrAborted:
		err = syscall.ECONNRESET
	case *tcpip.ErrClosedForSend, *tcpip.ErrNotConnected:
		err = syscall.EPIPE
	case *tcpip.ErrTimeout:
		err = syscall.ETIMEDOUT
	case *tcpip.ErrHostUnreachable, *tcpip.ErrNetworkUnreachable:
		err = syscall.EHOSTUNREACH
	case *tcpip.ErrConnectionRefused:
		err = syscall.ECONNREFUSED
	case *tcpip.ErrInvalidEndpointState:
		err = net.ErrClosed
	default:
		err = fmt.Errorf("netstack: %v", terr)
	}
	return &net.OpError{Op: op, Net: "tcp", Err: err}
}

func closedError(op string) error { return &net.OpError{Op: op, Net: "tcp", Err: net.ErrClosed} }
