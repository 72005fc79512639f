// SPDX-License-Identifier: BSD-3-Clause

package proxy_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"syscall"
	"testing"
	"time"

	"o7gw/o7s/qos"
	"o7gw/proxy"
	"o7gw/proxy/ledger"
	"o7gw/proxy/proxytest"
	"o7gw/proxy/session"
)

// noise is n bytes of a seed.
func noise(seed byte, n int) []byte {
	data := make([]byte, n)
	rand.NewChaCha8([32]byte{seed}).Read(data)
	return data
}

// TestBothWays: streams of different lengths go both ways at once over each kind
// of layer, and arrive unaltered.
func TestBothWays(t *testing.T) {
	for _, n := range nets {
		t.Run(n.name, func(t *testing.T) {
			client, server := n.pair(t, "svc")
			want := noise(7, 5<<20)
			srv := tcpServer(t, func(c *net.TCPConn) {
				sum := make(chan []byte)
				go func() {
					h := sha256.New()
					if _, err := io.Copy(h, c); err != nil {
						t.Error("server reads:", err)
					}
					sum <- h.Sum(nil)
				}()
				if _, err := c.Write(want); err != nil {
					t.Error(err)
				}
				c.Write(<-sum)
				c.CloseWrite()
			})
			serve(t, server, "svc", to(t, srv))
			in := entrance(t, client, "svc", qos.Spec{})
			var wg sync.WaitGroup
			for k := range 4 {
				wg.Go(func() {
					c := dialTCP(t, in)
					defer c.Close()
					mine := noise(byte(k), 1<<20+k)
					wg.Go(func() {
						r := rand.New(rand.NewPCG(1, uint64(k)))
						for p := mine; len(p) > 0; {
							part := p[:min(len(p), 1+r.IntN(200000))]
							if _, err := c.Write(part); err != nil {
								t.Error(err)
								return
							}
							p = p[len(part):]
						}
						c.CloseWrite()
					})
					got, err := io.ReadAll(c)
					sum := sha256.Sum256(mine)
					if err != nil || !bytes.Equal(got, append(bytes.Clone(want), sum[:]...)) {
						t.Errorf("%d bytes, or others than expected: %v", len(got), err)
					}
				})
			}
			wg.Wait()
		})
	}
}

// TestSlowReader: a server that takes nothing holds back the client, and all of it
// arrives once the server reads.
func TestSlowReader(t *testing.T) {
	t.Parallel()
	client, server := proxytest.PairMTU(t, 1500, "svc")
	read := make(chan struct{})
	sum := make(chan [32]byte, 1)
	srv := tcpServer(t, func(c *net.TCPConn) {
		c.SetReadBuffer(64 << 10)
		<-read
		h := sha256.New()
		if _, err := io.Copy(h, c); err != nil {
			t.Error(err)
		}
		sum <- [32]byte(h.Sum(nil))
	})
	serve(t, server, "svc", to(t, srv))
	c := dialTCP(t, entrance(t, client, "svc", qos.Spec{}))
	defer c.Close()
	c.SetWriteBuffer(64 << 10)
	const most = 64 << 20
	data := noise(3, most)
	// Until nothing moves any more.
	sent := 0
	for sent < most {
		c.SetWriteDeadline(time.Now().Add(300 * time.Millisecond))
		n, err := c.Write(data[sent:min(sent+1<<20, most)])
		sent += n
		if err != nil {
			break
		}
	}
	if sent == most {
		t.Fatalf("%d bytes went where nobody reads", sent)
	}
	t.Logf("%d bytes on the way", sent)
	close(read)
	c.SetWriteDeadline(time.Time{})
	if _, err := c.Write(data[sent : sent+1<<20]); err != nil {
		t.Fatal(err)
	}
	c.CloseWrite()
	if got, want := <-sum, sha256.Sum256(data[:sent+1<<20]); got != want {
		t.Error("the server has read something else")
	}
}

// TestLastWords: a server answers and closes before it has read everything; the
// client gets all of the answer nevertheless, before the connection breaks.
func TestLastWords(t *testing.T) {
	client, server := proxytest.PairMTU(t, 1500, "svc")
	answer := noise(5, 300<<10)
	srv := tcpServer(t, func(c *net.TCPConn) {
		io.ReadFull(c, make([]byte, 1000))
		c.Write(answer)
		c.CloseWrite()
		// Close with unread bytes is a reset of the kernel.
		io.ReadFull(c, make([]byte, 1<<20))
	})
	serve(t, server, "svc", to(t, srv))
	c := dialTCP(t, entrance(t, client, "svc", qos.Spec{}))
	defer c.Close()
	var wg sync.WaitGroup
	wg.Go(func() {
		for { // until it breaks
			if _, err := c.Write(make([]byte, 1<<16)); err != nil {
				return
			}
		}
	})
	got := make([]byte, len(answer))
	if n, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, answer) {
		t.Errorf("%d bytes of the answer: %v", n, err)
	}
	wg.Wait()
}

