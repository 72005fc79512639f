// SPDX-License-Identifier: BSD-3-Clause

package proxy_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"syscall"
	"testing"
	"time"

	"o7gw/o7s/ipcp/sim"
	"o7gw/o7s/layer"
	"o7gw/o7s/qos"
	"o7gw/proxy"
	"o7gw/proxy/ledger"
	"o7gw/proxy/proxytest"
	"o7gw/proxy/session"
)

// TestLossyLink: a stream arrives whole, and a UDP session begins, over a link that
// loses, repeats and reorders packets.
func TestLossyLink(t *testing.T) {
	t.Parallel()
	client, server, _ := proxytest.Simulated(t, sim.Params{
		Loss: 0.1, Duplicate: 0.05, Reorder: 0.1, Delay: 200 * time.Microsecond, Jitter: 300 * time.Microsecond, MTU: 1500,
	})
	echo := tcpServer(t, func(c *net.TCPConn) { io.Copy(c, c) })
	serve(t, server, "tcp", to(t, echo))
	c := dialTCP(t, entrance(t, client, "tcp", qos.Spec{}))
	defer c.Close()
	data := noise(2, 1<<18)
	go func() {
		c.Write(data)
		c.CloseWrite()
	}()
	if got, err := io.ReadAll(c); !bytes.Equal(got, data) || err != nil {
		t.Errorf("%d bytes of %d: %v", len(got), len(data), err)
	}

	ended := make(chan error, 10)
	serve(t, server, "udp", echoUDP(t, ended))
	d := &proxy.Dialer{Stack: client}
	for range 5 {
		p, err := d.DialUDP(t.Context(), "udp", qos.Spec{}, session.Request{})
		if err != nil {
			t.Fatal(err)
		}
		got := make(chan []byte, 100)
		p.Receive(func(d []proxy.Datagram) {
			for _, d := range d {
				got <- bytes.Clone(d.Buf.Bytes())
				d.Buf.Release()
			}
		}, func(error) {})
		want := noise(4, 4000) // three fragments each way
		again := time.NewTicker(5 * time.Millisecond)
		for done := false; !done; {
			p.Send([]proxy.Datagram{{Buf: buffer(want)}})
			select {
			case back := <-got:
				if done = true; !bytes.Equal(back, want) {
					t.Errorf("%d bytes came back, or others", len(back))
				}
			case <-again.C:
			}
		}
		again.Stop()
		p.Close()
	}
}

// TestPeerVanishes: a link that is cut ends sessions within the peer timeout of
// their flows, at both ends, as a reset.
func TestPeerVanishes(t *testing.T) {
	t.Parallel()
	client, server, link := proxytest.Simulated(t, sim.Params{MTU: 1500})
	const timeout = 300 // ms
	ends := make(chan error, 2)
	srv := tcpServer(t, func(c *net.TCPConn) {
		c.Write([]byte("x"))
		_, err := c.Read(make([]byte, 1))
		ends <- err
	})
	serve(t, server, "svc", to(t, srv))
	qs := qos.Data
	qs.Timeout = timeout
	d := &proxy.Dialer{Stack: client}
	relayed := make(chan error, 1)
	in := tcpServer(t, func(c *net.TCPConn) {
		conn, err := d.DialTCP(context.Background(), "svc", qs, session.Request{})
		if err != nil {
			t.Error(err)
			return
		}
		s := book().Open(ledger.Info{})
		relayed <- proxy.Relay(context.Background(), c, conn, s)
	})
	c := dialTCP(t, in)
	defer c.Close()
	if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	link.Set(sim.Params{MTU: 1500, Loss: 1})
	_, err := c.Read(make([]byte, 1))
	for range 2 {
		if !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("an end sees %v", err)
		}
		err = <-ends
		ends <- err
	}
	if err := <-relayed; !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the relay returns %v", err)
	}
	t.Logf("ended after %v", time.Since(begin))
}

// TestEndIsCut: the end of the context ends a relay that waits for a peer which has
// vanished behind its last words.
func TestEndIsCut(t *testing.T) {
	t.Parallel()
	client, server, link := proxytest.Simulated(t, sim.Params{MTU: 1500})
	serve(t, server, "svc", func(in *proxy.Incoming) {
		c, err := in.AcceptTCP()
		if err != nil {
			t.Error(err)
			return
		}
		c.CloseWrite()
		io.Copy(io.Discard, c)
		c.Reset()
	})
	d := &proxy.Dialer{Stack: client}
	qs := qos.Data
	qs.Timeout = 1000
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	relayed := make(chan error, 1)
	in := tcpServer(t, func(c *net.TCPConn) {
		conn, err := d.DialTCP(ctx, "svc", qs, session.Request{})
		if err != nil {
			t.Error(err)
			return
		}
		s := book().Open(ledger.Info{})
		relayed <- proxy.Relay(ctx, c, conn, s)
	})
	c := dialTCP(t, in)
	defer c.Close()
	if _, err := c.Read(make([]byte, 1)); err != io.EOF {
		t.Fatal(err)
	}
	link.Set(sim.Params{MTU: 1500, Loss: 1})
	c.CloseWrite()
	select {
	case err := <-relayed:
		t.Fatal("it ended by itself, and this test shows nothing:", err)
	case <-time.After(50 * time.Millisecond):
	}
	begin := time.Now()
	cancel()
	<-relayed
	t.Logf("ended after %v", time.Since(begin))
}

// TestDatagramPeerVanishes: so it does with UDP, where the end tells which it was.
func TestDatagramPeerVanishes(t *testing.T) {
	t.Parallel()
	client, server, link := proxytest.Simulated(t, sim.Params{MTU: 1500})
	ended := make(chan error, 2)
	serve(t, server, "svc", echoUDP(t, ended))
	qs := qos.Raw
	qs.Timeout = 300
	d := &proxy.Dialer{Stack: client}
	p, err := d.DialUDP(t.Context(), "svc", qs, session.Request{})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	p.Receive(func([]proxy.Datagram) {}, func(err error) { ended <- err })
	link.Set(sim.Params{MTU: 1500, Loss: 1})
	for range 2 {
		if err := <-ended; !errors.Is(err, layer.ErrFlowPeer) {
			t.Errorf("an end sees %v", err)
		}
	}
}
