// SPDX-License-Identifier: BSD-3-Clause

package fa

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"o7gw/o7s/bubble"
	"o7gw/o7s/ipcp/capture"
	"o7gw/o7s/ipcp/unicast/ca"
	"o7gw/o7s/layer"
	"o7gw/o7s/packet"
	"o7gw/o7s/qos"
)

// recorded are the packets of a unicast layer on one link that concern flow
// allocation: messages, and user data.
type recorded struct {
	file    string
	hash    layer.HashAlgo
	pdus    []capture.PDU
	request request
	reply   reply
}

// load reads the one flow allocation that each recording has.
func load(t *testing.T, file string) recorded {
	t.Helper()
	r := recorded{file: file, hash: layer.SHA3_256}
	if strings.Contains(file, "sha384") {
		r.hash = layer.SHA3_384
	}
	flows, err := capture.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range flows {
		for _, p := range f.PDUs() {
			if p.EID == 1 {
				continue // directory
			}
			r.pdus = append(r.pdus, p)
			if p.EID != manageEID {
				continue
			}
			m, err := parse(p.Payload, r.hash.Size())
			if err != nil {
				t.Fatalf("%s: %v: % x", file, err, p.Payload)
			}
			if got := m.append(nil); !bytes.Equal(got, p.Payload) {
				t.Errorf("%s: encoded\n% x, captured\n% x", file, got, p.Payload)
			}
			switch m := m.(type) {
			case request:
				r.request = m
			case reply:
				r.reply = m
			default:
				t.Errorf("%s: %T", file, m)
			}
		}
	}
	return r
}

// files are the recordings of unicast layers.
func files() []string {
	var names []string
	for _, n := range capture.Names() {
		if strings.HasPrefix(n, "uni-") || strings.HasPrefix(n, "line-") {
			names = append(names, n)
		}
	}
	return names
}

func TestCapture(t *testing.T) {
	for _, c := range []struct {
		file                 string
		requester, responder uint64 // EIDs
		source               uint64
		qos                  qos.Spec
		data                 int // packets
	}{
		{"uni-udp4.pcap", 0xc947faee00000042, 0xb3e8211100000042, 1729891772, qos.Raw, 10},
		{"uni-dix.pcap", 0x1809b24200000042, 0x02415cab00000042, 3112245680, qos.Raw, 10},
		{"uni-dix-data.pcap", 0x4ddfa17000000042, 0xd04f4dbe00000042, 204872415, qos.Data, 30},
		{"uni-dix-sha384-ecmp-nocc.pcap", 0xb414cdca00000042, 0xb8676cd200000042, 4284409012, qos.Raw, 10},
		{"line-eth1.pcap", 0x6e8307e300000042, 0x3bc1288f00000042, 664248248, qos.Raw, 10},
		{"line-eth2.pcap", 0x6e8307e300000042, 0x3bc1288f00000042, 664248248, qos.Raw, 10},
	} {
		r := load(t, c.file)
		if q := r.request; q.eid != c.requester || q.source != c.source || q.qos != c.qos || q.dst != r.hash.Sum("op") || len(q.data) != 36 {
			t.Errorf("%s: request %+v", c.file, q)
		}
		if p := r.reply; p.eid != c.requester || p.peerEID != c.responder || p.response != 0 || len(p.data) < 84 {
			t.Errorf("%s: reply %+v", c.file, p)
		}
		data := 0
		for _, p := range r.pdus {
			switch p.EID {
			case c.requester, c.responder:
				data++
			case manageEID:
			default:
				t.Errorf("%s: endpoint %x", c.file, p.EID)
			}
		}
		if data < c.data {
			t.Errorf("%s: %d packets of data", c.file, data)
		}
	}
	if n := len(files()); n != 6 {
		t.Errorf("%d recordings", n)
	}
}

