// SPDX-License-Identifier: BSD-3-Clause

package netstack

import (
	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"o7gw/o7s/packet"
)

// readBatch is how many buffers a read of the device needs.
const readBatch = packet.BatchSize

// read carries batches from the device until that is closed.
func (s *Stack) read() {
	bufs := make([]*packet.Buffer, readBatch)
	room := s.cfg.Device.Room()
	packet.GetBatch(bufs, room)
	defer func() { packet.ReleaseBatch(bufs) }()
	for !s.closed.Load() {
		if err := s.cfg.Device.Wait(); err != nil {
			return
		}
		if r := s.cfg.Device.Room(); r > room {
			room = r
			packet.ReleaseBatch(bufs)
			packet.GetBatch(bufs, room)
		}
		n, err := s.cfg.Device.Read(bufs)
		if err != nil {
			return
		}
		s.input(bufs[:n])
		packet.GetBatch(bufs[:n], room)
	}
}

// input takes a batch of packets; it takes the buffers.
func (s *Stack) input(pkts []*packet.Buffer) {
	for _, b := range pkts {
		s.rxPackets.Add(1)
		s.rxBytes.Add(uint64(b.Len()))
		s.one(b)
	}
	if len(s.datagrams) > 0 {
		s.cfg.UDP(s.datagrams)
		clear(s.datagrams)
		s.datagrams = s.datagrams[:0]
	}
}

// one takes one packet.
func (s *Stack) one(b *packet.Buffer) {
	p := b.Bytes()
	h, ok := parseIP(p)
	if !ok {
		s.malformed.Add(1)
		b.Release()
		return
	}
	switch {
	case h.proto == protoTCP || h.fragment || h.proto == extension:
		s.deliver(&h, p[:h.total])
		b.Release()
	case h.proto == protoUDP:
		b.SetLen(h.total)
		s.datagram(&h, b)
	case h.proto == protoICMP4 || h.proto == protoICMP6:
		s.icmpIn(&h, p[:h.total])
		b.Release()
	default:
		s.unhandled.Add(1)
		s.unreachable(p[:h.total], protocolUnreachable)
		b.Release()
	}
}

// deliver gives a packet to gVisor, which copies it.
func (s *Stack) deliver(h *ipHeader, p []byte) {
	pkt := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: buffer.MakeWithData(p)})
	proto := tcpip.NetworkProtocolNumber(header.IPv4ProtocolNumber)
	if h.v6 {
		proto = header.IPv6ProtocolNumber
	}
	s.link.deliver(proto, pkt)
	pkt.DecRef()
}
