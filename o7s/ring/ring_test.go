// SPDX-License-Identifier: BSD-3-Clause

package ring

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"o7gw/o7s/packet"
)

func TestMain(m *testing.M) {
	if job := os.Getenv("RING_TEST_CHILD"); job != "" {
		child(job)
		return
	}
	goleak.VerifyTestMain(m)
}

// pair returns the two Ends of a ring in this process.
func pair(t testing.TB, cfg Config) (a, b *End) {
	t.Helper()
	fa, fb, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	a, err = Open(fa)
	if err != nil {
		fb.Close()
		t.Fatal(err)
	}
	b, err = Open(fb)
	if err != nil {
		a.Close()
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close(); b.Close() })
	return a, b
}

// pattern returns a packet of n bytes that tells its seed.
func pattern(seed, n int) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(seed + i*7)
	}
	return p
}

func TestPacketsOfAllSizesInOrder(t *testing.T) {
	a, b := pair(t, Config{Size: MinSize})
	sizes := []int{0, 1, 3, 4, 5, 8, 64, 1500, 4095, 4096, 65535, MaxPacket}
	const rounds = 40 // many times around the ring
	done := make(chan error, 1)
	go func() {
		for r := range rounds {
			for i, n := range sizes {
				if err := a.Write(pattern(r+i, n), nil); err != nil {
					done <- err
					return
				}
			}
		}
		done <- a.Close()
	}()
	buf := make([]byte, MaxPacket)
	for r := range rounds {
		for i, n := range sizes {
			got, truncated, err := b.Read(buf, nil)
			if err != nil || truncated || !bytes.Equal(buf[:got], pattern(r+i, n)) {
				t.Fatalf("round %d size %d: %d bytes, %v, %v", r, n, got, truncated, err)
			}
		}
	}
	if _, _, err := b.Read(buf, nil); err != io.EOF {
		t.Fatalf("after close: %v", err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if err := b.Write([]byte("x"), nil); !errors.Is(err, ErrPeerClosed) || !errors.Is(err, unix.EPIPE) {
		t.Fatalf("write to a closed side: %v", err)
	}
}

func TestTooLong(t *testing.T) {
	a, _ := pair(t, Config{})
	if err := a.Write(make([]byte, MaxPacket+1), nil); !errors.Is(err, unix.EMSGSIZE) {
		t.Fatalf("got %v", err)
	}
}

func TestTruncationAndParts(t *testing.T) {
	a, b := pair(t, Config{})
	for range 2 {
		if err := a.Write([]byte("abcdefgh"), nil); err != nil {
			t.Fatal(err)
		}
	}
	var p [3]byte
	if n, more, err := b.Read(p[:], nil); n != 3 || !more || err != nil || string(p[:n]) != "abc" {
		t.Fatalf("%d %v %v", n, more, err)
	}
	for _, want := range []struct {
		s    string
		more bool
	}{{"abc", true}, {"def", true}, {"gh", false}} {
		n, more, err := b.ReadPart(p[:], nil)
		if err != nil || string(p[:n]) != want.s || more != want.more {
			t.Fatalf("%q %v %v, want %q", p[:n], more, err, want.s)
		}
	}
	if _, _, err := b.Read(p[:], NoWait); !errors.Is(err, unix.EAGAIN) {
		t.Fatalf("empty ring: %v", err)
	}
}

func TestPartThenBatch(t *testing.T) {
	a, b := pair(t, Config{})
	for _, s := range []string{"first", "", "second"} {
		a.Write([]byte(s), nil)
	}
	var p [2]byte
	b.ReadPart(p[:], nil)
	bufs := make([]*packet.Buffer, 8)
	n, err := b.ReadBatch(bufs, nil)
	if err != nil || n != 3 || string(bufs[0].Bytes()) != "rst" || bufs[1].Len() != 0 || string(bufs[2].Bytes()) != "second" {
		t.Fatalf("%d %v", n, err)
	}
	packet.ReleaseBatch(bufs[:n])
}

func TestBatchesOfMixedSizes(t *testing.T) {
	a, b := pair(t, Config{Size: MinSize})
	rnd := rand.New(rand.NewPCG(1, 2))
	const total = 5000
	sizes := make([]int, total)
	for i := range sizes {
		switch rnd.IntN(10) {
		case 0:
			sizes[i] = rnd.IntN(MaxPacket + 1)
		case 1:
			sizes[i] = rnd.IntN(9000)
		default:
			sizes[i] = rnd.IntN(200)
		}
	}
	go func() {
		for i := 0; i < total; {
			k := min(1+rnd.IntN(packet.BatchSize), total-i)
			pkts := make([]*packet.Buffer, k)
			for j := range pkts {
				pkts[j] = packet.Get(sizes[i+j])
				pkts[j].Append(pattern(i+j, sizes[i+j]))
			}
			if n, err := a.WriteBatch(pkts, nil); n != k || err != nil {
				t.Errorf("wrote %d of %d: %v", n, k, err)
			}
			packet.ReleaseBatch(pkts)
			i += k
		}
	}()
	bufs := make([]*packet.Buffer, packet.BatchSize)
	for i := 0; i < total; {
		n, err := b.ReadBatch(bufs, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range bufs[:n] {
			if !bytes.Equal(p.Bytes(), pattern(i, sizes[i])) {
				t.Fatalf("packet %d is wrong", i)
			}
			i++
		}
		packet.ReleaseBatch(bufs[:n])
	}
}

func TestDeadlines(t *testing.T) {
	a, b := pair(t, Config{Size: MinSize})
	past := time.Now().Add(-time.Second)
	a.Write([]byte("x"), nil)
	b.SetReadDeadline(past)
	if _, _, err := b.Read(nil, nil); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("expired deadline, packet there: %v", err)
	}
	b.SetReadDeadline(time.Time{})
	if _, _, err := b.Read(nil, nil); err != nil {
		t.Fatal(err)
	}
	for _, set := range []func(){
		func() { b.SetReadDeadline(time.Now().Add(time.Millisecond)) },
		func() { time.AfterFunc(time.Millisecond, func() { b.SetReadDeadline(past) }) },
	} {
		b.SetReadDeadline(time.Time{})
		set()
		if _, _, err := b.Read(nil, nil); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("waiting reader: %v", err)
		}
	}
	time.AfterFunc(time.Millisecond, func() { a.SetWriteDeadline(past) })
	for {
		if err := a.Write(make([]byte, 10000), nil); err != nil {
			if !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatalf("waiting writer: %v", err)
			}
			break
		}
	}
}

