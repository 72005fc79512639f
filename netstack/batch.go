// SPDX-License-Identifier: BSD-3-Clause

package netstack

import (
	"io"

	"o7gw/o7s/packet"
)

// batchWriter is what gVisor writes received data to: it fills buffers, and
// takes no more than they hold.
type batchWriter struct {
	bufs []*packet.Buffer
	size int // bytes per buffer
	n    int // buffers with something in them
	got  int // buffers of the pool
}

func (w *batchWriter) Write(p []byte) (int, error) {
	total := 0
	for len(p) > 0 {
		if w.n == 0 || w.bufs[w.n-1].Len() == w.size {
			if w.n == len(w.bufs) {
				return total, io.ErrShortWrite
			}
			w.next(len(p))
		}
		b := w.bufs[w.n-1]
		part := p[:min(len(p), w.size-b.Len())]
		b.Append(part)
		p = p[len(part):]
		total += len(part)
	}
	return total, nil
}

// next makes an empty buffer the current one; n bytes wait. Those that will
// surely be filled come with it, so that the pool is asked once.
func (w *batchWriter) next(n int) {
	if w.n == w.got {
		k := min(max(1, n/w.size), len(w.bufs)-w.n)
		packet.GetBatch(w.bufs[w.n:w.n+k], w.size)
		w.got += k
	}
	w.n++
}

// batchReader gives the bytes of packets to gVisor.
type batchReader struct {
	pkts []*packet.Buffer
	off  int // in pkts[0]
	left int // bytes
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
