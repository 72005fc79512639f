// SPDX-License-Identifier: BSD-3-Clause

package names

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"
)

const (
	// readBuffer is what a UDP socket holds while queries are answered, bytes.
	readBuffer = 1 << 20
	// portTries is how often a free port for both UDP and TCP is looked for.
	portTries = 8
	// pause is the time before a socket is tried again that had an error,
	// such as too few descriptors.
	pause = 50 * time.Millisecond
)

// listen opens the sockets of one address.
func (s *Server) listen(ctx context.Context, a netip.AddrPort) error {
	family := "4"
	if a.Addr().Is6() && !a.Addr().Is4In6() {
		family = "6"
	}
	var lc net.ListenConfig
	for try := 1; ; try++ {
		pc, err := lc.ListenPacket(ctx, "udp"+family, a.String())
		if err != nil {
			return err
		}
		udp := pc.(*net.UDPConn)
		tcp, err := lc.Listen(ctx, "tcp"+family, udp.LocalAddr().String())
		if err == nil {
			return s.serve(udp, tcp.(*net.TCPListener), a.Addr().IsUnspecified())
		}
		udp.Close()
		if a.Port() != 0 || try == portTries {
			return err
		}
	}
}

// serve reads from sockets until Close; it takes them.
func (s *Server) serve(udp *net.UDPConn, tcp *net.TCPListener, wildcard bool) error {
	udp.SetReadBuffer(readBuffer) // the kernel may give less
	w, err := newReturner(udp, wildcard)
	if err != nil {
		udp.Close()
		tcp.Close()
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		udp.Close()
		tcp.Close()
		return net.ErrClosed
	}
	s.sockets = append(s.sockets, udp)
	s.ports = append(s.ports, tcp)
	s.wg.Go(func() { s.readUDP(w) })
	s.wg.Go(func() { s.accept(tcp) })
	return nil
}

// readUDP answers the queries of a socket: at once, or on a goroutine of their
// own if they wait; the guard bounds how many do.
func (s *Server) readUDP(w *returner) {
	var buf [queryMost + 1]byte
	for {
		n, from, back, err := w.read(buf[:])
		switch {
		case err == nil:
		case s.ctx.Err() != nil:
			return
		default:
			s.log.Debug("read queries", "err", err)
			s.pause()
			continue
		}
		from = netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
		answer, wait := s.begin(buf[:n], from, false)
		switch {
		case wait != nil:
			s.wg.Go(func() { w.write(wait.finish(s.ctx), from, back) })
		case answer != nil:
			w.write(answer, from, back)
		}
	}
}

func (s *Server) pause() {
	select {
	case <-s.ctx.Done():
	case <-time.After(pause):
	}
}

func (s *Server) accept(l *net.TCPListener) {
	for {
		c, err := l.Accept()
		switch {
		case err == nil:
		case s.drain.Load():
			return
		default:
			s.log.Debug("accept a connection", "err", err)
			s.pause()
			continue
		}
		from := c.RemoteAddr().(*net.TCPAddr).AddrPort()
		from = netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
		client := s.guard.connect(from.Addr(), time.Now())
		if client == nil {
			s.count.over.Add(1)
			c.Close()
			continue
		}
		s.mu.Lock()
		over := s.drain.Load()
		if !over {
			s.conns[c] = struct{}{}
		}
		s.mu.Unlock()
		if over {
			s.guard.disconnect(client)
			c.Close()
			return
		}
		s.wg.Go(func() {
			s.converse(c, from)
			c.Close()
			s.guard.disconnect(client)
			s.mu.Lock()
			delete(s.conns, c)
			s.mu.Unlock()
		})
	}
}

// converse answers the queries of a connection (RFC 7766): those that wait do
// not hold up others.
func (s *Server) converse(c net.Conn, from netip.AddrPort) {
	var (
		size [2]byte
		mu   sync.Mutex // of writing
		wg   sync.WaitGroup
		slot = make(chan struct{}, s.guard.pipelined)
	)
	defer wg.Wait()
	write := func(b []byte) {
		if b == nil {
			c.Close()
			return
		}
		mu.Lock()
		defer mu.Unlock()
		c.SetWriteDeadline(time.Now().Add(s.guard.writeWithin))
		if _, err := c.Write(append(binary.BigEndian.AppendUint16(make([]byte, 0, 2+len(b)), uint16(len(b))), b...)); err != nil {
			c.Close()
		}
	}
	for {
		c.SetReadDeadline(time.Now().Add(s.guard.idle))
		if s.drain.Load() { // whose deadline may just have been moved
			return
		}
		if _, err := io.ReadFull(c, size[:]); err != nil {
			return
		}
		n := binary.BigEndian.Uint16(size[:])
		if n > queryMost {
			s.count.malformed.Add(1)
			return
		}
		raw := make([]byte, n)
		if _, err := io.ReadFull(c, raw); err != nil {
			return
		}
		answer, wait := s.begin(raw, from, true)
		if wait == nil {
			write(answer)
			continue
		}
		slot <- struct{}{}
		wg.Go(func() {
			write(wait.finish(s.ctx))
			<-slot
		})
	}
}
