// SPDX-License-Identifier: BSD-3-Clause

package udp

import (
	"encoding/binary"
	"unsafe"

	"golang.org/x/sys/unix"

	"o7gw/o7s/layer"
)

// The ICMP messages that say: nobody has the port.
const (
	icmp4Unreachable, icmp4Port = 3, 3
	icmp6Unreachable, icmp6Port = 1, 4
)

// quoteLen is how much of a refused datagram, in bytes, tells which flow it
// was of.
const quoteLen = fixedLen

// readErrors reads what the network reported about datagrams of ours, and
// ends the flows of an IPC process that is no more: its host answers that
// nobody has the port. It runs in the receiving goroutine. Somebody who is
// not on the path cannot forge such a report for a peer of our kind, since
// its EID is quoted.
func (p *IPCP) readErrors() {
	var quote [quoteLen]byte
	var control [256]byte
	for {
		n, cn, _, from, err := unix.Recvmsg(p.sock.fd, quote[:], control[:], unix.MSG_ERRQUEUE|unix.MSG_DONTWAIT)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return
		}
		var at endpoint
		switch a := from.(type) {
		case *unix.SockaddrInet4:
			at = endpoint{port: uint16(a.Port)}
			at.ip[10], at.ip[11] = 0xff, 0xff
			copy(at.ip[12:], a.Addr[:])
		case *unix.SockaddrInet6:
			at = endpoint{ip: a.Addr, port: uint16(a.Port), scope: a.ZoneId}
		default:
			continue
		}
		if portUnreachable(control[:cn]) {
			p.unreachable(quote[:n], at)
		}
	}
}

// portUnreachable reports whether the control messages that came with an
// error say that.
func portUnreachable(control []byte) bool {
	messages, err := unix.ParseSocketControlMessage(control)
	if err != nil {
		return false
	}
	for _, m := range messages {
		v4 := m.Header.Level == unix.SOL_IP && m.Header.Type == unix.IP_RECVERR
		v6 := m.Header.Level == unix.SOL_IPV6 && m.Header.Type == unix.IPV6_RECVERR
		if !v4 && !v6 || len(m.Data) < int(unsafe.Sizeof(unix.SockExtendedErr{})) {
			continue
		}
		switch e := (*unix.SockExtendedErr)(unsafe.Pointer(&m.Data[0])); e.Origin {
		case unix.SO_EE_ORIGIN_ICMP:
			return e.Type == icmp4Unreachable && e.Code == icmp4Port
		case unix.SO_EE_ORIGIN_ICMP6:
			return e.Type == icmp6Unreachable && e.Code == icmp6Port
		}
	}
	return false
}

// unreachable ends the flow of a datagram that found no IPC process at its
// destination. quote is the beginning of the datagram.
func (p *IPCP) unreachable(quote []byte, at endpoint) {
	if len(quote) < eidLen {
		return
	}
	if eid := binary.BigEndian.Uint32(quote); eid != manageEID {
		if f := p.flows.byRemote(remote{at, eid}); f != nil {
			p.stats.unreachable.Add(1)
			f.end()
		}
		return
	}
	if h, _, err := parseHeader(quote); err == nil && h.code == codeRequest {
		p.stats.unreachable.Add(1)
		p.replied(reply{eid: h.sEID, response: -int32(layer.ErrIPCP)}, at)
	}
}
