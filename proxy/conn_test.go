// SPDX-License-Identifier: BSD-3-Clause

package proxy_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/nettest"

	"o7gw/o7s"
	"o7gw/o7s/qos"
	"o7gw/proxy"
	"o7gw/proxy/proxytest"
	"o7gw/proxy/session"
)

// conns makes joined sessions between two nodes.
type conns struct {
	d        *proxy.Dialer
	accepted chan *proxy.Conn
}

func newConns(t *testing.T) *conns {
	client, server := proxytest.Pair(t, "conn")
	c := &conns{&proxy.Dialer{Stack: client}, make(chan *proxy.Conn, 1)}
	serve(t, server, "conn", func(in *proxy.Incoming) {
		conn, err := in.AcceptTCP()
		if err != nil {
			t.Error(err)
			return
		}
		c.accepted <- conn
	})
	return c
}

func (c *conns) pair(t *testing.T) (a, b *proxy.Conn) {
	t.Helper()
	a, err := c.d.DialTCP(t.Context(), "conn", qos.Spec{}, session.Request{})
	if err != nil {
		t.Fatal(err)
	}
	b = <-c.accepted
	for _, c := range []*proxy.Conn{a, b} {
		c.Flow().SetLinger(time.Second)
		t.Cleanup(func() { c.Reset() })
	}
	return a, b
}

// closeBoth closes both ends, of which each waits for the other.
func closeBoth(a, b *proxy.Conn) {
	done := make(chan struct{})
	go func() {
		a.Close()
		close(done)
	}()
	b.Close()
	<-done
}

func TestConn(t *testing.T) {
	t.Parallel()
	c := newConns(t)
	nettest.TestConn(t, func() (net.Conn, net.Conn, func(), error) {
		a, b := c.pair(t)
		return a, b, func() { closeBoth(a, b) }, nil
	})
}

// flows accepts the flows to a name until the test ends.
func flows(t *testing.T, s proxytest.Stack, name string) <-chan *o7s.Flow {
	t.Helper()
	l, err := s.Listen(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	c, ended := make(chan *o7s.Flow, 1), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			f, err := l.AcceptFlow(context.Background())
			if err != nil {
				return
			}
			c <- f
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-ended
	})
	return c
}

// TestPlainConn: a flow without the session protocol is a stream as well.
func TestPlainConn(t *testing.T) {
	t.Parallel()
	client, server := proxytest.Pair(t, "plain")
	accepted := flows(t, server, "plain")
	d := &proxy.Dialer{Stack: client}
	nettest.TestConn(t, func() (net.Conn, net.Conn, func(), error) {
		a, err := d.DialPlain(t.Context(), "plain", qos.Spec{})
		if err != nil {
			return nil, nil, nil, err
		}
		b := proxy.PlainConn(<-accepted)
		a.Flow().SetLinger(time.Second)
		b.Flow().SetLinger(time.Second)
		return a, b, func() { closeBoth(a, b) }, nil
	})
}

// TestConnEnds: what each way to end means to the other side.
func TestConnEnds(t *testing.T) {
	c := newConns(t)
	t.Run("half-close", func(t *testing.T) {
		a, b := c.pair(t)
		a.Write([]byte("last"))
		if err := a.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if err := a.CloseWrite(); err != nil {
			t.Error("twice:", err)
		}
		if _, err := a.Write([]byte("x")); !errors.Is(err, syscall.EPIPE) {
			t.Error("write after finish:", err)
		}
		if got, err := io.ReadAll(b); string(got) != "last" || err != nil {
			t.Errorf("%q, %v", got, err)
		}
		b.Write([]byte("back"))
		b.CloseWrite()
		if got, err := io.ReadAll(a); string(got) != "back" || err != nil {
			t.Errorf("%q, %v", got, err)
		}
		closeBoth(a, b)
	})
	t.Run("close", func(t *testing.T) {
		a, b := c.pair(t)
		data := noise(1, 1<<20)
		go func() {
			a.Write(data)
			a.Close()
		}()
		if got, err := io.ReadAll(b); !bytes.Equal(got, data) || err != nil {
			t.Errorf("%d bytes, %v", len(got), err)
		}
		b.Close()
		if _, err := a.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
			t.Error("read after close:", err)
		}
		if _, err := a.Write(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
			t.Error("write after close:", err)
		}
	})
	t.Run("reset", func(t *testing.T) {
		a, b := c.pair(t)
		a.Reset()
		for range 2 {
			if _, err := b.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
				t.Error("read after reset:", err)
			}
		}
		if _, err := b.Write(make([]byte, 1)); err == nil {
			t.Error("write after reset")
		}
		a.Reset()
		if err := a.Close(); err != nil {
			t.Error("close after reset:", err)
		}
	})
	t.Run("deadline", func(t *testing.T) {
		a, b := c.pair(t)
		a.SetReadDeadline(time.Now().Add(time.Millisecond))
		if _, err := a.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Error(err)
		}
		a.SetReadDeadline(time.Time{})
		b.Write([]byte("still here"))
		got := make([]byte, 10)
		if _, err := io.ReadFull(a, got); err != nil || string(got) != "still here" {
			t.Errorf("%q, %v", got, err)
		}
		closeBoth(a, b)
	})
}

