// SPDX-License-Identifier: BSD-3-Clause

package tunnel

import (
	"bytes"
	"errors"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"o7gw/gateway/ip"
	"o7gw/o7s/bubble"
	"o7gw/o7s/packet"
	"o7gw/o7s/qos"
)

func server() Config {
	c := Defaults()
	c.Name, c.Listen, c.Addresses = "srv", "vpn", pfx("10.77.0.1/24", "fd00:77::1/64")
	return c
}

func client(addr ...string) Config {
	c := Defaults()
	c.Name, c.Connect, c.Addresses = "cli", "vpn", pfx(addr...)
	return c
}

func TestClientAsksForQoS(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		n := newFakeNet(1400)
		s, _ := start(t, n, server())
		defer s.Close()
		cfg := client("10.77.0.2/24")
		cfg.QoS, cfg.Timeout = qos.Voice, 3*time.Second
		c, _ := start(t, n, cfg)
		defer c.Close()
		synctest.Wait()
		want := qos.Voice
		want.Timeout = 3000
		n.mu.Lock()
		defer n.mu.Unlock()
		if n.asked != want {
			t.Errorf("asked for %v", n.asked)
		}
	})
}

func TestServerRoutesBetweenClients(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		n := newFakeNet(1400)
		s, sd := start(t, n, server())
		defer s.Close()
		a, ad := start(t, n, client("10.77.0.2/24"))
		defer a.Close()
		cc := client("10.77.0.3/24")
		cc.Announce = pfx("192.168.3.0/24", "172.16.0.0/12")
		b, bd := start(t, n, cc)
		defer b.Close()
		sc := server()
		sc.Allow = pfx("10.77.0.0/24", "192.168.0.0/16")
		sc.Announce = pfx("10.77.0.0/24")
		s.Update(sc)
		time.Sleep(time.Second)
		synctest.Wait()

		send := func(d *fakeDevice, src, dst string) []byte {
			p := datagram(src, dst, 100, true)
			d.from <- p
			synctest.Wait()
			return p
		}
		check := func(name string, d *fakeDevice, want ...[]byte) {
			t.Helper()
			if got := d.take(); !slices.EqualFunc(got, want, bytes.Equal) {
				t.Errorf("%s: got %d packets %x, want %x", name, len(got), got, want)
			}
		}
		check("client to server", sd, send(ad, "10.77.0.2", "10.77.0.1"))
		check("server to a", ad, send(sd, "10.77.0.1", "10.77.0.2"))
		check("server to b", bd, send(sd, "10.77.0.1", "10.77.0.3"))
		check("server to network behind b", bd, send(sd, "10.77.0.1", "192.168.3.9"))
		check("network behind b to server", sd, send(bd, "192.168.3.9", "10.77.0.1"))
		// Not announced, not allowed, another's.
		send(ad, "192.168.3.9", "10.77.0.1")
		send(bd, "172.16.0.1", "10.77.0.1")
		send(ad, "10.77.0.3", "10.77.0.1")
		check("forged sources", sd)
		if !sd.routes[pfx("192.168.3.0/24")[0]] || len(sd.routes) != 1 {
			t.Errorf("kernel routes %v", sd.routes)
		}
		// Without relay a client reaches another through the server's kernel.
		p := send(ad, "10.77.0.2", "10.77.0.3")
		check("client to client", sd, p)
		sc.Relay = true
		s.Update(sc)
		synctest.Wait()
		send(ad, "10.77.0.2", "10.77.0.3")
		check("client to client, relayed: not to the kernel", sd)
		p[8]--
		p[10]++ // the checksum of a header with one hop less
		check("client to client, relayed", bd, p)
		st := s.Status()
		if len(st.Peers) != 2 || st.Peers[0].BadSource+st.Peers[1].BadSource != 3 {
			t.Errorf("%+v", st)
		}
		// A client that leaves takes its routes along.
		b.Close()
		synctest.Wait()
		if len(sd.routes) != 0 {
			t.Errorf("routes of a peer that is gone: %v", sd.routes)
		}
		// Totals keep what went through it.
		after := s.Status()
		if len(after.Peers) != 1 || after.Admitted != 2 || after.RxBytes != st.RxBytes || after.TxBytes != st.TxBytes ||
			after.RxPackets != st.Peers[0].RxPackets+st.Peers[1].RxPackets || after.TxPackets != st.Peers[0].TxPackets+st.Peers[1].TxPackets || after.RxPackets == 0 {
			t.Errorf("%+v, before %+v", after, st)
		}
		send(sd, "10.77.0.1", "10.77.0.3")
		if got := sd.take(); len(got) != 1 || got[0][20] != 3 || got[0][21] != 0 {
			t.Errorf("want destination unreachable, got %x", got)
		}
	})
}

