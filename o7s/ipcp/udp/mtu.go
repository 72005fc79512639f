// SPDX-License-Identifier: BSD-3-Clause

package udp

import (
	"fmt"
	"net"
	"net/netip"

	"o7gw/o7s/ipcp"
	"o7gw/o7s/layer"
)

// Largest datagrams toward a C peer, which reads no more, and IP and UDP
// header lengths; bytes (spec 10 §2.1 and §2.4).
const (
	maxDatagram4, headers4 = 8980, 20 + 8
	maxDatagram6, headers6 = 8952, 40 + 8

	// A C sender forgets its own header in the limit (UDP-10).
	overshoot = eidLen
)

// maxDatagram returns the wire limit of the type in bytes.
func maxDatagram(t ipcp.Type) int {
	if t == ipcp.UDP6 {
		return maxDatagram6
	}
	return maxDatagram4
}

// Smallest MTU that the IP versions demand of a link; bytes.
const (
	minMTU4 = 68
	minMTU6 = 1280
)

// packetMTU returns the largest packet of a flow on a path that carries IP
// packets of ipMTU bytes.
func packetMTU(t ipcp.Type, ipMTU int) (int, error) {
	headers, least := headers4, minMTU4
	if t == ipcp.UDP6 {
		headers, least = headers6, minMTU6
	}
	if ipMTU < least {
		return 0, fmt.Errorf("MTU %d is below %d: %w", ipMTU, least, layer.ErrInvalid)
	}
	return min(ipMTU-headers, maxDatagram(t)) - eidLen, nil
}

// deviceMTU returns the MTU of the device that owns the address. A loopback
// device owns its whole prefix.
func deviceMTU(self endpoint) (int, error) {
	own := self.addr().WithZone("")
	ifs, err := net.Interfaces()
	if err != nil {
		return 0, fmt.Errorf("MTU of the device with %v: %w", own, err)
	}
	for _, ifi := range ifs {
		if self.scope != 0 && uint32(ifi.Index) != self.scope {
			continue
		}
		addrs, err := ifi.Addrs()
		if err != nil {
			continue // it may have vanished
		}
		for _, a := range addrs {
			n, ok := a.(*net.IPNet)
			if !ok {
				continue
			}
			ip, _ := netip.AddrFromSlice(n.IP)
			if ip.Unmap() == own || ifi.Flags&net.FlagLoopback != 0 && n.Contains(own.AsSlice()) {
				return ifi.MTU, nil
			}
		}
	}
	return 0, fmt.Errorf("no device has address %v: %w", own, layer.ErrInvalid)
}
