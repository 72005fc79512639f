// SPDX-License-Identifier: BSD-3-Clause

//go:build linux

package netstack_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"o7gw/gateway/echo"
	"o7gw/gateway/nstest"
	"o7gw/gateway/tun"
	"o7gw/netstack"
	"o7gw/o7s/packet"
)

// TestMain runs the tests again in a network namespace of their own.
func TestMain(m *testing.M) {
	if n := os.Getenv(asClient); n != "" {
		client(n)
		return
	}
	code := nstest.Main(m)
	if err := goleak.Find(); err != nil && code == 0 {
		os.Stderr.WriteString(err.Error())
		code = 1
	}
	os.Exit(code)
}

// world is a stack behind a TUN device of this namespace.
type world struct {
	*netstack.Stack
	dev *tun.Device
}

var (
	served4 = netip.MustParseAddr("198.18.0.5")
	served6 = netip.MustParseAddr("fd00:18::5")
)

func begin(t testing.TB, cfg netstack.Config) *world {
	t.Helper()
	if cfg.MTU == 0 {
		cfg.MTU = 65520
	}
	nstest.Need(t)
	dev, err := tun.Open("ns%d", cfg.MTU)
	if err != nil {
		t.Fatal(err)
	}
	if err := dev.SetAddrs([]netip.Prefix{netip.MustParsePrefix("10.9.0.1/24"), netip.MustParsePrefix("fd00:9::1/64")}); err != nil {
		t.Fatal(err)
	}
	for tentative() { // the kernel completes the address when it gets round to it
		time.Sleep(time.Millisecond)
	}
	for _, p := range []string{"198.18.0.0/15", "fd00:18::/64"} {
		if err := dev.AddRoute(netip.MustParsePrefix(p)); err != nil {
			t.Fatal(err)
		}
	}
	cfg.Device, cfg.NewWriter = dev, func() netstack.Writer { return dev.NewWriter() }
	cfg.Log = slog.New(slog.DiscardHandler)
	if cfg.TCP == nil {
		cfg.TCP = func(r *netstack.TCPRequest) { r.Refuse() }
	}
	s, err := netstack.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{s, dev}
	t.Cleanup(func() {
		dev.Close()
		s.Close()
	})
	return w
}

// tentative reports whether the kernel does not use an IPv6 address yet.
func tentative() bool {
	addrs, _ := os.ReadFile("/proc/net/if_inet6")
	for line := range strings.Lines(string(addrs)) {
		f := strings.Fields(line)
		flags, err := strconv.ParseUint(f[4], 16, 32)
		if err == nil && flags&syscall.IFA_F_TENTATIVE != 0 {
			return true
		}
	}
	return false
}

func both(t *testing.T, f func(t *testing.T, dst netip.Addr)) {
	t.Run("IPv4", func(t *testing.T) { f(t, served4) })
	t.Run("IPv6", func(t *testing.T) { f(t, served6) })
}

func at(a netip.Addr, port uint16) string { return netip.AddrPortFrom(a, port).String() }

// echoTCP accepts everything and echoes until the client's finish.
func echoTCP(r *netstack.TCPRequest) {
	c, err := r.Accept()
	if err != nil {
		return
	}
	defer c.Close()
	var bufs [64]*packet.Buffer
	for {
		n, err := c.ReadBatch(bufs[:], 1400)
		if err != nil {
			return
		}
		if c.WriteBatch(bufs[:n]) != nil {
			return
		}
	}
}

// TestEcho: what goes through comes back the same, in packets of 64 KiB and in
// small ones that are joined and split on the way.
func TestEcho(t *testing.T) {
	data := make([]byte, 8<<20)
	rand.NewChaCha8([32]byte{2}).Read(data)
	for name, mtu := range map[string]int{"MTU 65520": 65520, "MTU 1500": 1500} {
		t.Run(name, func(t *testing.T) {
			begin(t, netstack.Config{MTU: mtu, TCP: echoTCP})
			both(t, func(t *testing.T, dst netip.Addr) {
				c, err := net.Dial("tcp", at(dst, 80))
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				go func() {
					c.Write(data)
					c.(*net.TCPConn).CloseWrite()
				}()
				got, err := io.ReadAll(c)
				if err != nil || sha256.Sum256(got) != sha256.Sum256(data) {
					t.Errorf("%d bytes of %d, %v", len(got), len(data), err)
				}
			})
		})
	}
}

