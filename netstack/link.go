// SPDX-License-Identifier: BSD-3-Clause

package netstack

import (
	"sync/atomic"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"o7gw/o7s/packet"
)

// link is gVisor's view of the device.
type link struct {
	mtu uint32
	out *output
	to  atomic.Pointer[stack.NetworkDispatcher]
}

var _ stack.LinkEndpoint = (*link)(nil)

// deliver gives a packet to the stack.
func (l *link) deliver(proto tcpip.NetworkProtocolNumber, pkt *stack.PacketBuffer) {
	if d := l.to.Load(); d != nil {
		(*d).DeliverNetworkPacket(proto, pkt)
	}
}

// WritePackets sends packets of the stack. It waits while the device is
// behind: the sender is a connection, or gVisor for it.
func (l *link) WritePackets(list stack.PacketBufferList) (int, tcpip.Error) {
	return l.writePackets(list, func(*packet.Buffer, *stack.PacketBuffer) bool { return false })
}

func (l *link) writePackets(list stack.PacketBufferList, offload func(*packet.Buffer, *stack.PacketBuffer) bool) (int, tcpip.Error) {
	var bufs [packet.BatchSize]*packet.Buffer
	n, total := 0, 0
	offloaded := false
	for _, pkt := range list.AsSlice() {
		b := packet.Get(pkt.Size())
		for _, part := range pkt.AsSlices() {
			b.Append(part)
		}
		if o := offload(b, pkt); n == len(bufs) || n > 0 && o != offloaded {
			l.out.send(bufs[:n], offloaded, true)
			n, offloaded = 0, o
		} else {
			offloaded = o
		}
		bufs[n] = b
		n++
		total++
	}
	if n > 0 {
		l.out.send(bufs[:n], offloaded, true)
	}
	return total, nil
}

func (l *link) Attach(d stack.NetworkDispatcher) {
	if d == nil {
		l.to.Store(nil)
		return
	}
	l.to.Store(&d)
}

func (l *link) IsAttached() bool { return l.to.Load() != nil }
func (l *link) MTU() uint32      { return l.mtu }

// Capabilities: the reader has verified what comes in.
func (l *link) Capabilities() stack.LinkEndpointCapabilities {
	return stack.CapabilityRXChecksumOffload
}

func (l *link) SetMTU(uint32)                           {}
func (l *link) MaxHeaderLength() uint16                 { return 0 }
func (l *link) LinkAddress() tcpip.LinkAddress          { return "" }
func (l *link) SetLinkAddress(tcpip.LinkAddress)        {}
func (l *link) Wait()                                   {}
func (l *link) ARPHardwareType() header.ARPHardwareType { return header.ARPHardwareNone }
func (l *link) AddHeader(*stack.PacketBuffer)           {}
func (l *link) ParseHeader(*stack.PacketBuffer) bool    { return true }
func (l *link) Close()                                  {}
func (l *link) SetOnCloseAction(func())                 {}
