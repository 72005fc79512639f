// SPDX-License-Identifier: BSD-3-Clause

//go:build linux

package tun

import (
	"context"
	"crypto/sha256"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"go.uber.org/goleak"

	"o7gw/gateway/nstest"
	"o7gw/o7s/packet"
)

// TestMain runs the tests again in a network namespace of their own, so that
// they touch nothing of the machine.
func TestMain(m *testing.M) {
	os.Exit(nstest.Main(m))
}

func needRoot(t testing.TB) {
	t.Helper()
	nstest.Need(t)
}

// inNew calls f in a new network namespace and returns the namespace.
func inNew(t testing.TB, f func()) {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	here, err := netns.Get()
	if err != nil {
		t.Fatal(err)
	}
	defer here.Close()
	there, err := netns.New()
	if err != nil {
		t.Fatal(err)
	}
	defer there.Close()
	f()
	if err := netns.Set(here); err != nil {
		t.Fatal(err)
	}
}

const testMTU = 1420

func open(t testing.TB, addrs ...string) *Device {
	t.Helper()
	d, err := Open("t%d", testMTU)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	var list []netip.Prefix
	for _, a := range addrs {
		list = append(list, netip.MustParsePrefix(a))
	}
	if err := d.SetMTU(testMTU, 8); err != nil {
		t.Fatal(err)
	}
	if err := d.SetAddrs(list); err != nil {
		t.Fatal(err)
	}
	return d
}

// pump carries packets from one device to the other until from is closed.
func pump(from *Device, room int, write func([]*packet.Buffer)) {
	bufs := make([]*packet.Buffer, 2*packet.BatchSize)
	packet.GetBatch(bufs, room)
	defer func() { packet.ReleaseBatch(bufs) }()
	for from.Wait(0) == nil {
		n := 0
		for {
			k, err := from.Read(bufs[n:])
			if err != nil {
				return
			}
			n += k
			if len(bufs)-n < packet.BatchSize || !from.Ready() {
				break
			}
		}
		write(bufs[:n])
		packet.GetBatch(bufs[:n], room)
	}
}

// pair joins two devices in two namespaces and gives a listener in the second.
func pair(t testing.TB, room int, writer func(d *Device) func([]*packet.Buffer)) (l, l6 net.Listener) {
	t.Helper()
	needRoot(t)
	a := open(t, "10.77.0.1/24", "fd00:77::1/64")
	var b *Device
	inNew(t, func() {
		b = open(t, "10.77.0.2/24", "fd00:77::2/64")
		var err error
		if l, err = net.Listen("tcp", "10.77.0.2:5000"); err != nil {
			t.Fatal(err)
		}
		if l6, err = net.Listen("tcp", "[fd00:77::2]:5000"); err != nil {
			t.Fatal(err)
		}
	})
	var wg sync.WaitGroup
	wg.Go(func() { pump(a, room, writer(b)) })
	wg.Go(func() { pump(b, room, writer(a)) })
	t.Cleanup(func() {
		l.Close()
		l6.Close()
		a.Close()
		b.Close()
		wg.Wait()
	})
	return l, l6
}

func ownWriter(d *Device) func([]*packet.Buffer) { return d.NewWriter().Write }

// wgWriter is what the library itself offers.
func wgWriter(d *Device) func([]*packet.Buffer) {
	var views [][]byte
	return func(pkts []*packet.Buffer) {
		views = views[:0]
		for _, b := range pkts {
			back, off := b.Backing()
			views = append(views, back[:off+b.Len()])
		}
		d.dev.Write(views, packet.Headroom)
		packet.ReleaseBatch(pkts)
	}
}

