// SPDX-License-Identifier: BSD-3-Clause

package capture

import (
	"encoding/binary"
	"time"

	"o7gw/o7s/layer"
)

// Kind is what runs on a flow.
type Kind uint8

const (
	// Raw: no CEP message at the beginning.
	Raw Kind = iota
	Enrollment
	Management
	DataTransfer
)

// String returns the name of the component as CEP messages have it.
func (k Kind) String() string {
	switch k {
	case Enrollment:
		return "Enrollment"
	case Management:
		return "Management"
	case DataTransfer:
		return "Data Transfer"
	}
	return "raw"
}

// Packet is a packet of a flow.
type Packet struct {
	Time          time.Time
	FromRequester bool
	Data          []byte
}

// Flow is a flow of a shim, from its request on. Endpoint ids are used again
// after a flow has ended, of which nothing is on the wire.
type Flow struct {
	Time                       time.Time // of the request
	Requester, Responder       string    // MAC or IPv4 address, the usual text
	RequesterEID, ResponderEID uint32
	Name                       layer.Hash // asked for, in the shim's hash algorithm
	Request, Reply             []byte     // piggybacks: OAP messages
	Response                   int32      // of the reply; 0: accepted
	Kind                       Kind
	Packets                    []Packet // in order, with CEP messages
}

// Flows puts the frames of shims (eth-dix of Ethertype 0xA000 with SHA3-256,
// udp4) together to flows, in order of their requests. Other frames are
// ignored. Byte slices are parts of the frames.
func Flows(frames []Frame) []*Flow {
	var flows []*Flow
	for _, f := range frames {
		p, ok := decode(f.Data)
		switch {
		case !ok:
		case p.eid != 0:
			if flow, fromRequester := find(flows, p); flow != nil {
				flow.Packets = append(flow.Packets, Packet{f.Time, fromRequester, p.data})
			}
		case p.code == codeRequest:
			flows = append(flows, &Flow{
				Time: f.Time, Requester: p.from, Responder: p.to, RequesterEID: p.requester,
				Name: layer.Hash(p.name), Request: p.data,
			})
		case p.code == codeReply:
			for i := len(flows) - 1; i >= 0; i-- {
				if c := flows[i]; c.Requester == p.to && c.Responder == p.from && c.RequesterEID == p.requester {
					c.ResponderEID, c.Reply, c.Response = p.responder, p.data, p.response
					break
				}
			}
		}
	}
	for _, f := range flows {
		f.Kind = Classify(f)
	}
	return flows
}

// find returns the last flow that the packet can be of.
func find(flows []*Flow, p shimPacket) (f *Flow, fromRequester bool) {
	for i := len(flows) - 1; i >= 0; i-- {
		f := flows[i]
		switch {
		case f.Requester == p.from && f.Responder == p.to && f.ResponderEID == p.eid:
			return f, true
		case f.Requester == p.to && f.Responder == p.from && f.RequesterEID == p.eid:
			return f, false
		}
	}
	return nil, false
}

// Classify tells from the CEP message of the requester, the first packet, what
// runs on the flow.
func Classify(f *Flow) Kind {
	if len(f.Packets) < 2 || !f.Packets[0].FromRequester || f.Packets[1].FromRequester {
		return Raw
	}
	b := f.Packets[0].Data
	if len(b) < 2 || b[0] != 0x0a || int(b[1]) > len(b)-2 { // field 1, bytes
		return Raw
	}
	for k := Enrollment; k <= DataTransfer; k++ {
		if string(b[2:2+b[1]]) == k.String() {
			return k
		}
	}
	return Raw
}

// CEP returns the CEP messages of requester and responder, nil if the flow
// has none.
func (f *Flow) CEP() (requester, responder []byte) {
	if f.Kind == Raw {
		return nil, nil
	}
	return f.Packets[0].Data, f.Packets[1].Data
}

// Payload returns the packets behind the CEP messages.
func (f *Flow) Payload() []Packet {
	if f.Kind == Raw {
		return f.Packets
	}
	return f.Packets[2:]
}

// PDU is a packet of a unicast layer with addresses of 4 bytes, taken apart
// (spec 20 §3.1).
type PDU struct {
	Packet
	Dst            uint64
	Cube, TTL, ECN uint8
	EID            uint64 // 0: flow allocator, 1: directory, others: user flows
	Payload        []byte
}

// PDUs takes the packets behind the CEP messages apart; those shorter than a
// header, as keepalives are, do not appear. Flows of other kinds than
// DataTransfer have none, and those of a broadcast layer have no header:
// use Payload.
func (f *Flow) PDUs() []PDU {
	const header = 15
	if f.Kind != DataTransfer {
		return nil
	}
	var pdus []PDU
	for _, p := range f.Payload() {
		b := p.Data
		if len(b) < header {
			continue
		}
		pdus = append(pdus, PDU{
			Packet: p,
			Dst:    uint64(binary.LittleEndian.Uint32(b)),
			Cube:   b[4], TTL: b[5], ECN: b[6],
			EID:     binary.LittleEndian.Uint64(b[7:]),
			Payload: b[header:],
		})
	}
	return pdus
}
