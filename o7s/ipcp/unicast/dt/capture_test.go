// SPDX-License-Identifier: BSD-3-Clause

package dt

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"o7gw/o7s/ipcp/capture"
	"o7gw/o7s/ipcp/unicast/pff"
)

// Members of the recorded line A-B-C.
const (
	memberA = 0x7ffbb871
	memberB = 0x574d5d29
	memberC = 0x27979fb8
)

// recorded returns the packets of the Data Transfer connection of a recording.
func recorded(t *testing.T, name string) []capture.PDU {
	t.Helper()
	flows, err := capture.Load(name)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range flows {
		if f.Kind == capture.DataTransfer {
			return f.PDUs()
		}
	}
	t.Fatalf("%s has no Data Transfer connection", name)
	return nil
}

// unicastRecordings are those of unicast layers.
func unicastRecordings() []string {
	return slices.DeleteFunc(capture.Names(), func(n string) bool { return strings.HasPrefix(n, "bc-") })
}

// Every recorded header is understood and written again alike; a packet that is
// fresh is what Send makes of its payload.
func TestCapture(t *testing.T) {
	want := map[string]int{
		"line-eth1.pcap": 19, "line-eth2.pcap": 20, "uni-dix-data.pcap": 37, "uni-dix-sha384-ecmp-nocc.pcap": 17,
		"uni-dix.pcap": 17, "uni-udp4.pcap": 17,
	}
	for _, name := range unicastRecordings() {
		ttl := 60
		if strings.Contains(name, "sha384") {
			ttl = 16
		}
		fresh := 0
		n := newNode(t, func(c *Config) { c.MaxTTL = ttl })
		pdus := recorded(t, name)
		for _, p := range pdus {
			h, ok := Format(4).Parse(p.Data)
			if !ok || h != (Header{p.Dst, p.Cube, p.TTL, p.ECN, p.EID}) {
				t.Errorf("%s: parsed %+v from % x", name, h, p.Data)
			}
			again := make([]byte, 15)
			if Format(4).Put(again, h); !bytes.Equal(again, p.Data[:15]) {
				t.Errorf("%s: % x became % x", name, p.Data[:15], again)
			}
			if int(p.TTL) != ttl {
				continue
			}
			fresh++
			n.Table().Set([]pff.Route[*Neighbour]{{Dst: p.Dst, Hops: []*Neighbour{n.toRight}}})
			if err := n.Send(p.Dst, p.EID, buffers(p.Payload)); err != nil {
				t.Error(err)
			} else if sent := n.right.sent[len(n.right.sent)-1]; !bytes.Equal(sent, p.Data) {
				t.Errorf("%s: sent\n% x, captured\n% x", name, sent, p.Data)
			}
		}
		if len(pdus) != want[name] || fresh == 0 {
			t.Errorf("%s: %d packets, want %d; %d of them fresh", name, len(pdus), want[name], fresh)
		}
	}
}

// Our forwarder in the place of B, between the recorded A and C: what it is sent on
// one link it sends on the other, byte by byte and in order, as B did. What is
// for B arrives.
func TestCaptureForward(t *testing.T) {
	// B's ports: to A, where B asked for the flow, and to C, which did.
	pdus1, pdus2 := recorded(t, "line-eth1.pcap"), recorded(t, "line-eth2.pcap")
	n := newNode(t, func(c *Config) { c.Self = memberB })
	n.Table().Set([]pff.Route[*Neighbour]{{Dst: memberA, Hops: []*Neighbour{n.toLeft}}, {Dst: memberC, Hops: []*Neighbour{n.toRight}}})
	var toA, toC [][]byte // B forwarded
	forB := 0
	take := func(in *port, fromB bool, p capture.PDU, out *[][]byte) {
		switch {
		case !fromB:
			in.come(p.Data)
			if p.Dst == memberB {
				forB++
			}
		case p.TTL == 59:
			*out = append(*out, p.Data)
		}
	}
	for _, p := range pdus1 {
		take(n.left, p.FromRequester, p, &toA)
	}
	for _, p := range pdus2 {
		take(n.right, !p.FromRequester, p, &toC)
	}
	if got := len(toA) + len(toC); got != 14 {
		t.Errorf("%d packets were forwarded, want 14", got)
	}
	equal(t, "to A", n.left.sent, toA)
	equal(t, "to C", n.right.sent, toC)
	arrived := 0
	for _, r := range n.runs {
		if r.eid > 1 {
			t.Errorf("a packet for flow %x of B", r.eid)
		}
		arrived++
	}
	if arrived != forB || forB == 0 {
		t.Errorf("%d packets arrived at B, want %d", arrived, forB)
	}
}
