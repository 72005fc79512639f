// SPDX-License-Identifier: BSD-3-Clause

package expose_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"o7gw/o7s/ipcp"
	"o7gw/o7s/irm"
	"o7gw/o7s/layer"
	"o7gw/o7s/node"
	"o7gw/o7s/packet"
	"o7gw/o7s/pki"
	"o7gw/o7s/qos"
	"o7gw/proxy"
	"o7gw/proxy/expose"
	"o7gw/proxy/proxytest"
	"o7gw/proxy/session"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var quiet = slog.New(slog.DiscardHandler)

// echoTCP is a TCP server that writes its greeting and then what it reads.
func echoTCP(t testing.TB, at, greeting string) (addr string, stop func()) {
	t.Helper()
	l, err := net.Listen("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	stop = proxytest.Serve(t, l, func(c *net.TCPConn) {
		io.WriteString(c, greeting)
		io.Copy(c, c)
	})
	return l.Addr().String(), stop
}

// echoUDP is a UDP echo server.
func echoUDP(t testing.TB) string {
	t.Helper()
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 65536)
		for {
			n, a, err := c.ReadFrom(buf)
			if errors.Is(err, net.ErrClosed) {
				return
			}
			c.WriteTo(buf[:n], a)
		}
	}()
	t.Cleanup(func() {
		c.Close()
		<-done
	})
	return c.LocalAddr().String()
}

// closed is an address of the loopback interface at which nobody listens.
func closed(t testing.TB) string {
	t.Helper()
	addr, stop := echoTCP(t, "127.0.0.1:0", "")
	stop()
	return addr
}

// config is an expose of a name with the default limits.
func config(service string) expose.Config {
	c := expose.Defaults()
	c.Name, c.Service = "test", service
	return c
}

// start starts an expose.
func start(t testing.TB, cfg expose.Config, s proxy.Stack) *expose.Expose {
	t.Helper()
	e := expose.New(cfg, s, quiet)
	if err := e.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	return e
}

// dialTCP begins a TCP session.
func dialTCP(t testing.TB, s proxy.Stack, service string, req session.Request) (*proxy.Conn, error) {
	d := proxy.Dialer{Stack: s}
	c, err := d.DialTCP(t.Context(), service, qos.Spec{}, req)
	if err == nil {
		t.Cleanup(c.Reset)
	}
	return c, err
}

// dialUDP begins a UDP session.
func dialUDP(t testing.TB, s proxy.Stack, service string, req session.Request) (*proxy.Packets, error) {
	d := proxy.Dialer{Stack: s}
	p, err := d.DialUDP(t.Context(), service, qos.Spec{}, req)
	if err == nil {
		t.Cleanup(func() { p.Close() })
	}
	return p, err
}

// read reads so many bytes.
func read(t testing.TB, c net.Conn, n int) string {
	t.Helper()
	c.SetReadDeadline(time.Now().Add(10 * time.Second))
	got := make([]byte, n)
	if _, err := io.ReadFull(c, got); err != nil {
		t.Fatalf("%q, %v", got, err)
	}
	return string(got)
}

// works sends something through a session and wants it back.
func works(t testing.TB, c net.Conn) {
	t.Helper()
	if err := echoes(c); err != nil {
		t.Fatal(err)
	}
}

func echoes(c net.Conn) error {
	c.SetDeadline(time.Now().Add(10 * time.Second))
	got := make([]byte, 5)
	if _, err := c.Write([]byte("hello")); err != nil {
		return err
	}
	if _, err := io.ReadFull(c, got); err != nil || string(got) != "hello" {
		return fmt.Errorf("%q came back, %v", got, err)
	}
	return nil
}

// over waits until a session ends.
func over(t testing.TB, c net.Conn) {
	t.Helper()
	c.SetReadDeadline(time.Now().Add(10 * time.Second))
	if n, err := c.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("%d bytes, %v", n, err)
	}
}

// eventually waits for something that takes time.
func eventually(t testing.TB, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal(what)
		}
	}
}

// echoed sends a datagram in a session until it comes back.
func echoed(t testing.TB, p *proxy.Packets, data string) {
	t.Helper()
	got := make(chan string, 100)
	p.Receive(func(d []proxy.Datagram) {
		for i := range d {
			got <- string(d[i].Buf.Bytes())
			d[i].Buf.Release()
		}
	}, func(error) {})
	for range 100 {
		send(t, p, data)
		select {
		case s := <-got:
			if s != data {
				t.Fatalf("%q instead of %q", s, data)
			}
			return
		case <-time.After(100 * time.Millisecond):
		}
	}
	t.Fatal("no datagram came back")
}