// TestRefuse: the client is not connected before Accept, and a refusal is a
// reset.
func TestRefuse(t *testing.T) {
	w := begin(t, netstack.Config{TCP: func(r *netstack.TCPRequest) {
		if r.Dst.Port() == 1 {
			r.Refuse()
		} else {
			r.Unreachable()
		}
	}})
	both(t, func(t *testing.T, dst netip.Addr) {
		if _, err := net.Dial("tcp", at(dst, 1)); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("refused: %v", err)
		}
		if _, err := net.Dial("tcp", at(dst, 2)); !errors.Is(err, syscall.EHOSTUNREACH) && !errors.Is(err, syscall.EACCES) {
			t.Errorf("unreachable: %v", err)
		}
	})
	for w.Stats().HalfOpen != 0 { // the client may know before the stack is done
		time.Sleep(time.Millisecond)
	}
	// The kernel overlooks an ICMP error while it still sends the SYN, and
	// repeats that.
	if s := w.Stats(); s.Refused < 4 || s.HalfOpen != 0 || s.Conns != 0 {
		t.Errorf("%+v", s)
	}
}

// TestResets: aborts pass in both directions.
func TestResets(t *testing.T) {
	errs := make(chan error, 1)
	begin(t, netstack.Config{TCP: func(r *netstack.TCPRequest) {
		c, err := r.Accept()
		if err != nil {
			return
		}
		var b [1]*packet.Buffer
		if _, err = c.ReadBatch(b[:], 100); err == nil {
			quit := b[0].Bytes()[0] == 'q'
			b[0].Release()
			if quit {
				c.Reset()
				return
			}
			c.Write([]byte("y")) // the client aborts a connection that both know
			_, err = c.ReadBatch(b[:], 100)
		}
		c.Close()
		errs <- err
	}})
	both(t, func(t *testing.T, dst netip.Addr) {
		c, err := net.Dial("tcp", at(dst, 80))
		if err != nil {
			t.Fatal(err)
		}
		c.Write([]byte("q"))
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("the stack aborted, the client sees %v", err)
		}
		c.Close()
		if c, err = net.Dial("tcp", at(dst, 80)); err != nil {
			t.Fatal(err)
		}
		c.Write([]byte("x"))
		c.Read(make([]byte, 1))
		c.(*net.TCPConn).SetLinger(0)
		c.Close()
		if err := <-errs; !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("the client aborted, the stack sees %v", err)
		}
	})
}

// TestUDP: datagrams of all sizes pass both ways, in fragments where the MTU is
// small; and nobody's port is unreachable.
func TestUDP(t *testing.T) {
	for name, mtu := range map[string]int{"MTU 65520": 65520, "MTU 1280": 1280} {
		t.Run(name, func(t *testing.T) { udp(t, mtu) })
	}
}

func udp(t *testing.T, mtu int) {
	var w *world
	ready := make(chan struct{})
	w = begin(t, netstack.Config{MTU: mtu, UDP: func(d []netstack.Datagram) {
		<-ready
		n := 0
		for i := range d {
			if d[i].Dst.Port() == 9 {
				w.UDPUnreachable(d[i])
				d[i].Buf.Release()
				continue
			}
			d[n] = netstack.Datagram{Src: d[i].Dst, Dst: d[i].Src, Buf: d[i].Buf}
			n++
		}
		w.SendUDP(d[:n])
	}})
	close(ready)
	both(t, func(t *testing.T, dst netip.Addr) {
		c, err := net.Dial("udp", at(dst, 7))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(10 * time.Second))
		buf := make([]byte, 65536)
		for _, n := range []int{0, 1, 1000, 1232, 1233, 9000, 65400, 65507} {
			if dst.Is6() && n > 65487 {
				n = 65487
			}
			data := bytes.Repeat([]byte{byte(n)}, n)
			if _, err := c.Write(data); err != nil {
				t.Fatalf("%d bytes: %v", n, err)
			}
			k, err := c.Read(buf)
			if err != nil || !bytes.Equal(buf[:k], data) {
				t.Fatalf("%d bytes came back of %d: %v", k, n, err)
			}
		}
		for _, n := range []int{1, 9000} {
			refused, err := net.Dial("udp", at(dst, 9))
			if err != nil {
				t.Fatal(err)
			}
			refused.Write(make([]byte, n))
			refused.SetDeadline(time.Now().Add(10 * time.Second))
			if _, err = refused.Read(buf); !errors.Is(err, syscall.ECONNREFUSED) {
				t.Errorf("unreachable port, %d bytes: %v", n, err)
			}
			refused.Close()
		}
	})
	if st := w.Stats(); st.Malformed != 0 || st.TxDropped != 0 {
		t.Errorf("%+v", st)
	}
}

