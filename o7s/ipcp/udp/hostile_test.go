// SPDX-License-Identifier: BSD-3-Clause

package udp

import (
	"math/rand/v2"
	"testing"

	"o7gw/o7s/layer"
	"o7gw/o7s/qos"
)

// Datagrams that nobody of good will sends: each is counted, none does harm.
func TestHostileDatagrams(t *testing.T) {
	u, ports := acceptor(layer.CapTeardown)
	client := start(t, "127.0.0.1", noUpper, serves("127.0.0.2"))
	server := start(t, "127.0.0.2", u, nil)
	a, b := connect(t, client, server, ports, qos.Raw)
	f := b.(*flow)
	in := newSink(b)
	evil := dial(t, "127.0.0.3", testPort, server)
	request := request{eid: 64, qos: qos.Raw, dst: op}.append(nil)

	for _, c := range []struct {
		name string
		send []byte
		hit  func(Stats) uint64
	}{
		{"empty", nil, func(s Stats) uint64 { return s.DropShort }},
		{"three bytes", []byte{0, 0, 1}, func(s Stats) uint64 { return s.DropShort }},
		{"EID alone", make([]byte, 4), func(s Stats) uint64 { return s.DropMalformed }},
		{"half a header", make([]byte, fixedLen-1), func(s Stats) uint64 { return s.DropMalformed }},
		{"code 0", make([]byte, fixedLen), func(s Stats) uint64 { return s.DropCode }},
		{"request without hash", request[:fixedLen], func(s Stats) uint64 { return s.DropMalformed }},
		{"request with half a hash", request[:fixedLen+hashLen-1], func(s Stats) uint64 { return s.DropMalformed }},
		{"request with EID 0", append(header{code: codeRequest}.append(nil), make([]byte, hashLen)...), func(s Stats) uint64 { return s.DropMalformed }},
		{"reply for nobody", reply{eid: 64, peerEID: 65}.append(nil), func(s Stats) uint64 { return s.DropStray }},
		{"reply for a flow not pending", reply{eid: f.eid, peerEID: 65}.append(nil), func(s Stats) uint64 { return s.DropStray }},
		{"refusal for a flow not pending", reply{eid: f.eid, response: -1}.append(nil), func(s Stats) uint64 { return s.DropStray }},
		{"teardown for nobody", teardown{64, 65}.append(nil), func(s Stats) uint64 { return s.DropStray }},
		{"teardown from a stranger", teardown{peerEID: f.remote.Load(), eid: f.eid}.append(nil), func(s Stats) uint64 { return s.DropStray }},
		{"data for nobody", eidBytes(f.eid ^ 1), func(s Stats) uint64 { return s.DropNoFlow }},
		{"data for EID -1", eidBytes(0xFFFFFFFF), func(s Stats) uint64 { return s.DropNoFlow }},
		{"data from a stranger", append(eidBytes(f.eid), "evil"...), func(s Stats) uint64 { return s.DropSource }},
		{"huge data", make([]byte, maxDatagram4+overshoot+1), func(s Stats) uint64 { return s.DropOversize }},
		{"huge request", append(request, make([]byte, 20000)...), func(s Stats) uint64 { return s.DropOversize }},
	} {
		before := c.hit(server.Stats())
		evil.send(c.send)
		eventually(t, c.name+" in the counters", func() bool { return c.hit(server.Stats()) == before+1 })
	}
	evil.silent()

	// From the peer's own address, but with a wrong EID.
	before := server.Stats().DropStray
	client.send(&a.(*flow).peer, qos.BestEffort, teardown{peerEID: a.(*flow).eid ^ 1, eid: f.eid}.append)
	eventually(t, "wrong teardown", func() bool { return server.Stats().DropStray == before+1 })

	// A C sender forgets its header in the limit: that much is received.
	a.Send(buffers(checked(1, maxDatagram4-eidLen)))
	in.wait(t, "packet without an event", func() bool { return len(in.got) == 1 && len(in.events) == 0 })
}

// Somewhat more than the limit is received: C senders forget their own header.
func TestOvershoot(t *testing.T) {
	ports := make(chan layer.Port, 1)
	server := start(t, "127.0.0.2", &upper{func(r *layer.Request) {
		if len(r.Data) != 4000 {
			t.Errorf("piggyback of %d bytes", len(r.Data))
		}
		p, err := r.Accept(nil)
		if err != nil {
			t.Error(err)
		}
		ports <- p
	}}, nil)
	server.Register(t.Context(), op)
	c := dial(t, "127.0.0.1", 0, server) // on any port, as behind a NAT
	c.send(request{eid: 64, qos: qos.Raw, dst: op, data: make([]byte, 4000)}.append(nil))
	m, err := parseManagement(c.recv())
	if err != nil {
		t.Fatal(err)
	}
	in := newSink(<-ports)
	if r := m.(reply); r.eid != 64 || r.response != 0 {
		t.Errorf("%+v", r)
	}
	big := checked(7, maxDatagram4)
	c.send(eidBytes(m.(reply).peerEID), big)
	if got := in.packets(t, 1); string(got[0]) != string(big) {
		t.Error("bytes differ")
	}
}

// Random datagrams at full speed, while a flow works and at the end closes.
func TestFloodOfRubbish(t *testing.T) {
	u, ports := acceptor(layer.CapTeardown)
	client := start(t, "127.0.0.1", noUpper, serves("127.0.0.2"))
	server := start(t, "127.0.0.2", u, nil)
	a, b := connect(t, client, server, ports, qos.Raw)
	in := newSink(b)
	evil := dial(t, "127.0.0.3", 0, server)
	r := rand.New(rand.NewPCG(1, 2))
	stop, done := make(chan struct{}), make(chan struct{})
	defer func() {
		close(stop)
		<-done
	}()
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
			}
			d := make([]byte, r.IntN(100))
			for i := range d {
				d[i] = byte(r.Uint32())
			}
			if len(d) > 50 && d[50]&1 == 0 {
				copy(d, []byte{0, 0, 0, 0})
				d[44] %= 4
			}
			evil.conn.WriteToUDPAddrPort(d, evil.to)
		}
	}()
	// The kernel drops what it has no room for, but not all.
	eventually(t, "100 packets under fire", func() bool {
		a.Send(buffers(checked(1, 500), checked(2, 500)))
		in.mu.Lock()
		defer in.mu.Unlock()
		return len(in.got) >= 100
	})
	if err := server.Close(); err != nil { // does not wait for a pause
		t.Error(err)
	}
	in.closed(t)
	if s := client.Stats(); s.Teardowns+s.DropStray > 1 {
		t.Errorf("%+v", s)
	}
}
