// SPDX-License-Identifier: BSD-3-Clause

package netstack

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/faketime"
)

var (
	from4 = netip.AddrPortFrom(client4, 1000)
	to4   = netip.AddrPortFrom(served4, 80)
)

// held gives the requests of a stack to the test.
func held(t *testing.T, limits Limits, clock tcpip.Clock) (*Stack, *fakeDevice, chan *TCPRequest, chan struct{}) {
	requests, end := make(chan *TCPRequest, 100), make(chan struct{})
	s, d := fakeStack(t, Config{Limits: limits, TCP: func(r *TCPRequest) {
		requests <- r
		select {
		case <-end:
		case <-r.s.ctx.Done():
		}
	}}, clock)
	return s, d, requests, end
}

// TestNothingBeforeAccept: repetitions of a SYN make nothing new, and nothing is
// sent until the request is decided.
func TestNothingBeforeAccept(t *testing.T) {
	s, d, requests, end := held(t, Limits{}, tcpip.NewStdClock())
	p := tcpPacket(from4, to4, 100, 0, syn, nil)
	d.put(p)
	r := <-requests
	d.put(p, p)
	if r.Src != from4 || r.Dst != to4 {
		t.Errorf("request from %v to %v", r.Src, r.Dst)
	}
	if st := s.Stats(); st.HalfOpen != 1 || len(requests) != 0 || st.Limited != 0 {
		t.Errorf("%+v, %d more requests", st, len(requests))
	}
	d.none(t)
	r.Refuse()
	close(end)
	if v := viewTCP(t, d.next(t)); v.flags != rst|ack || v.ack != 101 {
		t.Errorf("refused with %+v", v)
	}
	if st := s.Stats(); st.HalfOpen != 0 || st.Refused != 1 {
		t.Errorf("%+v", st)
	}
}

// TestClientGivesUp: the context of a request ends when the client resets it,
// with the right sequence number, or is silent for longer than one that wants
// an answer.
func TestClientGivesUp(t *testing.T) {
	clock := faketime.NewManualClock()
	_, d, requests, end := held(t, Limits{}, clock)
	defer close(end)
	p := tcpPacket(from4, to4, 100, 0, syn, nil)
	d.put(p)
	r := <-requests
	d.put(tcpPacket(from4, to4, 5000, 0, rst, nil))
	for _, wait := range []time.Duration{time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second} {
		clock.Advance(wait)
		if r.Context().Err() != nil {
			t.Fatalf("given up %v after a SYN, or for a wrong reset", wait)
		}
		d.put(p)
	}
	clock.Advance(17 * time.Second)
	if r.Context().Err() != nil {
		t.Fatal("given up before the next repetition was due")
	}
	clock.Advance(2 * time.Second)
	<-r.Context().Done()
	if _, err := r.Accept(); err == nil {
		t.Error("accepted a client that has gone")
	}
	if v := viewTCP(t, d.next(t)); v.flags&rst == 0 {
		t.Errorf("answered with %+v", v)
	}

	other := netip.AddrPortFrom(client4, 1001)
	d.put(tcpPacket(other, to4, 100, 0, syn, nil))
	r = <-requests
	d.put(tcpPacket(other, to4, 101, 0, rst, nil))
	<-r.Context().Done()
	r.Refuse()
}

// connect makes a connection of a client.
func connect(t *testing.T, d *fakeDevice, r *TCPRequest) (c *Conn, seq uint32) {
	t.Helper()
	type result struct {
		c   *Conn
		err error
	}
	done := make(chan result, 1)
	go func() {
		c, err := r.Accept()
		done <- result{c, err}
	}()
	v := viewTCP(t, d.next(t))
	if v.flags != syn|ack || v.ack != 101 {
		t.Fatalf("handshake: %+v", v)
	}
	d.put(tcpPacket(r.Src, r.Dst, 101, v.seq+1, ack, nil))
	res := <-done
	if res.err != nil {
		t.Fatal(res.err)
	}
	return res.c, v.seq + 1
}

// TestKeepalive: a client that has vanished is noticed after 60 s and five
// probes, 30 s apart.
func TestKeepalive(t *testing.T) {
	clock := faketime.NewManualClock()
	s, d, requests, end := held(t, Limits{}, clock)
	defer close(end)
	d.put(tcpPacket(from4, to4, 100, 0, syn, nil))
	c, seq := connect(t, d, <-requests)
	read := make(chan error, 1)
	go func() {
		_, err := c.Read(make([]byte, 1))
		read <- err
	}()
	clock.Advance(keepaliveIdle - time.Second)
	d.none(t)
	clock.Advance(2 * time.Second)
	for i := range keepaliveCount {
		if v := viewTCP(t, d.next(t)); v.seq != seq-1 || v.flags != ack {
			t.Errorf("probe %d is %+v", i, v)
		}
		clock.Advance(keepaliveInterval)
	}
	if err := <-read; !errors.Is(err, syscall.ETIMEDOUT) {
		t.Errorf("the reader sees %v", err)
	}
	c.Close()
	if st := s.Stats(); st.Conns != 0 || st.HalfOpen != 0 {
		t.Errorf("%+v", st)
	}
}