func TestPing(t *testing.T) {
	begin(t, netstack.Config{Echo: func(a netip.Addr) bool { return a == served4 || a == served6 }})
	both(t, func(t *testing.T, dst netip.Addr) {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		for i, size := range []int{0, 56, 8000} {
			if _, err := echo.Ping(ctx, dst, size, i); err != nil {
				t.Errorf("%d bytes: %v", size, err)
			}
		}
		short, stop := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer stop()
		if _, err := echo.Ping(short, dst.Next(), 56, 9); err == nil {
			t.Error("somebody answered for an address that is not served")
		}
	})
}

// TestFlood: SYNs of nobody, faster than they are decided, do not keep others
// from connecting.
func TestFlood(t *testing.T) {
	w := begin(t, netstack.Config{Limits: netstack.Limits{HalfOpen: 512}, TCP: echoTCP})
	raw, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_RAW|syscall.SOCK_CLOEXEC, syscall.IPPROTO_RAW)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(raw)
	stop := make(chan struct{})
	var flood sync.WaitGroup
	flood.Go(func() {
		for i := uint32(0); ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			syscall.Sendto(raw, synOf(i), 0, &syscall.SockaddrInet4{Addr: served4.As4()})
			if i%8 == 0 {
				time.Sleep(time.Millisecond)
			}
		}
	})
	for w.Stats().Limited == 0 {
		time.Sleep(time.Millisecond)
	}
	var data [100]byte
	for range 5 {
		d := net.Dialer{Timeout: 20 * time.Second} // the kernel repeats its SYN
		c, err := d.Dial("tcp", at(served4, 80))
		if err != nil {
			t.Error(err)
			break
		}
		c.Write(data[:])
		if _, err := io.ReadFull(c, data[:]); err != nil {
			t.Error(err)
		}
		c.Close()
	}
	close(stop)
	flood.Wait()
	if st := w.Stats(); st.HalfOpen > 512 {
		t.Errorf("%+v", st)
	}
}

// synOf is a SYN of a client that does not exist.
func synOf(i uint32) []byte {
	p := make([]byte, 40)
	p[0], p[3], p[8], p[9] = 0x45, 40, 64, 6
	copy(p[12:], []byte{203, 0, byte(i >> 8), byte(i)})
	a := served4.As4()
	copy(p[16:], a[:])
	binary.BigEndian.PutUint16(p[20:], uint16(1024+i%60000))
	p[23], p[32], p[33], p[34] = 80, 5<<4, 2, 255
	s := uint32(6 + 20)
	for k := 12; k < 40; k += 2 {
		s += uint32(binary.BigEndian.Uint16(p[k:]))
	}
	for s > 0xffff {
		s = s>>16 + s&0xffff
	}
	binary.BigEndian.PutUint16(p[36:], ^uint16(s))
	return p
}

// TestStartStop: a stack that ends leaves nothing, whatever goes on in it, and
// its clients see the end.
func TestStartStop(t *testing.T) {
	nstest.Need(t)
	for i := range 100 {
		t.Run("", func(t *testing.T) { // each ends with a Close of the stack
			undecided := make(chan struct{}, 1)
			w := begin(t, netstack.Config{TCP: func(r *netstack.TCPRequest) {
				if r.Dst.Port() == 81 {
					undecided <- struct{}{}
					<-r.Context().Done()
					r.Refuse()
					return
				}
				echoTCP(r)
			}})
			if i%10 != 0 {
				return
			}
			c, err := net.Dial("tcp", at(served4, 80))
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			ctx, cancel := context.WithCancel(t.Context())
			var g sync.WaitGroup
			g.Go(func() {
				if c, err := new(net.Dialer).DialContext(ctx, "tcp", at(served6, 81)); err == nil {
					c.Close()
					t.Error("connected")
				}
			})
			<-undecided
			cancel()
			g.Wait()
			go c.Write(make([]byte, 1<<20))
			done := make(chan struct{})
			go func() {
				defer close(done)
				w.dev.Close()
				w.Stack.Close()
				w.Stack.Close()
			}()
			<-done
			if st := w.Stats(); st.Conns != 0 || st.HalfOpen != 0 {
				t.Errorf("%+v", st)
			}
		})
	}
}