// TestRelayCancelled: the end of the context resets both sides.
func TestRelayCancelled(t *testing.T) {
	client, server := proxytest.Pair(t, "svc")
	errs := make(chan error, 1)
	serve(t, server, "svc", func(in *proxy.Incoming) {
		c, err := in.AcceptTCP()
		if err != nil {
			t.Error(err)
			return
		}
		_, err = c.Read(make([]byte, 1))
		errs <- err
		c.Close()
	})
	d := &proxy.Dialer{Stack: client}
	conn, err := d.DialTCP(t.Context(), "svc", qos.Spec{}, session.Request{})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	ctx, cancel := context.WithCancelCause(context.Background())
	near := tcpServer(t, func(c *net.TCPConn) {
		s := book().Open(ledger.Info{})
		ended <- proxy.Relay(ctx, c, conn, s)
	})
	c := dialTCP(t, near)
	defer c.Close()
	why := errors.New("the gateway ends")
	cancel(why)
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the client sees %v", err)
	}
	if err := <-errs; !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the peer sees %v", err)
	}
	if err := <-ended; err != why {
		t.Errorf("the relay returns %v", err)
	}
}

// TestChain joins sessions with one another: the flow of one has longer packets
// than that of the other.
func TestChain(t *testing.T) {
	middle, far := proxytest.PairMTU(t, 1300, "svc")
	near, here := proxytest.Pair(t, "hop")
	srv := tcpServer(t, func(c *net.TCPConn) { io.Copy(c, c) })
	serve(t, far, "svc", to(t, srv))
	serve(t, here, "hop", func(in *proxy.Incoming) {
		d := &proxy.Dialer{Stack: middle}
		next, err := d.DialTCP(context.Background(), "svc", qos.Spec{}, session.Request{})
		if err != nil {
			in.Refuse(session.StatusOf(err))
			return
		}
		conn, err := in.AcceptTCP()
		if err != nil {
			next.Reset()
			return
		}
		s := book().Open(ledger.Info{})
		if err := proxy.Relay(context.Background(), conn, next, s); err != nil {
			t.Error(err)
		}
	})
	c := dialTCP(t, entrance(t, near, "hop", qos.Spec{}))
	defer c.Close()
	data := noise(9, 2<<20)
	go func() {
		c.Write(data)
		c.CloseWrite()
	}()
	if got, err := io.ReadAll(c); err != nil || !bytes.Equal(got, data) {
		t.Errorf("%d bytes: %v", len(got), err)
	}
}

// TestPlainStream: a connection that is none of those known gets through, too.
func TestPlainStream(t *testing.T) {
	client, server := proxytest.Pair(t, "svc")
	srv := tcpServer(t, func(c *net.TCPConn) { io.Copy(c, c) })
	serve(t, server, "svc", to(t, srv))
	d := &proxy.Dialer{Stack: client}
	in := tcpServer(t, func(c *net.TCPConn) {
		conn, err := d.DialTCP(context.Background(), "svc", qos.Spec{}, session.Request{})
		if err != nil {
			t.Error(err)
			return
		}
		s := book().Open(ledger.Info{})
		if err := proxy.Relay(context.Background(), struct{ proxy.Stream }{c}, conn, s); err != nil {
			t.Error(err)
		}
	})
	c := dialTCP(t, in)
	defer c.Close()
	data := noise(11, 1<<20)
	go func() {
		c.Write(data)
		c.CloseWrite()
	}()
	if got, err := io.ReadAll(c); err != nil || !bytes.Equal(got, data) {
		t.Errorf("%d bytes: %v", len(got), err)
	}
}

// TestNodeEnds: when the other gateway goes away, the client sees the end.
func TestNodeEnds(t *testing.T) {
	client, server := proxytest.Pair(t, "svc")
	got := make(chan *proxy.Conn, 1)
	serve(t, server, "svc", func(in *proxy.Incoming) {
		c, err := in.AcceptTCP()
		if err != nil {
			t.Error(err)
		}
		got <- c
	})
	c := dialTCP(t, entrance(t, client, "svc", qos.Spec{}))
	defer c.Close()
	(<-got).Reset()
	if n, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("%d, %v", n, err)
	}
}
