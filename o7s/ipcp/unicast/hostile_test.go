// SPDX-License-Identifier: BSD-3-Clause

package unicast_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"o7gw/o7s/bubble"
	"o7gw/o7s/ipcp"
	"o7gw/o7s/ipcp/cep"
	"o7gw/o7s/ipcp/unicast/addr"
	"o7gw/o7s/irm"
	"o7gw/o7s/layer"
	"o7gw/o7s/packet"
	"o7gw/o7s/qos"
)

// intruder is a flow to a member, made by a program that is none and speaks its
// protocols by hand.
type intruder struct {
	f *irm.Flow

	mu  sync.Mutex
	got [][]byte
}

func (i *intruder) Packets(pkts []*packet.Buffer) {
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, b := range pkts {
		if b.Len() > 0 && len(i.got) < 4096 {
			i.got = append(i.got, append([]byte(nil), b.Bytes()...))
		}
		b.Release()
	}
}

func (i *intruder) Event(layer.Event) {}

func (i *intruder) received() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return len(i.got)
}

func (i *intruder) send(msgs ...[]byte) {
	for len(msgs) > 0 {
		n := min(len(msgs), packet.BatchSize)
		pkts := make([]*packet.Buffer, n)
		for k, m := range msgs[:n] {
			pkts[k] = packet.Get(len(m))
			pkts[k].Append(m)
		}
		i.f.Port().Send(pkts)
		msgs = msgs[n:]
	}
}

// intrude opens a flow to the member on host j.
func (n *node) intrude(j int) (*intruder, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	f, err := n.app.Alloc(ctx, fmt.Sprintf("u%d", j), qos.Raw)
	if err != nil {
		return nil, err
	}
	i := &intruder{f: f}
	f.Port().Receive(i)
	return i, nil
}

// pose opens one and says that it is a component of a member with the address.
func (n *node) pose(j int, component string, address uint64) (*intruder, error) {
	i, err := n.intrude(j)
	if err != nil {
		return nil, err
	}
	i.send(hello(component, address).Append(nil))
	return i, nil
}

func hello(component string, address uint64) cep.Info {
	i := cep.Info{Component: component, Version: 1, Address: address, Ours: true, Caps: cep.CapLSBatch | cep.CapWithdraw}
	switch component {
	case cep.Management:
		i.Protocol = "LSP"
	case cep.DataTransfer:
		i.Protocol, i.Syntax = "dtp", 2
	case cep.Enrollment:
		i.Protocol, i.Address = "OEP", 0
	}
	return i
}

// star makes a layer of a member on host 0, with cables to others.
func star(t *testing.T, seed uint64, hosts int) *world {
	w := newWorld(t, seed, hosts)
	for i := 1; i < hosts; i++ {
		w.cable(0, i, cable100)
	}
	w.nodes[0].bootstrap(ipcp.UnicastConfig{})
	return w
}

// addressOf returns the address of a host's member.
func addressOf(n *node) uint64 {
	items, err := n.irm.RIB().List(n.name())
	if err != nil {
		n.w.t.Fatal(err)
	}
	for _, i := range items {
		if s, ok := strings.CutPrefix(i.Name, "dt."); ok {
			a, err := addr.Parse(s)
			if err != nil {
				n.w.t.Fatal(err)
			}
			return a
		}
	}
	n.w.t.Fatalf("host %d has no address", n.num)
	return 0
}

// TestSilentFlood: who opens flows and says nothing keeps nobody out.
func TestSilentFlood(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		w := star(t, 20, 3)
		defer w.close()
		w.nodes[0].serve("echo")
		stop := make(chan struct{})
		var flood sync.WaitGroup
		for range 2 {
			flood.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
					}
					if _, err := w.nodes[1].intrude(0); err != nil {
						time.Sleep(time.Millisecond)
					}
				}
			})
		}
		time.Sleep(500 * time.Millisecond)
		t.Log(len(w.nodes[0].irm.ListFlows()), "flows")
		w.nodes[2].enroll(0)
		w.nodes[2].reaches(5*time.Second, "echo")
		close(stop)
		flood.Wait()
	})
}

// foe is an intruder that is a neighbour of the member on host 0, in a layer of
// that and of hosts 2 and 3.
type foe struct {
	w        *world
	dt, mgmt *intruder
	self     uint64
	victim   uint64 // address of host 0
	hash     layer.Hash
}

