// SPDX-License-Identifier: BSD-3-Clause

package eth

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/binary"
	"errors"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"o7gw/o7s/layer"
	"o7gw/o7s/packet"
	"o7gw/o7s/qos"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

// upper answers flow requests as its fields say.
type upper struct {
	answer func(r *layer.Request)
}

func (u *upper) FlowRequested(r *layer.Request) { u.answer(r) }

// acceptor accepts each request with caps announced by the requester, echoes
// the piggyback, and passes the ports on.
func acceptor(caps layer.Caps) (*upper, chan layer.Port) {
	ports := make(chan layer.Port, 2000)
	return &upper{func(r *layer.Request) {
		r.Answerer.(layer.PeerAware).SetPeerCaps(caps)
		p, err := r.Accept(r.Data)
		if errors.Is(err, layer.ErrIPCPState) {
			return // closing
		}
		if err != nil {
			panic(err)
		}
		ports <- p
	}}, ports
}

var noUpper = &upper{func(r *layer.Request) { r.Ignore() }}

var op = layer.SHA3_256.Sum("op")

// within is a context for one step of a test.
func within(t testing.TB, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

// connect returns both ends of a flow from client to server.
func connect(t testing.TB, client, server *IPCP, ports chan layer.Port, spec qos.Spec) (c, s layer.Port) {
	t.Helper()
	if err := server.Register(context.Background(), op); err != nil {
		t.Fatal(err)
	}
	c, answer, err := client.Allocate(within(t, 5*time.Second), op, spec, []byte("hello"))
	if err != nil {
		t.Fatal(err)
	}
	if string(answer) != "hello" {
		t.Fatalf("piggyback of the answer is %q", answer)
	}
	return c, <-ports
}

// sink collects what a port receives.
type sink struct {
	mu     sync.Mutex
	got    [][]byte
	events []layer.Event
	more   chan struct{} // capacity 1: something changed
}

func newSink(p layer.Port) *sink {
	s := &sink{more: make(chan struct{}, 1)}
	p.Receive(s)
	return s
}

func (s *sink) signal() {
	select {
	case s.more <- struct{}{}:
	default:
	}
}

func (s *sink) Packets(pkts []*packet.Buffer) {
	s.mu.Lock()
	for _, b := range pkts {
		s.got = append(s.got, bytes.Clone(b.Bytes()))
	}
	s.mu.Unlock()
	release(pkts)
	s.signal()
}

func (s *sink) Event(e layer.Event) {
	s.mu.Lock()
	s.events = append(s.events, e)
	s.mu.Unlock()
	s.signal()
}

// wait waits until ok, called with the lock held, is true.
func (s *sink) wait(t testing.TB, what string, ok func() bool) {
	t.Helper()
	limit := time.After(5 * time.Second)
	for {
		s.mu.Lock()
		done := ok()
		n := len(s.got)
		s.mu.Unlock()
		if done {
			return
		}
		select {
		case <-s.more:
		case <-limit:
			t.Fatalf("no %s after 5 s; %d packets", what, n)
		}
	}
}

func (s *sink) packets(t testing.TB, n int) [][]byte {
	t.Helper()
	s.wait(t, "packets", func() bool { return len(s.got) >= n })
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.got)
}

func (s *sink) closed(t testing.TB) {
	t.Helper()
	s.wait(t, "end of flow", func() bool { return len(s.events) > 0 && s.events[len(s.events)-1] == layer.Closed })
}

// buffers makes packets of the given contents.
func buffers(contents ...[]byte) []*packet.Buffer {
	var pkts []*packet.Buffer
	for _, c := range contents {
		b := packet.Get(len(c))
		b.Append(c)
		pkts = append(pkts, b)
	}
	return pkts
}

// eventually polls a condition that no event tells about.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(5 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("no %s after 5 s", what)
		}
	}
}

// checked makes a packet whose content proves itself: number, filler, digest.
func checked(n uint32, size int) []byte {
	b := make([]byte, size)
	binary.BigEndian.PutUint32(b, n)
	for i := 4; i < size-md5.Size; i++ {
		b[i] = byte(i) ^ byte(n)
	}
	sum := md5.Sum(b[:size-md5.Size])
	copy(b[size-md5.Size:], sum[:])
	return b
}

// numbers makes n small packets with numbers from first on.
func numbers(first, n int) []*packet.Buffer {
	var pkts []*packet.Buffer
	for i := range n {
		pkts = append(pkts, buffers(binary.BigEndian.AppendUint32(nil, uint32(first+i)))...)
	}
	return pkts
}

func descriptors(t *testing.T) int {
	d, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(d)
}
