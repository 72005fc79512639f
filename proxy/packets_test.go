// SPDX-License-Identifier: BSD-3-Clause

package proxy_test

import (
	"bytes"
	"errors"
	"io"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"o7gw/o7s"
	"o7gw/o7s/packet"
	"o7gw/o7s/qos"
	"o7gw/proxy"
	"o7gw/proxy/proxytest"
	"o7gw/proxy/session"
)

// echoUDP sends back what comes, to and from the same address.
func echoUDP(t testing.TB, ended chan<- error) func(*proxy.Incoming) {
	return func(in *proxy.Incoming) {
		p, err := in.AcceptUDP()
		if err != nil {
			t.Error(err)
			return
		}
		p.Receive(func(d []proxy.Datagram) {
			if err := p.Send(d); err != nil {
				t.Error(err)
			}
		}, func(err error) {
			p.Close()
			ended <- err
		})
	}
}

func buffer(data []byte) *packet.Buffer {
	b := packet.Get(len(data))
	b.Append(data)
	return b
}

// TestDatagrams: datagrams of all sizes, with addresses and without, go there and
// back over each kind of layer.
func TestDatagrams(t *testing.T) {
	addrs := []netip.AddrPort{
		{}, netip.MustParseAddrPort("192.0.2.1:53"), netip.MustParseAddrPort("[2001:db8::1]:53"),
	}
	for _, n := range nets {
		t.Run(n.name, func(t *testing.T) {
			client, server := n.pair(t, "echo")
			ended := make(chan error, 1)
			serve(t, server, "echo", echoUDP(t, ended))
			d := &proxy.Dialer{Stack: client}
			p, err := d.DialUDP(t.Context(), "echo", qos.Spec{}, session.Request{})
			if err != nil {
				t.Fatal(err)
			}
			got := make(chan proxy.Datagram, 10)
			p.Receive(func(d []proxy.Datagram) {
				for _, d := range d {
					got <- d
				}
			}, func(error) {})
			for _, size := range []int{0, 1, 500, 1400, 1466, 1467, 1468, 3000, 20000, 65000, p.MaxDatagram()} {
				for _, addr := range addrs {
					data := noise(byte(size), size)
					if err := p.Send([]proxy.Datagram{{Addr: addr, Buf: buffer(data)}}); err != nil {
						t.Fatal(err)
					}
					back := <-got
					if back.Addr != addr || !bytes.Equal(back.Buf.Bytes(), data) {
						t.Errorf("%d bytes of %v came back as %d of %v", size, addr, back.Buf.Len(), back.Addr)
					}
					back.Buf.Release()
				}
			}
			if err := p.Send([]proxy.Datagram{{Buf: buffer(make([]byte, session.MaxDatagram+1))}}); !errors.Is(err, syscall.EMSGSIZE) || p.Dropped() != 1 {
				t.Errorf("too long a datagram: %v, %d dropped", err, p.Dropped())
			}
			p.Close()
			p.Close()
			if err := <-ended; err != io.EOF {
				t.Errorf("the session ended with %v", err)
			}
		})
	}
}

// TestRequestAgain: the request of a UDP session is answered as often as it
// comes, and rubbish does no harm.
func TestRequestAgain(t *testing.T) {
	client, server := proxytest.Pair(t, "echo")
	ended := make(chan error, 1)
	serve(t, server, "echo", echoUDP(t, ended))
	f, err := client.Dial(t.Context(), "echo", o7s.WithQoS(qos.Raw))
	if err != nil {
		t.Fatal(err)
	}
	request := (&session.Request{Proto: session.UDP}).Append(nil)
	for _, p := range [][]byte{request, request, {0x7f, 1}, {byte(session.KindDatagram) | 7}, {0x80}, request, {byte(session.KindDatagram), 'x'}} {
		if err := f.WritePacket(p); err != nil {
			t.Fatal(err)
		}
	}
	statuses := 0
	for {
		var buf [100]byte
		n, _, err := f.ReadPacket(buf[:])
		if err != nil {
			t.Fatal(err)
		}
		if buf[0] == byte(session.KindDatagram) {
			if string(buf[1:n]) != "x" {
				t.Errorf("%x", buf[:n])
			}
			break
		}
		if s, _, err := session.ParseStatus(buf[:n]); s != session.OK || err != nil {
			t.Errorf("%x: %v", buf[:n], err)
		}
		statuses++
	}
	if statuses != 3 {
		t.Errorf("%d answers to 3 requests", statuses)
	}
	f.Close()
	<-ended
}

// TestFragmentsExpire: what a peer leaves incomplete is given back, also if
// nothing more comes. It takes as long as that.
func TestFragmentsExpire(t *testing.T) {
	t.Parallel()
	client, server := proxytest.Pair(t, "svc")
	accepted := make(chan *proxy.Packets, 1)
	serve(t, server, "svc", func(in *proxy.Incoming) {
		p, err := in.AcceptUDP()
		if err != nil {
			t.Error(err)
			return
		}
		p.Receive(func([]proxy.Datagram) {}, func(error) {})
		accepted <- p
	})
	d := &proxy.Dialer{Stack: client}
	p, err := d.DialUDP(t.Context(), "svc", qos.Spec{}, session.Request{})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	h := session.DatagramHeader{ID: 1, Index: 0, Last: 1}
	fragment := make([]byte, h.Len())
	h.Put(fragment)
	if err := p.Flow().WritePacket(append(fragment, 'x')); err != nil {
		t.Fatal(err)
	}
	q := <-accepted
	defer q.Close()
	for q.Dropped() == 0 {
		time.Sleep(50 * time.Millisecond)
	}
}

// TestSendCosts: datagrams that are not fragmented cost no memory.
func TestSendCosts(t *testing.T) {
	client, server := proxytest.Pair(t, "svc")
	got := make(chan int, 1000)
	serve(t, server, "svc", func(in *proxy.Incoming) {
		p, err := in.AcceptUDP()
		if err != nil {
			t.Error(err)
			return
		}
		p.Receive(func(d []proxy.Datagram) {
			for i := range d {
				d[i].Buf.Release()
			}
			got <- len(d)
		}, func(error) { p.Close() })
	})
	d := &proxy.Dialer{Stack: client}
	p, err := d.DialUDP(t.Context(), "svc", qos.Spec{}, session.Request{})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	batch := make([]proxy.Datagram, 32)
	if n := testing.AllocsPerRun(100, func() {
		for i := range batch {
			b := packet.Get(200)
			b.SetLen(200)
			batch[i] = proxy.Datagram{Buf: b}
		}
		if err := p.Send(batch); err != nil {
			t.Fatal(err)
		}
		for n := 0; n < len(batch); {
			n += <-got
		}
	}); n > 1 {
		t.Errorf("%v allocations for %d datagrams", n, len(batch))
	}
}
