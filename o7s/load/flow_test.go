// SPDX-License-Identifier: BSD-3-Clause

package load

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"o7gw/o7s"
	"o7gw/o7s/node"
	"o7gw/o7s/packet"
	"o7gw/o7s/qos"
)

// stack returns a node in this process.
func stack(t testing.TB) *o7s.Stack {
	t.Helper()
	n, err := node.New(t.Context(), node.Config{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Close() })
	return n.Stack()
}

// flows returns both ends of a flow.
func flows(t testing.TB, qs qos.Spec) (client, server *o7s.Flow) {
	t.Helper()
	s := stack(t)
	l, err := s.Listen(t.Context(), "x")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	accepted := make(chan *o7s.Flow, 1)
	go func() {
		f, err := l.AcceptFlow(t.Context())
		if err != nil {
			t.Error(err)
		}
		accepted <- f
	}()
	client, err = s.Dial(t.Context(), "x", o7s.WithQoS(qs))
	if err != nil {
		t.Fatal(err)
	}
	server = <-accepted
	t.Cleanup(func() { client.SetLinger(0); client.Close(); server.SetLinger(0); server.Close() })
	return client, server
}

// stamp numbers packets with 8 bytes.
func stamp(p []byte, n uint64) { binary.LittleEndian.PutUint64(p, n) }

// drain reads to the end and returns how many packets came, which must be of
// that size, numbered upwards and otherwise zeros.
func drain(t testing.TB, f *o7s.Flow, size int) (packets uint64) {
	rest := make([]byte, size-8)
	var batch [packet.BatchSize]*packet.Buffer
	for next, bad := uint64(0), false; ; {
		n, err := f.ReadBatch(batch[:])
		for _, b := range batch[:n] {
			p := b.Bytes()
			if len(p) != size || binary.LittleEndian.Uint64(p) < next || !bytes.Equal(p[8:], rest) {
				bad = true
				continue
			}
			next = binary.LittleEndian.Uint64(p) + 1
		}
		packet.ReleaseBatch(batch[:n])
		packets += uint64(n)
		if err != nil {
			if !errors.Is(err, io.EOF) || bad {
				t.Errorf("end of reading: %v, bad packets: %v", err, bad)
			}
			return packets
		}
	}
}

func TestSender(t *testing.T) {
	for name, c := range map[string]struct {
		rate float64
		spin bool
		qs   qos.Spec
		want uint64 // 0: some
	}{
		"sleep": {rate: 8e6, want: 100},
		"spin":  {rate: 8e6, spin: true, want: 100},
		"slow":  {rate: 1, want: 1},
		"flood": {},
		"data":  {qs: qos.Data},
	} {
		t.Run(name, func(t *testing.T) {
			client, server := flows(t, c.qs)
			var got uint64
			var reading sync.WaitGroup
			reading.Go(func() { got = drain(t, server, 1000) })
			s := &Sender{Flow: client, Size: 1000, Rate: c.rate, Spin: c.spin, Stamp: stamp}
			start := time.Now()
			err := s.Run(t.Context(), 100*time.Millisecond)
			if took := time.Since(start); err != nil || took < 100*time.Millisecond {
				t.Errorf("%v after %v", err, took)
			}
			if err := client.Close(); err != nil {
				t.Error(err)
			}
			reading.Wait()
			// Raw packets between two flows of one process may be dropped, of
			// a flood.
			if sent := s.Sent(); sent == 0 || got > sent || c.want > 0 && (sent > c.want || got != sent) || c.qs.Reliable() && got != sent {
				t.Errorf("sent %d, received %d", sent, got)
			}
		})
	}
}

// The end of the context ends every kind of wait.
func TestSenderStops(t *testing.T) {
	for name, s := range map[string]*Sender{
		"sleep": {Rate: 1},
		"spin":  {Rate: 1, Spin: true},
		"fast":  {Rate: 1e6, Spin: true},
		"flood": {},
		"stuck": {}, // a reliable flow that nobody reads
	} {
		t.Run(name, func(t *testing.T) {
			qs := qos.Raw
			if name == "stuck" {
				qs = qos.Data
			}
			s.Flow, _ = flows(t, qs)
			s.Size = 1000
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
			defer cancel()
			err := s.Run(ctx, time.Hour)
			if name == "stuck" {
				if !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("error %v", err)
				}
			} else if err != nil {
				t.Error(err)
			}
		})
	}
}

// The end of the flow is told.
func TestSenderMeetsEnd(t *testing.T) {
	client, server := flows(t, qos.Raw)
	server.Close()
	s := &Sender{Flow: client, Size: 64}
	if err := s.Run(t.Context(), time.Hour); err == nil {
		t.Error("sent to nobody")
	}
}

// Sending allocates nothing for a packet.
func TestSenderAllocates(t *testing.T) {
	client, server := flows(t, qos.Raw)
	s := &Sender{Flow: client, Size: 1000, Stamp: stamp, zeros: make([]byte, 1000)}
	var out, in [packet.BatchSize]*packet.Buffer
	if n := testing.AllocsPerRun(100, func() {
		if err := s.write(out[:]); err != nil {
			t.Fatal(err)
		}
		for left := len(out); left > 0; {
			n, err := server.ReadBatch(in[:])
			if err != nil {
				t.Fatal(err)
			}
			packet.ReleaseBatch(in[:n])
			left -= n
		}
	}); n > 0 {
		t.Errorf("%v allocations for %d packets", n, len(out))
	}
}

// Flows are numbered from 64, the lowest free number first; the end of the
// context ends all handlers.
func TestServer(t *testing.T) {
	s := stack(t)
	l, err := s.Listen(t.Context(), "x")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	opened, ended := make(chan int), make(chan int, 10)
	srv := &Server{
		Handle: func(_ context.Context, fd int, flow *o7s.Flow) {
			opened <- fd
			flow.ReadPacket(make([]byte, 10))
			ended <- fd
		},
		Failed: func(err error, _ bool) { t.Error(err) },
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	result := make(chan error)
	go func() { result <- srv.Serve(ctx, l) }()
	dial := func(want int) *o7s.Flow {
		t.Helper()
		f, err := s.Dial(t.Context(), "x")
		if err != nil {
			t.Fatal(err)
		}
		if fd := <-opened; fd != want {
			t.Errorf("flow number %d, want %d", fd, want)
		}
		return f
	}
	first := dial(64)
	defer dial(65).Close()
	first.Close()
	if fd := <-ended; fd != 64 {
		t.Errorf("flow %d ended", fd)
	}
	for !free(srv, 64) {
		time.Sleep(time.Millisecond)
	}
	defer dial(64).Close()
	cancel()
	if err := <-result; err != nil {
		t.Error(err)
	}
	if len(ended) != 2 {
		t.Errorf("%d handlers had ended", len(ended))
	}
}

func free(s *Server, fd int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.used[fd-FirstFD]
}

// A listener that is closed ends the server with an error.
func TestServerWithoutListener(t *testing.T) {
	l, err := stack(t).Listen(t.Context(), "x")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	told := 0
	srv := &Server{Failed: func(error, bool) { told++ }}
	if err := srv.Serve(t.Context(), l); !errors.Is(err, net.ErrClosed) || told != 1 {
		t.Errorf("%v, told %d times", err, told)
	}
}