// certify makes the files of a security directory: a certificate for each
// place, such as client/svc, all of one authority.
func certify(t testing.TB, dirs []map[string]string) (paths []string) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	from, until := time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	key, err := pki.GenerateKey(rand.Reader, "p256")
	must(err)
	ca, err := pki.NewCA(rand.Reader, key, "ca", from, until)
	must(err)
	for _, certs := range dirs {
		dir := t.TempDir()
		write := func(file string, data []byte) {
			path := filepath.Join(dir, file)
			must(os.MkdirAll(filepath.Dir(path), 0o700))
			must(os.WriteFile(path, data, 0o600))
		}
		write("cacert/ca.pem", pki.MarshalCertificate(ca.Leaf))
		for where, name := range certs {
			key, err := pki.GenerateKey(rand.Reader, "p256")
			must(err)
			cert, err := pki.Issue(rand.Reader, ca, key.Public(), name, from, until)
			must(err)
			pem, err := pki.MarshalKey(key)
			must(err)
			write(where+"/crt.pem", pki.MarshalCertificate(cert))
			write(where+"/key.pem", pem)
		}
		paths = append(paths, dir)
	}
	return paths
}

// member is a node in a udp4 layer called net.
type member struct {
	*node.Node
	proxytest.Stack
	udp  int
	stop func()
}

// members returns nodes in one udp4 layer that find the names at the given
// members. security are their directories, or nothing.
func members(t testing.TB, n byte, count int, hosts map[string][]int, security ...string) (list []*member) {
	t.Helper()
	pid := os.Getpid() // tests of other packages run at the same time
	at := func(i int) netip.Addr {
		return netip.AddrFrom4([4]byte{127, byte(128 + pid>>8&63), byte(pid), n + byte(i)})
	}
	known := map[string][]netip.Addr{}
	for name, is := range hosts {
		for _, i := range is {
			known[name] = append(known[name], at(i))
		}
	}
	for i := range count {
		cfg := node.Config{}
		if len(security) > 0 {
			cfg.Security = security[i]
		}
		nd, err := node.New(context.Background(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		m := &member{Node: nd, Stack: proxytest.Stack{Stack: nd.Stack()}}
		m.stop = sync.OnceFunc(func() {
			nd.Stack().Close()
			nd.Close()
		})
		t.Cleanup(m.stop)
		m.udp, err = nd.IRM().CreateIPCP(ipcp.UDP4, "udp")
		if err == nil {
			err = nd.IRM().Bootstrap(context.Background(), m.udp, ipcp.Config{
				Type: ipcp.UDP4, Layer: "net", UDP: ipcp.UDPConfig{Addr: at(i), Hosts: known},
			})
		}
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, m)
	}
	return list
}

// unicast puts the members into a unicast layer, too; the first of them makes
// it, and is found by the name first.member.
func unicast(t testing.TB, list []*member) {
	t.Helper()
	ctx := context.Background()
	const first = "first.member"
	must := func(errs ...error) {
		t.Helper()
		if err := errors.Join(errs...); err != nil {
			t.Fatal(err)
		}
	}
	for i, m := range list {
		id, err := m.IRM().CreateIPCP(ipcp.Unicast, "uni")
		must(err)
		if i == 0 {
			must(m.IRM().Bootstrap(ctx, id, ipcp.Config{Type: ipcp.Unicast, Layer: "top", Hash: layer.SHA3_256}),
				m.IRM().CreateName(irm.NameInfo{Name: first}),
				m.IRM().BindIPCP(id, first),
				m.IRM().Register(ctx, first, m.udp))
			continue
		}
		_, err = m.IRM().Enroll(ctx, id, first)
		must(err)
		for _, c := range irm.Components(ipcp.Unicast) {
			must(m.IRM().Connect(ctx, id, first, c, qos.Raw))
		}
	}
}

// send sends a datagram in a session.
func send(t testing.TB, p *proxy.Packets, data string) {
	t.Helper()
	b := packet.Get(len(data))
	b.Append([]byte(data))
	if err := p.Send([]proxy.Datagram{{Buf: b}}); err != nil {
		t.Fatal(err)
	}
}