// besiege makes such a layer. "echo" is served on host 3; the flow from host 2 to
// it works.
func besiege(t *testing.T, seed uint64) (*foe, *client) {
	w := star(t, seed, 4)
	w.nodes[2].enroll(0)
	w.nodes[3].enroll(0)
	w.nodes[3].serve("echo")
	w.nodes[2].reaches(5*time.Second, "echo")
	c := w.nodes[2].mustDial("echo")
	f := &foe{w: w, self: 0x666, hash: layer.SHA3_256.Sum("echo")}
	var err error
	if f.mgmt, err = w.nodes[1].pose(0, cep.Management, f.self); err == nil {
		f.dt, err = w.nodes[1].pose(0, cep.DataTransfer, f.self)
	}
	if err != nil {
		t.Fatal(err)
	}
	w.eventually(time.Second, "the intruder is a neighbour", func() bool { return f.dt.received() > 0 && f.mgmt.received() > 0 })
	peer, err := cep.Parse(f.dt.got[0])
	if err != nil {
		t.Fatal(err)
	}
	f.victim = peer.Address
	f.mgmt.send(f.lsa(f.victim, f.self, 1, false))
	return f, c
}

func (f *foe) lsa(dst, src, seqno uint64, gone bool) []byte {
	b := binary.BigEndian.AppendUint64(nil, dst)
	b = binary.BigEndian.AppendUint64(b, src)
	b = binary.BigEndian.AppendUint64(b, seqno)
	if gone {
		b = append(b, "o7s-wdr1"...)
	}
	return b
}

// pdu is a packet of the layer.
func (f *foe) pdu(dst, eid uint64, ttl uint8, payload []byte) []byte {
	b := binary.LittleEndian.AppendUint32(nil, uint32(dst))
	b = append(b, 0, ttl, 0)
	b = binary.LittleEndian.AppendUint64(b, eid)
	return append(b, payload...)
}

// flood sends messages at a rate that the cable carries.
func (f *foe) flood(i *intruder, n int, msg func(i int) []byte) {
	for sent := 0; sent < n; {
		var batch [][]byte
		for ; sent < n && len(batch) < 64; sent++ {
			batch = append(batch, msg(sent))
		}
		i.send(batch...)
		time.Sleep(time.Millisecond)
	}
}

// allocMessage is a message of the flow allocator.
func allocMessage(code byte, source, receiver, sender uint64, rest []byte) []byte {
	b := binary.BigEndian.AppendUint64(nil, source)
	b = binary.BigEndian.AppendUint64(b, receiver)
	b = binary.BigEndian.AppendUint64(b, sender)
	b = append(b, make([]byte, 61-len(b))...)
	b[58] = code
	return append(b, rest...)
}

// directoryMessage is a message of the directory: a STORE, or a request.
func (f *foe) directoryMessage(code, source uint64, id, key []byte, value uint64) []byte {
	contact := protowire.AppendTag(nil, 1, protowire.BytesType)
	contact = protowire.AppendBytes(contact, id)
	contact = protowire.AppendTag(contact, 2, protowire.VarintType)
	contact = protowire.AppendVarint(contact, source)
	b := protowire.AppendTag(nil, 1, protowire.VarintType)
	b = protowire.AppendVarint(b, code)
	b = protowire.AppendTag(b, 2, protowire.BytesType)
	b = protowire.AppendBytes(b, contact)
	var body []byte
	if code == 0 {
		body = protowire.AppendTag(nil, 1, protowire.BytesType)
		body = protowire.AppendBytes(body, key)
		body = protowire.AppendTag(body, 2, protowire.BytesType)
		body = protowire.AppendBytes(body, binary.BigEndian.AppendUint64(nil, value))
		body = protowire.AppendTag(body, 3, protowire.VarintType)
		body = protowire.AppendVarint(body, uint64(time.Now().Unix()+86400))
		b = protowire.AppendTag(b, 3, protowire.BytesType)
		return protowire.AppendBytes(b, body)
	}
	body = protowire.AppendTag(nil, 1, protowire.VarintType)
	body = protowire.AppendVarint(body, value|1)
	body = protowire.AppendTag(body, 2, protowire.BytesType)
	body = protowire.AppendBytes(body, key)
	b = protowire.AppendTag(b, 4, protowire.BytesType)
	return protowire.AppendBytes(b, body)
}