// Each call that waits ends when its End is closed here, closed there, or its
// Stop changes its mind.
func TestWaitsEnd(t *testing.T) {
	stopped := errors.New("stopped")
	for _, c := range []struct {
		name string
		end  func(a, b *End, stop func())
		want [2]error // of reader and writer on a
	}{
		{"closed here", func(a, b *End, stop func()) { a.Close() }, [2]error{net.ErrClosed, net.ErrClosed}},
		{"closed there", func(a, b *End, stop func()) { b.Close() }, [2]error{io.EOF, ErrPeerClosed}},
		{"down here", func(a, b *End, stop func()) { a.SetDown(true) }, [2]error{ErrDown, ErrDown}},
		{"down there", func(a, b *End, stop func()) { b.SetDown(true) }, [2]error{ErrDown, ErrDown}},
		{"stop", func(a, b *End, stop func()) { stop(); a.WakeReaders(); a.WakeWriters() }, [2]error{stopped, stopped}},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, b := pair(t, Config{Size: MinSize})
			var mu sync.Mutex
			var why error
			stop := func() error { mu.Lock(); defer mu.Unlock(); return why }
			errs := [2]chan error{make(chan error, 1), make(chan error, 1)}
			go func() {
				_, _, err := a.Read(make([]byte, 10), stop)
				errs[0] <- err
			}()
			go func() {
				for {
					if err := a.Write(make([]byte, 60000), stop); err != nil {
						errs[1] <- err
						return
					}
				}
			}()
			sleeping := func() bool {
				a.bell.mu.Lock()
				defer a.bell.mu.Unlock()
				return a.read.waiting && a.write.waiting
			}
			for !sleeping() {
				time.Sleep(100 * time.Microsecond)
			}
			c.end(a, b, func() { mu.Lock(); why = stopped; mu.Unlock() })
			for i, ch := range errs {
				if err := <-ch; !errors.Is(err, c.want[i]) {
					t.Errorf("call %d: %v, want %v", i, err, c.want[i])
				}
			}
		})
	}
}

// More sleepers than slots: the rest sleeps in the runtime's poller.
func TestManySleepers(t *testing.T) {
	flows := 4 * maxSlots
	var done sync.WaitGroup
	as, bs := make([]*End, flows), make([]*End, flows)
	for i := range flows {
		as[i], bs[i] = pair(t, Config{})
		done.Add(1)
		go func() {
			defer done.Done()
			buf := make([]byte, 10)
			for {
				n, _, err := bs[i].Read(buf, nil)
				if err == io.EOF {
					return
				}
				if err != nil || bs[i].Write(buf[:n], nil) != nil {
					t.Errorf("echo: %v", err)
					return
				}
			}
		}()
	}
	buf := make([]byte, 10)
	for range 20 {
		for i := range flows {
			if err := as[i].Write([]byte{byte(i)}, nil); err != nil {
				t.Fatal(err)
			}
		}
		for i := range flows {
			as[i].SetReadDeadline(time.Now().Add(10 * time.Second))
			if n, _, err := as[i].Read(buf, nil); n != 1 || err != nil || buf[0] != byte(i) {
				t.Fatalf("flow %d: %d %v", i, n, err)
			}
		}
	}
	for i := range flows {
		as[i].Close()
	}
	done.Wait()
}

