// SPDX-License-Identifier: BSD-3-Clause

package proxy

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"syscall"

	"o7gw/o7s/packet"
	"o7gw/proxy/ledger"
)

// Relay joins a connection and a session until both directions have ended, and
// closes both. One side's finish becomes the other's; if one is aborted, so is
// the other. A side that takes nothing stops the reading of the other one:
// what is on the way is bounded by the window of the flow and the buffers of
// the connection.
//
//	connection ── readv into packets ──▶ flow        (one goroutine)
//	connection ◀── writev of packets ── flow         (the caller's)
//
// It counts into s, and returns nil after an orderly end.
func Relay(ctx context.Context, a Stream, b *Conn, s *ledger.Session) error {
	r := relay{a: a, b: b, batches: batched(a)}
	stop := context.AfterFunc(ctx, func() { r.abort(context.Cause(ctx)) })
	up := make(chan struct{})
	go func() {
		defer close(up)
		r.copy(b, r.batches, b.room(), s.Tx)
	}()
	r.copy(r.batches, b, 0, s.Rx)
	<-up
	if stop() {
		r.end()
	}
	return r.err
}

// batchStream is a stream with both fast paths.
type batchStream interface {
	Stream
	BatchReader
	BatchWriter
}

// relay is one pair being joined.
type relay struct {
	a       Stream
	b       *Conn
	batches batchStream // a

	mu      sync.Mutex
	aborted bool
	err     error
}

// relayBatch is how many packets are moved at once.
const relayBatch = 64

// copy moves packets from one side to the other until the first finishes.
func (r *relay) copy(to BatchWriter, from BatchReader, size int, count func(packets, bytes int)) {
	var bufs [relayBatch]*packet.Buffer
	for {
		n, err := from.ReadBatch(bufs[:], size)
		if err == io.EOF {
			if err := to.(Stream).CloseWrite(); err != nil && !errors.Is(err, syscall.ENOTCONN) {
				r.abort(err)
			}
			return
		}
		if err != nil {
			r.abort(err)
			return
		}
		bytes := 0
		for _, b := range bufs[:n] {
			bytes += b.Len()
		}
		if err := to.WriteBatch(bufs[:n]); err != nil {
			r.abort(err)
			return
		}
		count(n, bytes)
	}
}

// abort resets both sides, once; the first reason counts.
func (r *relay) abort(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.aborted {
		return
	}
	r.aborted, r.err = true, err
	reset(r.a)
	r.b.Reset()
}

// end closes both sides after an orderly end.
func (r *relay) end() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.aborted {
		return
	}
	r.err = errors.Join(r.b.Close(), ignoreClosed(r.a.Close()))
}

func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) || errors.Is(err, syscall.ENOTCONN) {
		return nil
	}
	return err
}

// reset aborts a stream in its own way.
func reset(a Stream) {
	switch c := a.(type) {
	case interface{ Reset() }:
		c.Reset()
	case *net.TCPConn:
		c.SetLinger(0)
		c.Close()
	default:
		a.Close()
	}
}

// batched returns a with fast paths: its own, those of a kernel socket, or
// plain ones.
func batched(a Stream) batchStream {
	if b, ok := a.(batchStream); ok {
		return b
	}
	if c, ok := a.(*net.TCPConn); ok {
		if raw, err := c.SyscallConn(); err == nil {
			return &kernelStream{TCPConn: c, raw: raw}
		}
	}
	return plainStream{a}
}

// plainStream makes batches of a stream that has none; it holds a buffer while
// it waits.
type plainStream struct{ Stream }

func (s plainStream) ReadBatch(bufs []*packet.Buffer, size int) (int, error) {
	b := packet.Get(size)
	back, off := b.Backing()
	n, err := s.Read(back[off : off+size])
	if n == 0 {
		b.Release()
		return 0, err
	}
	b.SetLen(n)
	bufs[0] = b
	return 1, nil
}

func (s plainStream) WriteBatch(pkts []*packet.Buffer) error {
	defer packet.ReleaseBatch(pkts)
	for _, b := range pkts {
		if _, err := s.Write(b.Bytes()); err != nil {
			return err
		}
	}
	return nil
}
