// SPDX-License-Identifier: BSD-3-Clause

package netstack

import (
	"encoding/binary"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"o7gw/o7s/packet"
)

// OffloadWriter is a Writer that leaves the checksums of TCP, and the splitting
// of large segments, to the kernel. Its packets have a struct virtio_net_hdr
// in front, VnetLen bytes in the byte order of the machine. *tun.Writer is one.
type OffloadWriter interface {
	Writer
	// WriteOffloaded is like Write.
	WriteOffloaded(pkts []*packet.Buffer)
}

// VnetLen is the length of a struct virtio_net_hdr, bytes.
const VnetLen = 10

// Values of struct virtio_net_hdr (virtio 1.2, §5.1.6).
const (
	vnetNeedsChecksum = 1
	vnetTCP4          = 1
	vnetTCP6          = 4
)

// largest is the largest TCP segment, bytes, that is left to the kernel to be
// split.
const largest = 65535

// offloadLink is a link whose device makes checksums and splits segments.
type offloadLink struct{ *link }

var _ stack.GSOEndpoint = offloadLink{}

func (l offloadLink) Capabilities() stack.LinkEndpointCapabilities {
	return l.link.Capabilities() | stack.CapabilityTXChecksumOffload
}

func (offloadLink) GSOMaxSize() uint32               { return largest }
func (offloadLink) SupportedGSO() stack.SupportedGSO { return stack.HostGSOSupported }

// WritePackets sends packets of the stack, like link's.
func (l offloadLink) WritePackets(list stack.PacketBufferList) (int, tcpip.Error) {
	return l.writePackets(list, offload)
}

// offload puts a virtio_net_hdr in front of a TCP packet, and the sum of the
// pseudo header into it.
func offload(b *packet.Buffer, pkt *stack.PacketBuffer) (offloaded bool) {
	if pkt.TransportProtocolNumber != header.TCPProtocolNumber {
		return false
	}
	ip, tcp := len(pkt.NetworkHeader().Slice()), len(pkt.TransportHeader().Slice())
	p := b.Bytes()
	n := len(p) - ip
	var start uint64
	gso := byte(vnetTCP4)
	if p[0]>>4 == 6 {
		gso = vnetTCP6
		start = sum(p[8:40], uint64(protoTCP)+uint64(n))
	} else {
		start = sum(p[12:20], uint64(protoTCP)+uint64(n))
	}
	binary.BigEndian.PutUint16(p[ip+header.TCPChecksumOffset:], fold(start))
	h := b.Prepend(VnetLen)
	clear(h)
	h[0] = vnetNeedsChecksum
	if mss := pkt.GSOOptions.MSS; pkt.GSOOptions.Type != stack.GSONone && n-tcp > int(mss) {
		h[1] = gso
		binary.NativeEndian.PutUint16(h[2:], uint16(ip+tcp))
		binary.NativeEndian.PutUint16(h[4:], mss)
	}
	binary.NativeEndian.PutUint16(h[6:], uint16(ip))
	binary.NativeEndian.PutUint16(h[8:], header.TCPChecksumOffset)
	return true
}
