// SPDX-License-Identifier: BSD-3-Clause

package proxy

import (
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"o7gw/o7s"
	"o7gw/o7s/layer"
	"o7gw/o7s/packet"
	"o7gw/proxy/session"
)

// Conn is a TCP session on a reliable flow: a byte stream of which each
// direction ends on its own. Reading calls wait for one another, and so do
// writing ones.
type Conn struct {
	f     *o7s.Flow
	plain bool // no session protocol: the flow is the stream

	read struct {
		sync.Mutex
		in   [readBatch]*packet.Buffer // in[at:n] are unread
		at   int
		n    int
		done error // io.EOF after finish, or what aborted the session
	}
	write sync.Mutex
	// state has a half for each direction, guarded by read and write.
	state session.Stream

	ending   atomic.Bool
	ended    chan struct{} // closed when Close or Reset is done
	closeErr error         // after ended
}

var (
	_ Stream      = (*Conn)(nil)
	_ BatchReader = (*Conn)(nil)
	_ BatchWriter = (*Conn)(nil)
	_ side        = (*Conn)(nil)
)

// readBatch is how many packets are taken of a flow at once.
const readBatch = 64

func newConn(f *o7s.Flow) *Conn { return &Conn{f: f, ended: make(chan struct{})} }

// PlainConn takes a reliable flow for a byte stream, without session protocol.
func PlainConn(f *o7s.Flow) *Conn {
	c := newConn(f)
	c.plain = true
	return c
}

// Flow returns the flow that carries the session.
func (c *Conn) Flow() *o7s.Flow { return c.f }

// kindLen is the length of the kind in front of data, bytes.
const kindLen = 1

// room returns how many bytes of the stream go into a packet.
func (c *Conn) room() int {
	if c.plain {
		return c.f.MTU()
	}
	return c.f.MTU() - kindLen
}

// Read reads from the stream, io.EOF after the peer's finish or close.
func (c *Conn) Read(p []byte) (int, error) {
	c.read.Lock()
	defer c.read.Unlock()
	if err := c.fillLocked(); err != nil {
		return 0, err
	}
	total := 0
	for total < len(p) && c.read.at < c.read.n {
		b := c.read.in[c.read.at]
		n := copy(p[total:], b.Bytes())
		total += n
		if n == b.Len() {
			b.Release()
			c.read.in[c.read.at] = nil
			c.read.at++
		} else {
			b.TrimFront(n)
		}
	}
	return total, nil
}

// ReadBatch waits for packets of the stream and returns them as they came:
// size limits nothing, it is for streams without packets. The caller owns the
// buffers.
func (c *Conn) ReadBatch(bufs []*packet.Buffer, _ int) (int, error) {
	c.read.Lock()
	defer c.read.Unlock()
	if err := c.fillLocked(); err != nil {
		return 0, err
	}
	n := copy(bufs, c.read.in[c.read.at:c.read.n])
	clear(c.read.in[c.read.at : c.read.at+n])
	c.read.at += n
	return n, nil
}

// fillLocked waits until there is something unread.
func (c *Conn) fillLocked() error {
	r := &c.read
	for r.at == r.n {
		if r.done != nil {
			return r.done
		}
		n, err := c.f.ReadBatch(r.in[:])
		if err != nil {
			if isTimeout(err) {
				return err
			}
			if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, layer.ErrFlowPeer) {
				err = c.aborted(err)
			}
			r.done = err // io.EOF: the peer has closed, after it delivered everything
			return err
		}
		r.at, r.n = 0, c.takeLocked(n)
	}
	return nil
}

// takeLocked reads the session's headers of the first n packets, and keeps
// those with data at the front. It returns how many.
func (c *Conn) takeLocked(n int) int {
	r := &c.read
	if c.plain {
		return n
	}
	kept := 0
	for i := range n {
		b := r.in[i]
		r.in[i] = nil
		if r.done != nil && r.done != io.EOF {
			b.Release()
			continue
		}
		data, done, err := c.state.Take(b.Bytes())
		switch {
		case err != nil:
			r.done = c.aborted(err)
		case done:
			r.done = io.EOF
		}
		if len(data) == 0 {
			b.Release()
			continue
		}
		b.TrimFront(kindLen)
		r.in[kept] = b
		kept++
	}
	return kept
}

// aborted is the error of a stream that has not ended well; it is like that of
// a connection that was reset.
func (c *Conn) aborted(err error) error {
	return &net.OpError{Op: "read", Net: "o7s", Addr: c.f.RemoteAddr(), Err: errors.Join(syscall.ECONNRESET, err)}
}

// broken returns an error if the peer has ended the flow, though nobody reads what
// it has sent before. It sends a keepalive.
func (c *Conn) broken() error { return c.f.WritePacket(nil) }

// drained reports whether the peer has all that was written.
func (c *Conn) drained() bool {
	s := c.f.Stats().FRCP
	return s == nil || s.Waiting+s.Flying == 0
}

