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

// foreignStream is a stream of somebody else's. What it cannot tell is taken for
// good.
type foreignStream struct{ batchStream }

func (s foreignStream) Reset() {
	var inner any = s.batchStream
	if p, plain := inner.(plainStream); plain {
		inner = p.Stream
	}
	if c, ok := inner.(interface{ Reset() }); ok {
		c.Reset()
		return
	}
	s.Close()
}

func (foreignStream) broken() error { return nil }

func (foreignStream) drained() bool { return true }

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