func TestTooBigIsAnsweredOrFragmented(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		n := newFakeNet(1000)
		s, sd := start(t, n, server())
		defer s.Close()
		c, cd := start(t, n, client("10.77.0.2/24", "fd00:77::2/64"))
		defer c.Close()
		time.Sleep(time.Second)
		synctest.Wait()
		if cd.mtu != ip.MinMTU6 {
			t.Errorf("MTU %d, want that of IPv6", cd.mtu)
		}
		cd.from <- datagram("10.77.0.2", "10.77.0.1", 1200, true)
		synctest.Wait()
		if got := cd.take(); len(got) != 1 || got[0][20] != 3 || got[0][21] != 4 || int(got[0][26])<<8|int(got[0][27]) != 1000 {
			t.Errorf("IPv4: got %x", got)
		}
		cd.from <- datagram("fd00:77::2", "fd00:77::1", 1200, true)
		synctest.Wait()
		if got := cd.take(); len(got) != 1 || got[0][40] != 2 || int(got[0][46])<<8|int(got[0][47]) != 1000 {
			t.Errorf("IPv6: got %x", got)
		}
		if got := sd.take(); len(got) != 0 {
			t.Errorf("%d packets got through", len(got))
		}
		cd.from <- datagram("10.77.0.2", "10.77.0.1", 1200, false)
		synctest.Wait()
		if got := sd.take(); len(got) != 2 || len(got[0]) > 1000 || len(got[0])+len(got[1]) != 1220 {
			t.Errorf("%d fragments", len(got))
		}
	})
}

func TestPlainModeSendsOnlyIP(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		n := newFakeNet(1400)
		l, err := n.Listen(t.Context(), "vpn")
		if err != nil {
			t.Fatal(err)
		}
		cfg := client("10.77.0.2/24")
		cfg.Plain = true
		c, cd := start(t, n, cfg)
		defer c.Close()
		f, err := l.AcceptFlow(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		peer := &collector{}
		f.Receive(peer)
		time.Sleep(time.Minute)
		synctest.Wait()
		if len(peer.got) != 0 {
			t.Fatalf("an ovpn would get %x", peer.got)
		}
		out := datagram("10.77.0.2", "10.77.0.9", 200, true)
		cd.from <- out
		in := datagram("10.77.0.9", "10.77.0.2", 200, true)
		write(f, in)
		write(f, datagram("10.66.0.9", "10.77.0.2", 200, true)) // not in allow
		synctest.Wait()
		if len(peer.got) != 1 || !bytes.Equal(peer.got[0], out) {
			t.Errorf("sent %x", peer.got)
		}
		if got := cd.take(); len(got) != 1 || !bytes.Equal(got[0], in) {
			t.Errorf("received %x", got)
		}
	})
}

func TestReconnectsWithGrowingRandomPauses(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		n := newFakeNet(1400)
		n.fail = errors.New("no network")
		cfg := client("10.77.0.2/24")
		c, _ := start(t, n, cfg)
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		pauses := map[time.Duration]bool{}
		for i := 1; i < len(n.dials); i++ {
			d := n.dials[i].Sub(n.dials[i-1])
			limit := min(cfg.ReconnectMax, cfg.ReconnectMin<<min(i-1, 20))
			if d > limit {
				t.Errorf("pause %d is %v, limit %v", i, d, limit)
			}
			pauses[d] = true
		}
		if len(n.dials) < 20 || len(pauses) < len(n.dials)/2 {
			t.Errorf("%d attempts in ten minutes, %d different pauses", len(n.dials), len(pauses))
		}
		if st := c.Status(); st.Failures != len(n.dials) || st.LastError == "" {
			t.Errorf("status %+v after %d attempts", st, len(n.dials))
		}
		// The network comes up, a server with it; then the flow dies.
		n.mu.Lock()
		n.fail = nil
		n.mu.Unlock()
		s, _ := start(t, n, server())
		time.Sleep(cfg.ReconnectMax + time.Second)
		synctest.Wait()
		if st := c.Status(); len(st.Peers) != 1 || !st.Peers[0].Exchanged || st.LastError != "" || st.Failures != 0 {
			t.Fatalf("not connected: %+v", st)
		}
		first := n.last
		first.peer.Close()
		synctest.Wait()
		if st := c.Status(); len(st.Peers) != 0 {
			t.Errorf("peer outlives its flow: %+v", st)
		}
		time.Sleep(2*cfg.ReconnectMax + time.Second)
		synctest.Wait()
		if st := c.Status(); len(st.Peers) != 1 || n.last == first {
			t.Errorf("not connected again: %+v", st)
		}
		c.Close()
		s.Close()
	})
}

func TestPeerWithoutExchangeIsDropped(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		n := newFakeNet(1400)
		s, sd := start(t, n, server())
		defer s.Close()
		f, err := n.Dial(t.Context(), "vpn", qos.Raw)
		if err != nil {
			t.Fatal(err)
		}
		peer := &collector{}
		f.Receive(peer)
		for range 100 {
			write(f, datagram("10.77.0.2", "10.77.0.1", 100, true))
			write(f, []byte{controlMagic, 1, typeAnnounce})
			write(f, []byte{controlMagic, 9, 9, 9})
			write(f, []byte{0x45, 0})
		}
		synctest.Wait()
		if st := s.Status(); len(st.Peers) != 1 || st.Peers[0].BadSource != 100 || st.Peers[0].Malformed != 100 || st.Peers[0].BadControl != 200 {
			t.Errorf("%+v", st)
		}
		time.Sleep(exchangeLimit)
		synctest.Wait()
		if st := s.Status(); len(st.Peers) != 0 || len(sd.take()) != 0 {
			t.Errorf("%+v", st)
		}
	})
}