// Both directions full and both sides blocked in both: nobody sleeps for ever.
func TestBothWaysFull(t *testing.T) {
	a, b := pair(t, Config{Size: MinSize})
	const total = 20000
	var done sync.WaitGroup
	for _, e := range []*End{a, b} {
		done.Add(2)
		go func() {
			defer done.Done()
			p := make([]byte, 700)
			for i := range total {
				p[0], p[1] = byte(i), byte(i>>8)
				if err := e.Write(p[:2+i%700%698], nil); err != nil {
					t.Error(err)
					return
				}
			}
		}()
		go func() {
			defer done.Done()
			p := make([]byte, 700)
			for i := range total {
				n, _, err := e.Read(p, nil)
				if err != nil || n != 2+i%700%698 || p[0] != byte(i) || p[1] != byte(i>>8) {
					t.Errorf("packet %d: %d bytes, %v", i, n, err)
					return
				}
			}
		}()
	}
	done.Wait()
}

// A flow whose reader keeps up stays in the first page of its ring.
func TestQuietFlowTouchesLittleMemory(t *testing.T) {
	a, b := pair(t, Config{})
	buf := make([]byte, 100)
	for range 50000 {
		if err := a.Write(buf, nil); err != nil {
			t.Fatal(err)
		}
		if _, _, err := b.Read(buf, nil); err != nil {
			t.Fatal(err)
		}
	}
	vec := make([]byte, len(a.mem)>>pageBits)
	if err := mincore(a.mem, vec); err != nil {
		t.Fatal(err)
	}
	pages := 0
	for _, v := range vec {
		pages += int(v & 1)
	}
	if pages > 3 {
		t.Errorf("%d pages in use", pages)
	}
}

func TestCloseUnderCalls(t *testing.T) {
	for range 200 {
		a, b := pair(t, Config{Size: MinSize})
		var done sync.WaitGroup
		for _, e := range []*End{a, b} {
			done.Add(3)
			go func() {
				defer done.Done()
				for e.Write(make([]byte, 100), nil) == nil {
				}
			}()
			go func() {
				defer done.Done()
				buf := make([]byte, 100)
				for {
					if _, _, err := e.Read(buf, nil); err != nil {
						return
					}
				}
			}()
			go func() {
				defer done.Done()
				for range 100 {
					e.Readable()
					e.Received()
					e.Sent()
					e.Down()
					e.Stats()
				}
				e.Close()
			}()
		}
		done.Wait()
	}
}

func TestOpenRefusesBadFiles(t *testing.T) {
	good := func() Files {
		a, b, err := New(Config{})
		if err != nil {
			t.Fatal(err)
		}
		b.Close()
		return a
	}
	memfd := func(size int64, seal bool) FD {
		fd, err := unix.MemfdCreate("test", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
		if err != nil {
			t.Fatal(err)
		}
		unix.Ftruncate(fd, size)
		if seal {
			unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, seals)
		}
		return NewFD(fd)
	}
	replace := func(mem FD) Files {
		f := good()
		f.Mem.Close()
		f.Mem = mem
		return f
	}
	null, err := unix.Open("/dev/null", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	badBell := good()
	badBell.Bell.Close()
	badBell.Bell = NewFD(null)
	badSide := good()
	badSide.Side = 7
	noBell := good()
	noBell.Bell.Close()
	noBell.Bell = FD{}
	for name, f := range map[string]Files{
		"not sealed":   replace(memfd(fileSize(DefaultSize), false)),
		"empty":        replace(memfd(0, true)),
		"no header":    replace(memfd(fileSize(DefaultSize), true)),
		"bell no sock": badBell,
		"side":         badSide,
		"no bell":      noBell,
	} {
		if e, err := Open(f); err == nil {
			e.Close()
			t.Errorf("%s: opened", name)
		}
	}
	if _, _, err := New(Config{Size: 100000}); err == nil {
		t.Error("odd size accepted")
	}
}

func TestNoAllocation(t *testing.T) {
	a, b := pair(t, Config{})
	buf := make([]byte, 64)
	out := make([]*packet.Buffer, packet.BatchSize)
	in := make([]*packet.Buffer, packet.BatchSize)
	packet.GetBatch(out, 1500)
	for _, p := range out {
		p.SetLen(64)
	}
	if n := testing.AllocsPerRun(200, func() {
		a.Write(buf, nil)
		b.Read(buf, nil)
		a.WriteBatch(out, nil)
		n, _ := b.ReadBatch(in, nil)
		packet.ReleaseBatch(in[:n])
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
	packet.ReleaseBatch(out)
}