// TestVanishedInHandshake: a client that does not answer the SYN-ACK fails
// Accept after the repetitions, and Close does not wait for one.
func TestVanishedInHandshake(t *testing.T) {
	clock := faketime.NewManualClock()
	s, d, requests, end := held(t, Limits{}, clock)
	defer close(end)
	for i, ends := range []func(){
		func() {
			clock.Advance(handshakeTime)
		},
		func() {
			d.close()
			s.Close()
		},
	} {
		d.put(tcpPacket(netip.AddrPortFrom(client4, uint16(1000+i)), to4, 100, 0, syn, nil))
		r := <-requests
		done := make(chan error, 1)
		go func() {
			_, err := r.Accept()
			done <- err
		}()
		if v := viewTCP(t, d.next(t)); v.flags != syn|ack {
			t.Fatalf("%+v", v)
		}
		ends()
		if err := <-done; err == nil {
			t.Error("accepted")
		}
		for len(d.out) > 0 {
			<-d.out
		}
	}
	if st := s.Stats(); st.HalfOpen != 0 || st.Conns != 0 || st.Failed != 2 {
		t.Errorf("%+v", st)
	}
}

// TestEviction: a flood of SYNs cannot keep the places of the attempts.
func TestEviction(t *testing.T) {
	clock := faketime.NewManualClock()
	s, d, requests, end := held(t, Limits{HalfOpen: 4}, clock)
	defer close(end)
	at := func(i int) []byte {
		return tcpPacket(netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 1, byte(i)}), 1), to4, 100, 0, syn, nil)
	}
	for i := range 5 {
		d.put(at(i))
	}
	var first []*TCPRequest
	for range 4 {
		first = append(first, <-requests)
	}
	if st := s.Stats(); st.HalfOpen != 4 || st.Limited != 1 {
		t.Fatalf("%+v", st)
	}
	clock.Advance(evictable)
	d.put(at(5))
	r := <-requests
	gone := 0
	for _, r := range first {
		if r.Context().Err() != nil {
			gone++
			r.Refuse()
		}
	}
	if st := s.Stats(); gone != 1 || st.HalfOpen != 4 || st.Limited != 2 {
		t.Fatalf("%d were evicted, %+v", gone, st)
	}
	for len(d.out) > 0 {
		<-d.out
	}
	c, _ := connect(t, d, r)
	if st := s.Stats(); st.HalfOpen != 3 || st.Conns != 1 {
		t.Errorf("%+v", st)
	}
	c.Close()
	for _, r := range first {
		if r.Context().Err() == nil {
			r.Refuse()
		}
	}
	if st := s.Stats(); st.HalfOpen != 0 || st.Conns != 0 || len(s.lim.sources) != 0 {
		t.Errorf("%+v, %d sources", st, len(s.lim.sources))
	}
}

// TestSourceLimit: a source, or a /64 of IPv6, has its share only.
func TestSourceLimit(t *testing.T) {
	s, d, requests, end := held(t, Limits{HalfOpenPerSource: 2}, tcpip.NewStdClock())
	defer close(end)
	to6 := netip.AddrPortFrom(served6, 80)
	a := client6
	for range 3 {
		d.put(tcpPacket(netip.AddrPortFrom(a, 1), to6, 100, 0, syn, nil))
		a = a.Next()
	}
	d.put(tcpPacket(from4, to4, 100, 0, syn, nil))
	if st := s.Stats(); st.HalfOpen != 3 || st.Limited != 1 {
		t.Errorf("%+v", st)
	}
	for range 3 {
		(<-requests).Refuse()
	}
}

// TestDamaged: what has a wrong checksum reaches nobody.
func TestDamaged(t *testing.T) {
	got := make(chan Datagram, 10)
	s, d := fakeStack(t, Config{UDP: func(ds []Datagram) {
		for _, d := range ds {
			got <- d
		}
	}}, tcpip.NewStdClock())
	u := udpPacket(from4, to4, []byte("hello"))
	bad := bytes.Clone(u)
	bad[len(bad)-1] ^= 1
	segment := tcpPacket(from4, to4, 100, 0, syn, nil)
	segment[25] ^= 1
	ping := append(bytes.Clone(u[:20]), 8, 0, 1, 2, 3, 4, 5, 6)
	ping[9], ping[3] = protoICMP4, 28
	d.put(bad, segment, ping, u)
	if g := <-got; string(g.Buf.Bytes()) != "hello" || g.Src != from4 || g.Dst != to4 {
		t.Errorf("%+v", g)
	} else {
		g.Buf.Release()
	}
	if st := s.Stats(); st.Malformed != 3 || len(got) != 0 || st.HalfOpen != 0 || st.Refused != 0 {
		t.Errorf("%+v", st)
	}
	d.none(t)
}