func TestTransferIsIntact(t *testing.T) {
	l, l6 := pair(t, testMTU, ownWriter)
	for _, l := range []net.Listener{l, l6} {
		data := make([]byte, 20<<20)
		for i := 0; i < len(data); i += 8 {
			v := rand.Uint64()
			for j := range 8 {
				data[i+j] = byte(v >> (8 * j))
			}
		}
		got := make(chan [32]byte, 1)
		go func() {
			c, err := l.Accept()
			if err != nil {
				return
			}
			defer c.Close()
			h := sha256.New()
			io.Copy(h, c)
			got <- [32]byte(h.Sum(nil))
		}()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		c, err := new(net.Dialer).DialContext(ctx, "tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		c.SetDeadline(time.Now().Add(20 * time.Second))
		if _, err := c.Write(data); err != nil {
			t.Fatal(err)
		}
		c.Close()
		if <-got != sha256.Sum256(data) {
			t.Errorf("%v: data arrived changed", l.Addr())
		}
	}
}

func TestCloseEndsReader(t *testing.T) {
	needRoot(t)
	d := open(t, "10.78.0.1/24")
	done := make(chan error)
	go func() {
		for {
			if err := d.Wait(0); err != nil {
				done <- err
				return
			}
			bufs := make([]*packet.Buffer, readRoom)
			packet.GetBatch(bufs, d.Room())
			_, err := d.Read(bufs)
			packet.ReleaseBatch(bufs)
			if err != nil {
				done <- err
				return
			}
		}
	}()
	d.Close()
	if err := <-done; err != ErrClosed {
		t.Errorf("Wait returned %v", err)
	}
	w := d.NewWriter()
	b := packet.Get(100)
	b.Append(make([]byte, 100))
	w.Write([]*packet.Buffer{b})
	if s := w.Stats(); s.Dropped != 1 {
		t.Errorf("%+v", s)
	}
}

func TestRoutesAndMTU(t *testing.T) {
	needRoot(t)
	d := open(t, "10.79.0.1/24", "fd00:79::1/64")
	for _, s := range []string{"192.168.99.0/24", "fd00:99::/48"} {
		p := netip.MustParsePrefix(s)
		for range 2 {
			if err := d.AddRoute(p); err != nil {
				t.Fatal(err)
			}
		}
		r, err := netlink.RouteGet(p.Addr().Next().AsSlice())
		if err != nil {
			t.Fatal(err)
		}
		link, err := netlink.LinkByIndex(r[0].LinkIndex)
		if err != nil || link.Attrs().Name != d.Name() {
			t.Errorf("%s goes to %v, %v", s, link, err)
		}
		for range 2 {
			if err := d.DelRoute(p); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := d.SetMTU(9000, 8); err != nil {
		t.Fatal(err)
	}
	if link, err := netlink.LinkByName(d.Name()); err != nil || link.Attrs().MTU != 9000 || d.Room() < 9000 {
		t.Errorf("MTU is %v, %v; room %d", link.Attrs().MTU, err, d.Room())
	}
}

func TestStartsAndStopsLeaveNothing(t *testing.T) {
	needRoot(t)
	ignore := goleak.IgnoreCurrent()
	count := func() int {
		e, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(e)
	}
	var before int
	for i := range 101 {
		if i == 1 {
			before = count()
		}
		d, err := Open("leak%d", testMTU)
		if err != nil {
			t.Fatal(err)
		}
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if n := count(); n != before {
		t.Errorf("%d descriptors, were %d", n, before)
	}
	links, err := netlink.LinkList()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range links {
		if l.Type() == "tuntap" {
			t.Errorf("link %s is left", l.Attrs().Name)
		}
	}
	goleak.VerifyNone(t, ignore)
}

func benchmarkTCP(b *testing.B, room int, writer func(d *Device) func([]*packet.Buffer)) {
	l, _ := pair(b, room, writer)
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{c}, make([]byte, 128<<10))
	}()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	chunk := make([]byte, 128<<10)
	b.SetBytes(int64(len(chunk)))
	for b.Loop() {
		if _, err := c.Write(chunk); err != nil {
			b.Fatal(err)
		}
	}
}

// The two ways to write, TUN to TUN without a network between. The library's
// joins packets only in buffers of 64 KiB.
func BenchmarkWriter(b *testing.B) {
	b.Run("own", func(b *testing.B) { benchmarkTCP(b, testMTU, ownWriter) })
	b.Run("wireguard", func(b *testing.B) { benchmarkTCP(b, packet.MaxPayload, wgWriter) })
}

func TestQueueIsAsLongAsAskedFor(t *testing.T) {
	needRoot(t)
	d := open(t)
	const want = 300
	if err := d.SetQueue(want); err != nil {
		t.Fatal(err)
	}
	// Nobody reads: what does not fit is counted by the kernel.
	if err := d.SetAddrs([]netip.Prefix{netip.MustParsePrefix("10.80.0.1/24")}); err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("udp", "10.80.0.2:9")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for range 2 * want {
		if _, err := c.Write([]byte{0}); err != nil {
			t.Fatal(err)
		}
	}
	link, err := netlink.LinkByName(d.Name())
	if err != nil {
		t.Fatal(err)
	}
	// Some packets of the kernel's own may be among them.
	if s := link.Attrs().Statistics; s.TxDropped < want || s.TxDropped > want+20 {
		t.Errorf("%d of %d dropped, want %d", s.TxDropped, 2*want, want)
	}
}