// The recorded requester is played against us: the allocation goes through with its
// endpoint, and what it sends arrives; the answer differs from the recorded one in
// nothing but the responder's endpoint.
func TestCaptureRequester(t *testing.T) {
	for _, file := range files() {
		t.Run(file, func(t *testing.T) {
			r := load(t, file)
			bubble.Test(t, func(t *testing.T) {
				n := newNetwork()
				n.members[r.request.source] = silent{}
				s := &server{data: r.reply.data}
				a := New(Config{
					Self: alice, Net: door{n, alice}, CA: ca.MBECN, HashLen: r.hash.Size(), Upper: s,
					Registered: func(h layer.Hash) bool { return h == r.hash.Sum("op") },
				})
				defer a.Close()
				var k sink
				var eid uint64
				sent := 0
				for _, p := range r.pdus {
					switch {
					case p.EID == manageEID && bytes.Equal(p.Payload, r.request.append(nil)):
						a.Manage(buffers(string(p.Payload)))
						time.Sleep(2 * replyDelay)
						m := n.messages(t, alice)
						if len(m) != 1 {
							t.Fatalf("answered %+v", m)
						}
						got, want := m[0].(reply), r.reply
						eid, got.peerEID, want.peerEID = got.peerEID, 0, 0
						if !bytes.Equal(got.append(nil), want.append(nil)) {
							t.Errorf("answered % x, recorded % x", got.append(nil), want.append(nil))
						}
						s.accepted()[0].Receive(&k)
					case p.EID == r.reply.peerEID:
						a.Deliver(eid, p.ECN, buffers(string(p.Payload)))
						sent++
						if got := k.packets(); len(got) != sent || got[sent-1] != string(p.Payload) {
							t.Errorf("packet %d did not arrive", sent)
						}
					case p.EID == r.request.eid:
						s.accepted()[0].Send(buffers(string(p.Payload)))
						all := n.parcels(alice)
						if last := all[len(all)-1]; last.eid != r.request.eid || !bytes.Equal(last.data, p.Payload) {
							t.Errorf("sent %+v", last)
						}
					}
				}
				if sent == 0 {
					t.Error("nothing was sent")
				}
			})
		})
	}
}

// recordedResponder answers the request that the recording has, word for word,
// and echoes data as recorded.
type recordedResponder struct {
	door
	r   recorded
	eid uint64 // of the requester
	got [][]byte
}

func (c *recordedResponder) Manage(pkts []*packet.Buffer) {
	for _, b := range pkts {
		c.got = append(c.got, bytes.Clone(b.Bytes()))
		m, err := parse(b.Bytes(), c.r.hash.Size())
		b.Release()
		if q, ok := m.(request); ok && err == nil {
			c.eid = q.eid
			answer := c.r.reply
			answer.eid = q.eid // it only echoes
			c.Send(q.source, manageEID, buffers(string(answer.append(nil))))
		}
	}
}

func (c *recordedResponder) Deliver(eid uint64, ecn uint8, pkts []*packet.Buffer) {
	for _, b := range pkts {
		if eid == c.r.reply.peerEID {
			c.got = append(c.got, bytes.Clone(b.Bytes()))
		}
		b.Release()
	}
}

// We take the part of the recorded requester: our request differs from the recorded
// one in nothing but address and endpoint, and the recorded reply makes the flow.
func TestCaptureResponder(t *testing.T) {
	for _, file := range files() {
		t.Run(file, func(t *testing.T) {
			r := load(t, file)
			bubble.Test(t, func(t *testing.T) {
				n := newNetwork()
				c := &recordedResponder{door: door{n, bob}, r: r}
				n.members[bob] = c
				a := New(Config{Self: r.request.source, Net: door{n, r.request.source}, CA: ca.MBECN, HashLen: r.hash.Size()})
				defer a.Close()
				n.members[r.request.source] = a
				port, data, err := a.Allocate(t.Context(), bob, r.hash.Sum("op"), r.request.qos, r.request.data)
				if err != nil || !bytes.Equal(data, r.reply.data) {
					t.Fatalf("%x, %v", data, err)
				}
				want := r.request
				want.eid = c.eid
				if !bytes.Equal(c.got[0], want.append(nil)) {
					t.Errorf("asked\n% x, recorded\n% x", c.got[0], want.append(nil))
				}
				var k sink
				port.Receive(&k)
				sent, received := 1, 0
				for _, p := range r.pdus {
					switch p.EID {
					case r.reply.peerEID:
						port.Send(buffers(string(p.Payload)))
						if sent++; len(c.got) != sent || !bytes.Equal(c.got[sent-1], p.Payload) {
							t.Errorf("packet %d did not arrive", sent)
						}
					case r.request.eid:
						a.Deliver(c.eid, p.ECN, buffers(string(p.Payload)))
						if received++; len(k.packets()) != received {
							t.Errorf("packet %d was not received", received)
						}
					}
				}
				if sent == 1 || received == 0 {
					t.Errorf("%d packets sent, %d received", sent-1, received)
				}
			})
		})
	}
}