func isTimeout(err error) bool {
	var t net.Error
	return errors.As(err, &t) && t.Timeout() && !errors.Is(err, syscall.ETIMEDOUT)
}

// Write writes to the stream. It waits while the peer takes nothing.
func (c *Conn) Write(p []byte) (int, error) {
	c.write.Lock()
	defer c.write.Unlock()
	if err := c.writableLocked(); err != nil {
		return 0, err
	}
	if c.plain {
		return c.f.Write(p)
	}
	bufs := batches.Get().(*batch)
	defer bufs.put()
	total, size := 0, c.room()
	for len(p) > 0 {
		n := min((len(p)+size-1)/size, len(bufs))
		packet.GetBatch(bufs[:n], size)
		bytes := 0
		for _, b := range bufs[:n] {
			part := p[:min(size, len(p))]
			b.Append(part)
			p = p[len(part):]
			bytes += len(part)
		}
		if err := c.sendLocked(bufs[:n]); err != nil {
			return total, err
		}
		total += bytes
	}
	return total, nil
}

// WriteBatch writes the bytes of the packets, best of MTU − 1 bytes each. It takes the
// buffers, not the slice, and waits while the peer takes nothing.
func (c *Conn) WriteBatch(pkts []*packet.Buffer) error {
	c.write.Lock()
	defer c.write.Unlock()
	if err := c.writableLocked(); err != nil {
		packet.ReleaseBatch(pkts)
		return err
	}
	pkts = c.fit(pkts)
	if c.plain {
		return c.f.WriteBatch(pkts)
	}
	return c.sendLocked(pkts)
}

func (c *Conn) sendLocked(pkts []*packet.Buffer) error {
	for _, b := range pkts {
		b.Prepend(kindLen)[0] = byte(session.KindData)
	}
	return c.f.WriteBatch(pkts)
}

// fit returns the packets if none is too long for the flow; else others with
// the same bytes.
func (c *Conn) fit(pkts []*packet.Buffer) []*packet.Buffer {
	size, long := c.room(), 0
	for _, b := range pkts {
		long = max(long, b.Len())
	}
	if long <= size {
		return pkts
	}
	var parts []*packet.Buffer
	for _, b := range pkts {
		for p := b.Bytes(); len(p) > 0; {
			part := packet.Get(size)
			part.Append(p[:min(size, len(p))])
			p = p[part.Len():]
			parts = append(parts, part)
		}
	}
	packet.ReleaseBatch(pkts)
	return parts
}

func (c *Conn) writableLocked() error {
	if c.state.Finished() {
		return &net.OpError{Op: "write", Net: "o7s", Addr: c.f.RemoteAddr(), Err: syscall.EPIPE}
	}
	return nil
}

// CloseWrite says that nothing more will be written; the peer reads what was,
// then io.EOF.
func (c *Conn) CloseWrite() error {
	c.write.Lock()
	defer c.write.Unlock()
	finish := c.state.Finish()
	switch {
	case finish == nil:
		return nil
	case c.plain:
		return c.f.CloseWrite()
	}
	return c.f.WritePacket(finish)
}

// Close ends the session: the peer reads what was written, then io.EOF. It
// waits until everything has arrived; Reset cuts that.
func (c *Conn) Close() error {
	if !c.ending.Swap(true) {
		c.closeErr = c.f.Close()
		c.release()
		close(c.ended)
	}
	<-c.ended
	return c.closeErr
}

// Reset aborts the session: the peer's calls fail, and what is under way is
// lost.
func (c *Conn) Reset() {
	if c.ending.Swap(true) {
		c.f.SetWriteDeadline(time.Now()) // a Close that waits ends now
		return
	}
	if !c.plain {
		c.f.SetNonblock(true)
		c.f.WritePacket(session.Reset()) // the end of the flow says it, too
	}
	abort(c.f)
	c.release()
	close(c.ended)
}

// release gives the unread packets back; the flow is closed, so that no reader
// waits.
func (c *Conn) release() {
	c.read.Lock()
	defer c.read.Unlock()
	packet.ReleaseBatch(c.read.in[c.read.at:c.read.n])
	c.read.at, c.read.n = 0, 0
	if c.read.done == nil {
		c.read.done = &net.OpError{Op: "read", Net: "o7s", Addr: c.f.RemoteAddr(), Err: net.ErrClosed}
	}
}

// LocalAddr returns the name of the service: a session has no other address.
func (c *Conn) LocalAddr() net.Addr { return c.f.LocalAddr() }

// RemoteAddr returns the name of the service.
func (c *Conn) RemoteAddr() net.Addr { return c.f.RemoteAddr() }

// SetDeadline limits the waits of reading and writing calls.
func (c *Conn) SetDeadline(t time.Time) error { return c.f.SetDeadline(t) }

// SetReadDeadline limits the waits of reading calls.
func (c *Conn) SetReadDeadline(t time.Time) error { return c.f.SetReadDeadline(t) }

// SetWriteDeadline limits the waits of writing calls.
func (c *Conn) SetWriteDeadline(t time.Time) error { return c.f.SetWriteDeadline(t) }
