// SPDX-License-Identifier: BSD-3-Clause

package proxy

import (
	"net"

	"o7gw/o7s/packet"
)

// batched returns a with fast paths: its own, those of a kernel socket, or
// plain ones.
func batched(a Stream) side {
	switch c := a.(type) {
	case side:
		return c
	case *net.TCPConn:
		if s, err := newKernelStream(c); err == nil {
			return s
		}
	case batchStream:
		return foreignStream{c}
	}
	return foreignStream{plainStream{a}}
}

// batchStream is a stream with both fast paths.
type batchStream interface {
	Stream
	BatchReader
	BatchWriter
}

// foreignStream is a stream of somebody else's. It may have Reset, Broken and Drained,
// which are like the methods of a side; what it cannot tell is taken for good.
type foreignStream struct{ batchStream }

// own returns the stream as its owner knows it.
func (s foreignStream) own() any {
	if p, plain := s.batchStream.(plainStream); plain {
		return p.Stream
	}
	return s.batchStream
}

func (s foreignStream) Reset() {
	if c, ok := s.own().(interface{ Reset() }); ok {
		c.Reset()
		return
	}
	s.Close()
}

func (s foreignStream) broken() error {
	if c, ok := s.own().(interface{ Broken() error }); ok {
		return c.Broken()
	}
	return nil
}

func (s foreignStream) drained() bool {
	c, ok := s.own().(interface{ Drained() bool })
	return !ok || c.Drained()
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
