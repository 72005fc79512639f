// SPDX-License-Identifier: BSD-3-Clause

package names

import (
	"net"
	"net/netip"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// returner is a UDP socket whose answers come from the address that was asked:
// clients take no others. On a socket for all addresses of the machine the
// kernel says which it was, and is told.
type returner struct {
	*net.UDPConn
	wildcard bool
	v6       bool
}

// route is where an answer comes from; the zero route leaves it to the kernel.
type route struct{ src netip.Addr }

func newReturner(c *net.UDPConn, wildcard bool) (*returner, error) {
	r := &returner{c, wildcard, c.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Is6()}
	if !wildcard {
		return r, nil
	}
	if r.v6 {
		return r, ipv6.NewPacketConn(c).SetControlMessage(ipv6.FlagDst, true)
	}
	return r, ipv4.NewPacketConn(c).SetControlMessage(ipv4.FlagDst, true)
}

// read reads a datagram.
func (r *returner) read(buf []byte) (n int, from netip.AddrPort, back route, err error) {
	if !r.wildcard {
		n, from, err = r.ReadFromUDPAddrPort(buf)
		return n, from, back, err
	}
	var oob [128]byte
	n, size, _, from, err := r.ReadMsgUDPAddrPort(buf, oob[:])
	if err != nil {
		return 0, from, back, err
	}
	var ip net.IP
	if r.v6 {
		var m ipv6.ControlMessage
		if m.Parse(oob[:size]) == nil {
			ip = m.Dst
		}
	} else {
		var m ipv4.ControlMessage
		if m.Parse(oob[:size]) == nil {
			ip = m.Dst
		}
	}
	if a, ok := netip.AddrFromSlice(ip); ok && !a.IsMulticast() {
		back.src = a.Unmap()
	}
	return n, from, back, nil
}

// write sends a datagram; one that cannot be sent is lost, as on any network. nil
// is none.
func (r *returner) write(b []byte, to netip.AddrPort, back route) {
	switch {
	case b == nil:
	case !back.src.IsValid():
		r.WriteToUDPAddrPort(b, to)
	case r.v6:
		r.WriteMsgUDPAddrPort(b, (&ipv6.ControlMessage{Src: back.src.AsSlice()}).Marshal(), to)
	default:
		r.WriteMsgUDPAddrPort(b, (&ipv4.ControlMessage{Src: back.src.AsSlice()}).Marshal(), to)
	}
}
