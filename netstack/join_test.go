// SPDX-License-Identifier: BSD-3-Clause

package netstack

import (
	"bytes"
	"io"
	"math/rand/v2"
	"net/netip"
	"testing"

	"gvisor.dev/gvisor/pkg/tcpip"
)

// TestJoin: segments of several connections, in batches, in disorder and
// twice, give each connection its bytes.
func TestJoin(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	s, d, requests, end := held(t, Limits{}, tcpip.NewStdClock())
	defer close(end)
	type stream struct {
		c        *Conn
		src, dst netip.AddrPort
		ack      uint32
		data     []byte
		got      chan []byte
	}
	var all []*stream
	for i := range 4 {
		x := &stream{src: netip.AddrPortFrom(client4, uint16(1000+i)), dst: to4, data: make([]byte, 50000), got: make(chan []byte, 1)}
		if i%2 == 1 {
			x.src, x.dst = netip.AddrPortFrom(client6, uint16(1000+i)), netip.AddrPortFrom(served6, 80)
		}
		for j := range x.data {
			x.data[j] = byte(rnd.Uint32())
		}
		d.put(tcpPacket(x.src, x.dst, 100, 0, syn, nil))
		x.c, x.ack = connect(t, d, <-requests)
		all = append(all, x)
		go func() {
			got, _ := io.ReadAll(x.c)
			x.got <- got
		}()
	}
	// Segments of each, in the main in their order, and the streams mixed.
	var pkts [][]byte
	at := make([]int, len(all))
	for range 100 * len(all) {
		i := rnd.IntN(len(all))
		x := all[i]
		for range 1 + rnd.IntN(20) {
			n := min(1000, len(x.data)-at[i])
			if rnd.IntN(5) == 0 {
				n = min(n, 1+rnd.IntN(1000))
			}
			if n == 0 {
				break
			}
			flags := uint8(ack)
			if rnd.IntN(10) == 0 {
				flags |= flagPSH
			}
			p := tcpPacket(x.src, x.dst, 101+uint32(at[i]), x.ack, flags, x.data[at[i]:at[i]+n])
			pkts = append(pkts, p)
			if rnd.IntN(20) == 0 {
				pkts = append(pkts, p)
			}
			at[i] += n
		}
	}
	for range 50 {
		i := rnd.IntN(len(pkts) - 1)
		pkts[i], pkts[i+1] = pkts[i+1], pkts[i]
	}
	for i, x := range all {
		if at[i] < len(x.data) {
			t.Fatal("not all of the data was sent")
		}
		pkts = append(pkts, tcpPacket(x.src, x.dst, 101+uint32(at[i]), x.ack, ack|fin, nil))
	}
	before := s.stack.Stats().TCP.ValidSegmentsReceived.Value()
	for _, p := range [2][][]byte{pkts, pkts} { // what a batch lost, its repetition brings
		for len(p) > 0 {
			n := min(len(p), 1+rnd.IntN(60))
			d.put(p[:n]...)
			p = p[n:]
		}
	}
	for i, x := range all {
		if got := <-x.got; !bytes.Equal(got, x.data) {
			t.Errorf("connection %d got %d bytes", i, len(got))
		}
		x.c.Reset()
	}
	if n := s.stack.Stats().TCP.ValidSegmentsReceived.Value() - before; n > uint64(2*len(pkts)*3/4) {
		t.Errorf("%d segments of 2·%d: too few were joined", n, len(pkts))
	}
}
