// SPDX-License-Identifier: BSD-3-Clause

package netstack

import (
	"encoding/binary"
	"io"
	"log/slog"
	"net/netip"
	"sync"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"

	"o7gw/o7s/packet"
)

// fakeDevice gives packets to a Stack and takes its packets, without a kernel.
type fakeDevice struct {
	mu     sync.Mutex
	more   sync.Cond
	in     [][]byte
	idle   bool // the reader waits: everything was read
	closed bool

	out chan []byte
}

func newFakeDevice() *fakeDevice {
	d := &fakeDevice{out: make(chan []byte, 10000)}
	d.more.L = &d.mu
	return d
}

func (d *fakeDevice) Wait(uint64) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.idle = len(d.in) == 0
	d.more.Broadcast()
	for len(d.in) == 0 && !d.closed {
		d.more.Wait()
	}
	d.idle = false
	if d.closed {
		return io.EOF
	}
	return nil
}

func (d *fakeDevice) Room() int { return 65535 }

func (d *fakeDevice) Read(bufs []*packet.Buffer) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := min(len(bufs), len(d.in))
	for i, p := range d.in[:n] {
		bufs[i].SetLen(0)
		bufs[i].Append(p)
	}
	d.in = d.in[n:]
	return n, nil
}

func (d *fakeDevice) Write(pkts []*packet.Buffer) {
	for _, b := range pkts {
		select {
		case d.out <- append([]byte(nil), b.Bytes()...):
		default:
		}
	}
	packet.ReleaseBatch(pkts)
}

func (d *fakeDevice) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	d.more.Broadcast()
}

// put gives packets to the stack and waits until it has taken them.
func (d *fakeDevice) put(pkts ...[]byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.in = append(d.in, pkts...)
	d.more.Broadcast()
	for (len(d.in) > 0 || !d.idle) && !d.closed {
		d.more.Wait()
	}
}

// none fails the test if the stack has sent something.
func (d *fakeDevice) none(t *testing.T) {
	t.Helper()
	select {
	case p := <-d.out:
		t.Fatalf("the stack sent % x", p)
	default:
	}
}

// next returns the next packet of the stack.
func (d *fakeDevice) next(t *testing.T) []byte {
	t.Helper()
	select {
	case p := <-d.out:
		return p
	case <-time.After(10 * time.Second):
		t.Fatal("the stack sent nothing")
		return nil
	}
}

// fakeStack runs a Stack on a fake device.
func fakeStack(t testing.TB, cfg Config, clock tcpip.Clock) (*Stack, *fakeDevice) {
	t.Helper()
	d := newFakeDevice()
	cfg.Device, cfg.NewWriter, cfg.Log = d, func() Writer { return d }, slog.New(slog.DiscardHandler)
	if cfg.MTU == 0 {
		cfg.MTU = 1500
	}
	if cfg.TCP == nil {
		cfg.TCP = func(r *TCPRequest) { r.Refuse() }
	}
	s, err := newStack(cfg, clock)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		d.close()
		s.Close()
	})
	return s, d
}

var (
	client4, served4 = netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("198.18.0.5")
	client6, served6 = netip.MustParseAddr("fd00::1"), netip.MustParseAddr("fd00:18::5")
)

// TCP flags.
const (
	fin = 1
	syn = 2
	rst = 4
	ack = 16
)

// tcpPacket is a segment from the client.
func tcpPacket(src, dst netip.AddrPort, seq, acked uint32, flags uint8, payload []byte) []byte {
	b := packet.Get(100 + len(payload))
	defer b.Release()
	h := b.Extend(tcpLen)
	clear(h)
	binary.BigEndian.PutUint16(h, src.Port())
	binary.BigEndian.PutUint16(h[2:], dst.Port())
	binary.BigEndian.PutUint32(h[4:], seq)
	binary.BigEndian.PutUint32(h[8:], acked)
	h[12], h[13] = 5<<4, flags
	binary.BigEndian.PutUint16(h[14:], 65535)
	b.Append(payload)
	h = b.Bytes()
	binary.BigEndian.PutUint16(h[16:], ^fold(sum(h, pseudo(src.Addr(), dst.Addr(), protoTCP, len(h)))))
	putIP(b.Prepend(ipLen(src.Addr())), src.Addr(), dst.Addr(), protoTCP, 0, len(h))
	return append([]byte(nil), b.Bytes()...)
}

// udpPacket is a datagram from the client.
func udpPacket(src, dst netip.AddrPort, payload []byte) []byte {
	b := packet.Get(len(payload))
	b.Append(payload)
	b = new(Stack).seal(&Datagram{Src: src, Dst: dst, Buf: b})
	defer b.Release()
	return append([]byte(nil), b.Bytes()...)
}

// segmentView is what a test looks at of a TCP packet of the stack.
type segmentView struct {
	seq, ack uint32
	flags    uint8
	payload  []byte
}

func viewTCP(t *testing.T, p []byte) segmentView {
	t.Helper()
	h, ok := parseIP(p)
	if !ok || h.proto != protoTCP || !checked(&h, p[h.len:h.total]) {
		t.Fatalf("no TCP packet: % x", p)
	}
	s := p[h.len:h.total]
	return segmentView{
		binary.BigEndian.Uint32(s[4:]), binary.BigEndian.Uint32(s[8:]), s[13], s[int(s[12]>>4)*4:],
	}
}
