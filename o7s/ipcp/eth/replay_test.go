// SPDX-License-Identifier: BSD-3-Clause

package eth

import (
	"bytes"
	"testing"
	"time"

	"o7gw/o7s/ipcp"
	"o7gw/o7s/layer"
	"o7gw/o7s/qos"
)

// session is a capture and how its layer was configured.
type session struct {
	file string
	typ  ipcp.Type
	f    framing
	hash layer.HashAlgo
}

func (s session) config(cfg *ipcp.Config) { cfg.Hash, cfg.Eth.Ethertype = s.hash, s.f.ethertype }

// sessions are the captures that are played against our IPC processes.
var sessions = []session{
	{"eth-dix.pcap", ipcp.EthDIX, dix, layer.SHA3_256},
	{"eth-llc.pcap", ipcp.EthLLC, llc, layer.SHA3_256},
	{"eth-dix-sha3-224.pcap", ipcp.EthDIX, framing{ethertype: 0xA007}, layer.SHA3_224},
}

// between returns a captured frame with the addresses of this test.
func between(frame []byte, to, from mac) []byte {
	b := bytes.Clone(frame)
	if mac(b[:6]) != broadcast {
		copy(b, to[:])
	}
	copy(b[6:], from[:])
	return b
}

// The recorded C client asks, and our server answers as the C server did, but
// for the endpoint, which is of its own choice.
func TestReplayedClient(t *testing.T) {
	for _, s := range sessions {
		t.Run(s.file, func(t *testing.T) {
			all := frames(t, s.f, s.file)
			w := newWire(t, 1500)
			var answer []byte // the C server's piggyback
			for _, frame := range all {
				if _, _, m := parse(t, s.f, frame, s.hash.Size()); m != nil {
					if r, ok := m.(reply); ok {
						answer = r.data
					}
				}
			}
			ports := make(chan layer.Port, 1)
			server := w.start(t, 1, s.typ, &upper{func(r *layer.Request) {
				p, err := r.Accept(answer)
				if err != nil {
					t.Error(err)
				}
				ports <- p
			}}, s.config)
			must(t, server.Register(t.Context(), s.hash.Sum("op")))
			c := w.dial(t, 0, s.f, server)
			client, _, _ := parse(t, s.f, all[0], s.hash.Size())
			first, _ := s.f.ids()
			var port layer.Port
			var in *sink
			var eid uint16
			got, data := 0, 0
			for _, frame := range all {
				d, payload, m := parse(t, s.f, frame, s.hash.Size())
				fromClient := d.from == client.from
				switch {
				case m == nil && fromClient:
					data++
					c.data(eid, first, payload)
					if p := in.packets(t, data); !bytes.Equal(p[data-1], payload) {
						t.Errorf("received % x", p[data-1])
					}
				case m == nil:
					got++
					port.Send(buffers(payload))
					want := between(frame, c.self, c.to)
					if s.f.llc { // the last of the two endpoints is ours
						want = build(s.f, c.self, c.to, first, eid, payload)
					}
					if b := c.recv(); !bytes.Equal(b, want) {
						t.Errorf("sent\n% x, captured\n% x", b, want)
					}
				case fromClient:
					c.raw(between(frame, c.to, c.self))
				default:
					b := c.recv()
					_, _, ours := parse(t, s.f, b, s.hash.Size())
					if r, ok := ours.(reply); ok {
						eid = r.peerEID
						r.peerEID = first
						ours = r
						port = <-ports
						in = newSink(port)
					}
					if again := buildMessage(s.f, c.self, c.to, ours); !bytes.Equal(again, between(frame, c.self, c.to)) {
						t.Errorf("answered\n% x, captured\n% x", again, frame)
					}
				}
			}
			if data == 0 || data != got {
				t.Errorf("%d packets came, %d went", data, got)
			}
		})
	}
}

// Our client asks, and the recorded C server answers.
func TestReplayedServer(t *testing.T) {
	for _, s := range sessions {
		t.Run(s.file, func(t *testing.T) {
			all := frames(t, s.f, s.file)
			w := newWire(t, 1500)
			client := w.start(t, 0, s.typ, noUpper, s.config)
			c := w.dial(t, 1, s.f, client)
			first, _ := s.f.ids()
			_, _, m := parse(t, s.f, all[2], s.hash.Size())
			asked := m.(request)
			done := make(chan layer.Port, 1)
			go func() {
				ctx := within(t, 5*time.Second)
				if err := client.Query(ctx, s.hash.Sum("op")); err != nil {
					t.Error(err)
				}
				p, _, err := client.Allocate(ctx, s.hash.Sum("op"), qos.Raw, asked.data)
				if err != nil {
					t.Error(err)
				}
				done <- p
			}()
			var port layer.Port
			var in *sink
			var eid uint16
			data := 0
			them, _, _ := parse(t, s.f, all[0], s.hash.Size())
			for _, frame := range all {
				d, payload, m := parse(t, s.f, frame, s.hash.Size())
				switch fromClient := d.from == them.from; {
				case m == nil && fromClient:
					port.Send(buffers(payload))
					want := build(s.f, c.self, c.to, first, map[bool]uint16{true: eid}[s.f.llc], payload)
					if b := c.recv(); !bytes.Equal(b, want) {
						t.Errorf("sent\n% x, captured\n% x", b, want)
					}
				case m == nil:
					data++
					c.data(eid, first, payload)
					if p := in.packets(t, data); !bytes.Equal(p[data-1], payload) {
						t.Errorf("received % x", p[data-1])
					}
				case fromClient:
					_, _, ours := parse(t, s.f, c.recv(), s.hash.Size())
					if r, ok := ours.(request); ok {
						eid = r.eid
						r.eid = first
						ours = r
					}
					to := c.self
					if d.to == broadcast {
						to = broadcast
					}
					if again := buildMessage(s.f, to, c.to, ours); !bytes.Equal(again, between(frame, c.self, c.to)) {
						t.Errorf("asked\n% x, captured\n% x", again, frame)
					}
				default:
					if r, ok := m.(reply); ok {
						r.eid = eid
						m = r
					}
					c.raw(buildMessage(s.f, c.to, c.self, m))
					if _, ok := m.(reply); ok {
						if port = <-done; port == nil {
							t.FailNow()
						}
						in = newSink(port)
					}
				}
			}
			if data == 0 {
				t.Error("no packet came")
			}
		})
	}
}
