// SPDX-License-Identifier: BSD-3-Clause

package udp

import (
	"encoding/binary"
	"log/slog"
	"os"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"o7gw/o7s/ipcp/egress"
	"o7gw/o7s/packet"
	"o7gw/o7s/qos"
)

// pipe is a socket whose buffer is full as long as nobody reads the other
// end, which a UDP socket without a slow device never is.
type pipe struct {
	*socket
	other int
	to    peer
}

func newPipe(t *testing.T) *pipe {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	stop, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		t.Fatal(os.NewSyscallError("eventfd", err))
	}
	p := &pipe{socket: &socket{fd: fds[0], stop: stop, log: slog.New(slog.DiscardHandler)}, other: fds[1]}
	t.Cleanup(func() {
		p.close()
		unix.Close(p.other)
	})
	return p // p.to has no address: the sockets are connected
}

// next reads the number in the next datagram.
func (p *pipe) next(t *testing.T) uint32 {
	t.Helper()
	var b [64]byte
	fds := []unix.PollFd{{Fd: int32(p.other), Events: unix.POLLIN}}
	for {
		n, err := unix.Read(p.other, b[:])
		if n >= 4 {
			return binary.BigEndian.Uint32(b[:])
		}
		if err != unix.EAGAIN && err != unix.EINTR {
			t.Fatalf("read: %d, %v", n, err)
		}
		if n, _ := unix.Poll(fds, 5000); n == 0 {
			t.Fatal("nothing comes")
		}
	}
}

// numbers makes n small packets with numbers from first on.
func numbers(first, n int) []*packet.Buffer {
	var pkts []*packet.Buffer
	for i := range n {
		pkts = append(pkts, buffers(binary.BigEndian.AppendUint32(nil, uint32(first+i)))...)
	}
	return pkts
}

func TestFullSocketBlocksNobody(t *testing.T) {
	p := newPipe(t)
	var c counters
	e := egress.New(newOutlet(p.socket, &c), &c.egress)
	e.Enqueue(&p.to, qos.BestEffort, numbers(0, 500))
	eventually(t, "full socket", func() bool { return c.sendBlocked.Load() > 0 })
	if n := e.Queued(qos.BestEffort); n == 0 {
		t.Error("a full socket, and nothing waits")
	}
	e.Enqueue(&p.to, qos.BestEffort, numbers(500, 300))
	for i := range 800 {
		if n := p.next(t); n != uint32(i) {
			t.Fatalf("packet %d came as number %d", n, i)
		}
	}
	eventually(t, "idle egress", func() bool { return c.sent.Load() == 800 && e.Queued(qos.BestEffort) == 0 })
	// And it starts again.
	e.Enqueue(&p.to, qos.VoiceCube, numbers(800, 1))
	if n := p.next(t); n != 800 {
		t.Errorf("got %d", n)
	}
	p.wakeAll()
	e.Close()
	if s := c.sent.Load(); s != 801 {
		t.Errorf("sent %d", s)
	}
}

// Several goroutines send on several flows at once; each sees its packets
// arrive in order.
func TestOrderOfEachSender(t *testing.T) {
	u, ports := acceptor(0)
	client := start(t, "127.0.0.1", noUpper, serves("127.0.0.2"))
	server := start(t, "127.0.0.2", u, nil)
	const senders, count = 4, 100 // all fit into a queue
	var wg sync.WaitGroup
	var sinks []*sink
	for range 2 {
		a, b := connect(t, client, server, ports, qos.Raw)
		sinks = append(sinks, newSink(b))
		for s := range senders {
			wg.Go(func() {
				for i := range count / 2 {
					a.Send(numbers(s*count+2*i, 2))
				}
			})
		}
	}
	wg.Wait()
	for _, s := range sinks {
		var next [senders]uint32
		for _, p := range s.packets(t, senders*count) {
			n := binary.BigEndian.Uint32(p)
			if n%count != next[n/count] {
				t.Fatalf("packet %d of sender %d came in place of %d", n%count, n/count, next[n/count])
			}
			next[n/count]++
		}
	}
}

func TestNoAllocationPerPacket(t *testing.T) {
	u, ports := acceptor(0)
	client := start(t, "127.0.0.1", noUpper, serves("127.0.0.2"))
	server := start(t, "127.0.0.2", u, nil)
	a, b := connect(t, client, server, ports, qos.Raw)
	var got counter
	b.Receive(&got)
	var batch [packet.BatchSize]*packet.Buffer
	sent := int64(0)
	round := func() {
		packet.GetBatch(batch[:], 1400)
		for _, p := range batch {
			p.SetLen(1400)
		}
		a.Send(batch[:])
		sent += int64(len(batch))
		for end := time.Now().Add(5 * time.Second); got.packets.Load() < sent; time.Sleep(10 * time.Microsecond) {
			if time.Now().After(end) {
				t.Fatal("packets were lost")
			}
		}
	}
	round()
	round()
	if n := testing.AllocsPerRun(200, round); n != 0 {
		t.Errorf("%v allocations per batch of %d packets", n, len(batch))
	}
}