func TestServerLimitsPeers(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		n := newFakeNet(1400)
		cfg := server()
		cfg.MaxPeers = 2
		s, _ := start(t, n, cfg)
		defer s.Close()
		for range 5 {
			if _, err := n.Dial(t.Context(), "vpn", qos.Raw); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		if st := s.Status(); len(st.Peers) != 2 {
			t.Errorf("%d peers", len(st.Peers))
		}
	})
}

// A client that comes back while the server still holds its dead flow gets
// its address when the server has found that out.
func TestReturningPeerGetsPrefix(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		n := newFakeNet(1400)
		s, sd := start(t, n, server())
		defer s.Close()
		old, _ := start(t, n, client("10.77.0.2/24"))
		time.Sleep(time.Second)
		synctest.Wait()
		// The end of the old flow stays unnoticed.
		n.last.peer.mu.Lock()
		n.last.peer.closed = true
		n.last.peer.mu.Unlock()
		fresh, fd := start(t, n, client("10.77.0.2/24"))
		defer fresh.Close()
		time.Sleep(quiet + silentLimit + time.Second)
		synctest.Wait()
		p := datagram("10.77.0.1", "10.77.0.2", 100, true)
		sd.from <- p
		synctest.Wait()
		if got := fd.take(); len(got) != 1 || !bytes.Equal(got[0], p) {
			t.Errorf("got %x", got)
		}
		old.Close()
	})
}

// Nobody takes the address of a live peer, even one that has nothing to say.
func TestLivePeerKeepsPrefix(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		n := newFakeNet(1400)
		s, sd := start(t, n, server())
		defer s.Close()
		honest, hd := start(t, n, client("10.77.0.2/24"))
		defer honest.Close()
		time.Sleep(time.Second)
		thief, td := start(t, n, client("10.77.0.2/24"))
		defer thief.Close()
		for range 10 {
			time.Sleep(time.Second)
			synctest.Wait()
			p := datagram("10.77.0.1", "10.77.0.2", 100, true)
			sd.from <- p
			synctest.Wait()
			if got := hd.take(); len(got) != 1 || !bytes.Equal(got[0], p) {
				t.Errorf("the owner got %x", got)
			}
			if got := td.take(); len(got) != 0 {
				t.Errorf("the thief got %x", got)
			}
			td.from <- datagram("10.77.0.2", "10.77.0.1", 100, true)
			synctest.Wait()
			if got := sd.take(); len(got) != 0 {
				t.Errorf("the server took %x from the thief", got)
			}
		}
	})
}

func TestDataPathAllocatesNothing(t *testing.T) {
	tn := &Tunnel{cfg: &Config{Addresses: pfx("10.77.0.1/24")}}
	a, b := flowPair(1400)
	b.Receive(dropper{})
	d := newFakeDevice()
	tn.dev = d
	p := &peer{t: tn, flow: a, sink: dropper{}}
	p.mtu.Store(1400)
	p.prefixes = pfx("10.77.0.2/32")
	tn.peers = []*peer{p}
	tn.view.Store(tn.newView())
	o := &outbound{t: tn, sink: dropper{}}
	out, in := datagram("10.77.0.1", "10.77.0.2", 1400, true), datagram("10.77.0.2", "10.77.0.1", 1400, true)
	var batch [packet.BatchSize]*packet.Buffer
	run := func() {
		packet.GetBatch(batch[:], 1400)
		for _, b := range batch {
			b.Append(out)
		}
		o.carry(batch[:])
		packet.GetBatch(batch[:], 1400)
		for _, b := range batch {
			b.Append(in)
		}
		p.Packets(batch[:])
	}
	run()
	if n := testing.AllocsPerRun(100, run); n != 0 {
		t.Errorf("%v allocations per batch", n)
	}
	if p.tx.packets.Load() == 0 || p.rx.packets.Load() != p.tx.packets.Load() {
		t.Errorf("sent %d, received %d", p.tx.packets.Load(), p.rx.packets.Load())
	}
}

func TestIntersect(t *testing.T) {
	got := intersect(pfx("10.0.0.0/8", "192.168.1.0/24", "fd00::/16"), pfx("10.77.0.0/16", "192.168.0.0/16", "::/0"))
	if want := pfx("10.77.0.0/16", "192.168.1.0/24", "fd00::/16"); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	c := Config{Addresses: pfx("10.77.0.1/24")}
	if !c.isOwn(pfx("10.77.0.1/32")[0]) || c.isOwn(netip.MustParsePrefix("10.77.0.0/24")) {
		t.Error("own addresses")
	}
}