// TestConnHostile: what a peer sends that it must not.
func TestConnHostile(t *testing.T) {
	c := newConns(t)
	data := append([]byte{byte(session.KindData)}, "data"...)
	for name, test := range map[string]struct {
		packets [][]byte
		read    string
		reset   bool
	}{
		"unknown kind":            {[][]byte{data, {0x7f}, data}, "data", true},
		"request":                 {[][]byte{(&session.Request{Proto: session.TCP}).Append(nil)}, "", true},
		"datagram":                {[][]byte{{byte(session.KindDatagram), 1}}, "", true},
		"optional kinds":          {[][]byte{data, {0x80}, {0xff, 1}, data}, "datadata", false},
		"keepalive and no data":   {[][]byte{{byte(session.KindKeepalive)}, {byte(session.KindData)}, data}, "data", false},
		"data after finish":       {[][]byte{data, {byte(session.KindFinish)}, data}, "data", true},
		"finish":                  {[][]byte{data, {byte(session.KindFinish)}}, "data", false},
		"reset after finish":      {[][]byte{data, {byte(session.KindFinish)}, session.Reset()}, "data", true},
		"the flow's end, nothing": {nil, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := c.pair(t)
			for _, p := range test.packets {
				if err := a.Flow().WritePacket(p); err != nil {
					t.Fatal(err)
				}
			}
			a.Flow().CloseWrite()
			got, err := io.ReadAll(b)
			if string(got) != test.read {
				t.Errorf("read %q, want %q", got, test.read)
			}
			// After an end that was read nobody looks for more.
			if reset := errors.Is(err, syscall.ECONNRESET); reset != test.reset && name != "data after finish" && name != "reset after finish" {
				t.Errorf("%v, want a reset: %v", err, test.reset)
			}
		})
	}
}

// TestAcceptHostile: flows without a proper request.
func TestAcceptHostile(t *testing.T) {
	client, server := proxytest.Pair(t, "svc")
	accepted := flows(t, server, "svc")
	tcp, udp := session.Request{Proto: session.TCP}, session.Request{Proto: session.UDP}
	odd := session.Request{Proto: 1}
	immortal, patient := qos.Data, qos.Raw
	immortal.Timeout, patient.Timeout = 0, 2*3600*1000
	for name, test := range map[string]struct {
		qs     qos.Spec
		packet []byte
		want   session.Status
	}{
		"rubbish":              {qos.Data, []byte("GET / HTTP/1.1"), session.BadRequest},
		"one byte":             {qos.Data, []byte{1}, session.BadRequest},
		"UDP on reliable flow": {qos.Data, udp.Append(nil), session.BadRequest},
		"TCP on raw flow":      {qos.Raw, tcp.Append(nil), session.BadRequest},
		"other protocol":       {qos.Data, odd.Append(nil), session.Unsupported},
		"no peer timeout":      {immortal, tcp.Append(nil), session.BadRequest},
		"too long a timeout":   {patient, udp.Append(nil), session.BadRequest},
		"long":                 {qos.Data, make([]byte, 8000), session.BadRequest},
	} {
		t.Run(name, func(t *testing.T) {
			f, err := client.Dial(t.Context(), "svc", o7s.WithQoS(test.qs))
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			in := <-accepted
			if err := f.WritePacket(test.packet); err != nil {
				t.Fatal(err)
			}
			if _, err := proxy.Accept(t.Context(), in); session.StatusOf(err) != test.want {
				t.Errorf("accepted with %v", err)
			}
			var buf [100]byte
			n, _, err := f.ReadPacket(buf[:])
			if err != nil {
				t.Fatal(err)
			}
			if s, _, err := session.ParseStatus(buf[:n]); s != test.want || err != nil {
				t.Errorf("answered %v, %v; want %v", s, err, test.want)
			}
			if _, _, err := f.ReadPacket(buf[:]); err != io.EOF {
				t.Errorf("then %v", err)
			}
		})
	}
	t.Run("silence", func(t *testing.T) {
		f, err := client.Dial(t.Context(), "svc", o7s.WithQoS(qos.Data))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		in := <-accepted
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		if _, err := proxy.Accept(ctx, in); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
	})
}

// TestDialerChecks: a request that cannot be sent is not.
func TestDialerChecks(t *testing.T) {
	d := &proxy.Dialer{}
	bad := session.Request{Host: "two words"}
	if _, err := d.DialTCP(t.Context(), "svc", qos.Spec{}, bad); session.StatusOf(err) != session.BadRequest {
		t.Error(err)
	}
	if _, err := d.DialUDP(t.Context(), "svc", qos.Spec{}, bad); session.StatusOf(err) != session.BadRequest {
		t.Error(err)
	}
}