// TestUnservedProtocol: nobody answers for others but with an error, and not at
// any rate.
func TestUnservedProtocol(t *testing.T) {
	s, d := fakeStack(t, Config{}, faketime.NewManualClock())
	p := make([]byte, 40)
	putIP(p, client4, served4, 99, 0, 20)
	for range 2 * icmpRate {
		d.put(p)
	}
	if st := s.Stats(); st.Unhandled != 2*icmpRate || st.ICMPErrors != icmpRate || len(d.out) != icmpRate {
		t.Errorf("%+v, %d answers", st, len(d.out))
	}
	answer := <-d.out
	if h, ok := parseIP(answer); !ok || h.proto != protoICMP4 || answer[20] != unreachable4 || answer[21] != 2 ||
		!bytes.Equal(answer[28:], p) || fold(sum(answer[20:], 0)) != 0xffff {
		t.Errorf("% x", answer)
	}
}

// TestFinish: what the client sends before its finish is read, then io.EOF, in
// batches and without.
func TestFinish(t *testing.T) {
	_, d, requests, end := held(t, Limits{}, tcpip.NewStdClock())
	defer close(end)
	d.put(tcpPacket(from4, to4, 100, 0, syn, nil))
	c, seq := connect(t, d, <-requests)
	d.put(tcpPacket(from4, to4, 101, seq, ack, []byte("hello")), tcpPacket(from4, to4, 106, seq, ack|fin, nil))
	got, err := io.ReadAll(c)
	if string(got) != "hello" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	c.Reset()
}

// TestVanishedWithData: data that nobody acknowledges ends the connection, too.
func TestVanishedWithData(t *testing.T) {
	clock := faketime.NewManualClock()
	_, d, requests, end := held(t, Limits{}, clock)
	defer close(end)
	d.put(tcpPacket(from4, to4, 100, 0, syn, nil))
	c, _ := connect(t, d, <-requests)
	defer c.Close()
	if _, err := c.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	read := make(chan error, 1)
	go func() {
		_, err := c.Read(make([]byte, 1))
		read <- err
	}()
	for range 300 { // timers set timers: small steps
		clock.Advance(time.Second)
	}
	if err := <-read; !errors.Is(err, syscall.ETIMEDOUT) {
		t.Errorf("the reader sees %v", err)
	}
	if n := len(d.out); n < 5 || n > maxRetries+2 {
		t.Errorf("sent %d times", n)
	}
}

// TestSmallPath: a router that says that packets are too big gets smaller ones.
func TestSmallPath(t *testing.T) {
	const small = 600
	_, d, requests, end := held(t, Limits{}, tcpip.NewStdClock())
	defer close(end)
	p := tcpPacket(from4, to4, 100, 0, syn, nil)
	p = append(p, 2, 4, 1400>>8, 1400&255) // maximum segment size
	p[3] += 4
	p[20+12] = 6 << 4
	binary.BigEndian.PutUint16(p[10:], 0)
	binary.BigEndian.PutUint16(p[10:], ^fold(sum(p[:20], 0)))
	binary.BigEndian.PutUint16(p[36:], 0)
	binary.BigEndian.PutUint16(p[36:], ^fold(sum(p[20:], pseudo(client4, served4, protoTCP, 24))))
	d.put(p)
	c, _ := connect(t, d, <-requests)
	defer c.Reset()
	if _, err := c.Write(make([]byte, 1300)); err != nil {
		t.Fatal(err)
	}
	big := d.next(t)
	if len(big) <= small {
		t.Fatalf("first %d bytes", len(big))
	}
	e := make([]byte, 20+icmpLen, 100)
	putIP(e, netip.MustParseAddr("10.0.0.254"), served4, protoICMP4, 0, icmpLen+28)
	e[20], e[21] = unreachable4, fragmentationNeeded4
	binary.BigEndian.PutUint16(e[26:], small)
	e = append(e, big[:28]...)
	binary.BigEndian.PutUint16(e[22:], ^fold(sum(e[20:], 0)))
	d.put(e)
	for {
		if next := d.next(t); len(next) <= small {
			break
		}
	}
}
