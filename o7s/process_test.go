// SPDX-License-Identifier: BSD-3-Clause

package o7s_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"testing"
	"time"

	"o7gw/o7s"
	"o7gw/o7s/flow"
	"o7gw/o7s/layer"
	"o7gw/o7s/qos"
	"o7gw/o7s/ring"
)

// given is a Backend that hands out one flow.
type given struct {
	layerless
	a *flow.Attachment
}

func (g given) Alloc(context.Context, string, qos.Spec) (*flow.Attachment, error) { return g.a, nil }

// layerless refuses everything.
type layerless struct{}

func (layerless) Alloc(context.Context, string, qos.Spec) (*flow.Attachment, error) {
	return nil, layer.ErrIPCP
}
func (layerless) Accept(context.Context, string) (*flow.Attachment, error) {
	return nil, layer.ErrIPCP
}
func (layerless) Join(context.Context, string) (*flow.Attachment, error) { return nil, layer.ErrIPCP }
func (layerless) Query(context.Context, string) error                    { return layer.ErrNoName }
func (layerless) Listen(context.Context, string) (func(), error)         { return nil, layer.ErrIPCP }
func (layerless) Close() error                                           { return nil }

// openFlow makes a Flow of the files of a ring.
func openFlow(f ring.Files) (*o7s.Flow, *o7s.Stack, error) {
	e, err := ring.Open(f)
	if err != nil {
		return nil, nil, err
	}
	s := o7s.NewStack(given{a: &flow.Attachment{Ring: e, QoS: qos.Raw}})
	fl, err := s.Dial(context.Background(), "other")
	return fl, s, err
}

// child is the other process of a test.
func child() {
	f, _, err := openFlow(ring.Files{Mem: ring.NewFD(3), Bell: ring.NewFD(4), Side: ring.SideB})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	buf := make([]byte, 2048)
	var n uint64
	for {
		k, _, err := f.ReadPacket(buf)
		if err != nil {
			return
		}
		switch os.Getenv("O7S_TEST_CHILD") {
		case "echo":
			err = f.WritePacket(buf[:k])
		case "count": // a packet of one byte asks for the count
			if k == 1 {
				err = f.WritePacket(binary.BigEndian.AppendUint64(nil, n))
			} else if binary.BigEndian.Uint64(buf) == n {
				n++
			}
		}
		if err != nil {
			return
		}
	}
}

// start runs the other process and returns our end of the flow.
func start(t testing.TB, job string) (*o7s.Flow, *exec.Cmd) {
	t.Helper()
	fa, fb, err := ring.New(ring.Config{})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), "O7S_TEST_CHILD="+job)
	cmd.ExtraFiles = []*os.File{os.NewFile(uintptr(fb.Mem.Int()), "mem"), os.NewFile(uintptr(fb.Bell.Int()), "bell")}
	cmd.Stderr = os.Stderr
	err = cmd.Start()
	for _, f := range cmd.ExtraFiles {
		f.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	f, s, err := openFlow(fa)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.Close()
		cmd.Process.Kill()
		cmd.Wait()
	})
	return f, cmd
}

func TestKilledPeer(t *testing.T) {
	f, cmd := start(t, "echo")
	buf := make([]byte, 64)
	for range 1000 {
		if err := f.WritePacket(buf); err != nil {
			t.Fatal(err)
		}
		if _, _, err := f.ReadPacket(buf); err != nil {
			t.Fatal(err)
		}
	}
	cmd.Process.Kill()
	begin := time.Now()
	var err error
	for err == nil {
		_, _, err = f.ReadPacket(buf)
	}
	if err != io.EOF {
		t.Errorf("got %v", err)
	}
	if err := f.WritePacket(buf); !errors.Is(err, flow.ErrPeerClosed) {
		t.Errorf("write: %v", err)
	}
	t.Logf("end seen after %v", time.Since(begin))
}

// BenchmarkWrite64 writes 64-byte packets to another process that reads them
// one by one; nothing is lost.
func BenchmarkWrite64(b *testing.B)   { write(b, 64) }
func BenchmarkWrite1024(b *testing.B) { write(b, 1024) }

func write(b *testing.B, size int) {
	f, _ := start(b, "count")
	buf := make([]byte, size)
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		binary.BigEndian.PutUint64(buf, uint64(i))
		if err := f.WritePacket(buf); err != nil {
			b.Fatal(err)
		}
	}
	f.WritePacket(buf[:1])
	if _, _, err := f.ReadPacket(buf); err != nil {
		b.Fatal(err)
	}
	b.StopTimer()
	if n := binary.BigEndian.Uint64(buf); n != uint64(b.N) {
		b.Fatalf("%d of %d packets arrived", n, b.N)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds()/1e6, "Mpkt/s")
}

// BenchmarkPingPong has round trips with another process.
func BenchmarkPingPong(b *testing.B) {
	f, _ := start(b, "echo")
	buf := make([]byte, 64)
	rtt := make([]time.Duration, b.N)
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		begin := time.Now()
		if err := f.WritePacket(buf); err != nil {
			b.Fatal(err)
		}
		if _, _, err := f.ReadPacket(buf); err != nil {
			b.Fatal(err)
		}
		rtt[i] = time.Since(begin)
	}
	b.StopTimer()
	slices.Sort(rtt)
	b.ReportMetric(float64(rtt[len(rtt)/2].Nanoseconds()), "ns-median")
}