// TestHostileNeighbour: whatever a neighbour sends, the members go on.
func TestHostileNeighbour(t *testing.T) {
	for name, attack := range map[string]func(f *foe, r *rand.Rand){
		"short packets": func(f *foe, r *rand.Rand) {
			for n := range 64 {
				p := f.pdu(f.victim, 0, 60, make([]byte, 64))[:n]
				f.dt.send(p, p)
				f.mgmt.send(p)
			}
		},
		"headers": func(f *foe, r *rand.Rand) {
			to := []uint64{0, f.self, f.victim, 1<<32 - 1, r.Uint64()}
			eids := []uint64{0, 1, 2, 63, 64, 1<<64 - 1, r.Uint64(), 1 << 31, 4095, 1<<32 - 1}
			f.flood(f.dt, 5000, func(i int) []byte {
				p := f.pdu(to[r.IntN(len(to))], eids[r.IntN(len(eids))], uint8(r.Uint32()), make([]byte, r.IntN(100)))
				p[4], p[6] = uint8(r.Uint32()), uint8(r.Uint32())
				return p
			})
		},
		"flow requests": func(f *foe, r *rand.Rand) {
			f.flood(f.dt, 20000, func(i int) []byte {
				hash := []byte(f.hash)
				if i%2 == 0 {
					hash = make([]byte, 32)
				}
				return f.pdu(f.victim, 0, 60, allocMessage(0, r.Uint64()>>(r.Uint32()%64), 0, r.Uint64(), append(hash, make([]byte, r.IntN(200))...)))
			})
		},
		"flow messages": func(f *foe, r *rand.Rand) {
			eids := []uint64{0, 64, 65, 1<<64 - 1, r.Uint64(), f.self}
			f.flood(f.dt, 10000, func(i int) []byte {
				eid := func() uint64 { return eids[r.IntN(len(eids))] }
				return f.pdu(f.victim, 0, 60, allocMessage(byte(1+r.IntN(4)), f.victim, eid(), eid(), nil))
			})
		},
		"look-ups and values": func(f *foe, r *rand.Rand) {
			f.flood(f.dt, 10000, func(i int) []byte {
				id, key := make([]byte, 32), make([]byte, 32)
				binary.BigEndian.PutUint64(id, r.Uint64())
				binary.BigEndian.PutUint64(key, r.Uint64())
				return f.pdu(f.victim, 1, 60, f.directoryMessage(uint64(r.IntN(6)), uint64(r.Uint32()), id, key, uint64(r.Uint32())))
			})
		},
		"poisoned name": func(f *foe, r *rand.Rand) {
			// Every member is told that others serve the name, who do not exist.
			time.Sleep(5 * time.Second) // the server has published it twice
			id := make([]byte, 32)
			id[0] = 1
			for _, to := range []uint64{f.victim, addressOf(f.w.nodes[2]), addressOf(f.w.nodes[3])} {
				f.flood(f.dt, 64, func(i int) []byte {
					return f.pdu(to, 1, 60, f.directoryMessage(0, f.self, id, []byte(f.hash), uint64(1000+i)))
				})
			}
			time.Sleep(15 * time.Second) // until nothing is cached
		},
		"links of others": func(f *foe, r *rand.Rand) {
			a := []uint64{f.victim, f.self, addressOf(f.w.nodes[2]), addressOf(f.w.nodes[3]), 1, 1 << 40}
			f.flood(f.mgmt, 2000, func(i int) []byte {
				return f.lsa(a[r.IntN(len(a))], a[r.IntN(len(a))], 100+r.Uint64N(100), r.IntN(2) == 0)
			})
		},
		"large layer that comes and goes": func(f *foe, r *rand.Rand) {
			f.flood(f.mgmt, 120, func(i int) (b []byte) { // 2880 members
				for k := range uint64(24) {
					a := uint64(i)*24 + k + 1000
					b = append(b, f.lsa(a, f.self, 1, false)...)
					b = append(b, f.lsa(f.self, a, 1, false)...)
				}
				return b
			})
			for i := range uint64(20) {
				f.mgmt.send(f.lsa(f.victim, f.self, 2+i, i%2 == 0))
				time.Sleep(110 * time.Millisecond)
			}
		},
		"connections": func(f *foe, r *rand.Rand) {
			for i := range 200 {
				for _, c := range []string{cep.Management, cep.DataTransfer, cep.Enrollment} {
					f.w.nodes[1].pose(0, c, uint64(1+i))
				}
			}
		},
		"connections that end": func(f *foe, r *rand.Rand) {
			for i := range 200 {
				for _, c := range []string{cep.Management, cep.DataTransfer} {
					if x, err := f.w.nodes[1].pose(0, c, uint64(1+i)); err == nil {
						time.Sleep(time.Millisecond)
						x.f.Dealloc()
					}
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				f, c := besiege(t, 22)
				defer f.w.close()
				attack(f, rand.New(rand.NewPCG(22, 1)))
				if !c.echoed(3) {
					t.Error("no echo on the flow that there was")
				}
				f.w.nodes[2].reaches(10*time.Second, "echo")
				f.w.nodes[2].disconnect(0)
				f.w.nodes[2].connect(0)
				f.w.nodes[2].reaches(10*time.Second, "echo")
				if c.saw(layer.Closed) {
					t.Error("the flow that there was has ended")
				}
			})
		})
	}
}
