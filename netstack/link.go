// SPDX-License-Identifier: BSD-3-Clause

package netstack

import (
	"sync"
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

// WritePackets sends packets of the stack.
func (l *link) WritePackets(list stack.PacketBufferList) (int, tcpip.Error) {
	var bufs [packet.BatchSize]*packet.Buffer
	n, total := 0, 0
	for _, pkt := range list.AsSlice() {
		b := packet.Get(pkt.Size())
		for _, part := range pkt.AsSlices() {
			b.Append(part)
		}
		bufs[n] = b
		total++
		if n++; n == len(bufs) {
			l.out.send(bufs[:n])
			n = 0
		}
	}
	if n > 0 {
		l.out.send(bufs[:n])
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

// Capabilities: the kernel, or the device, has checked what comes in.
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

// output collects packets for the device: who finds it idle writes at once,
// and what others add meanwhile, too.
type output struct {
	mu      sync.Mutex
	queue   []*packet.Buffer
	spare   []*packet.Buffer
	writing bool

	w Writer // used by whoever is writing

	packets, bytes, dropped atomic.Uint64
}

// queueMost bounds what waits while somebody writes, packets: more than the
// windows of many connections.
const queueMost = 8192

func newOutput(w Writer) *output { return &output{w: w} }

// send sends packets; it takes the buffers, not the slice.
func (o *output) send(pkts []*packet.Buffer) {
	bytes := 0
	for _, b := range pkts {
		bytes += b.Len()
	}
	o.packets.Add(uint64(len(pkts)))
	o.bytes.Add(uint64(bytes))
	o.mu.Lock()
	if len(o.queue) >= queueMost {
		o.mu.Unlock()
		o.dropped.Add(uint64(len(pkts)))
		packet.ReleaseBatch(pkts)
		return
	}
	o.queue = append(o.queue, pkts...)
	o.flushLocked()
	o.mu.Unlock()
}

// flushLocked writes what is queued, unless somebody does so already.
func (o *output) flushLocked() {
	for !o.writing && len(o.queue) > 0 {
		batch := o.queue
		o.queue, o.spare = o.spare[:0], nil
		o.writing = true
		o.mu.Unlock()
		o.w.Write(batch)
		o.mu.Lock()
		o.writing = false
		o.spare = batch[:0]
	}
}
