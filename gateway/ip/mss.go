// SPDX-License-Identifier: BSD-3-Clause

package ip

import "encoding/binary"

const (
	tcpSYN    = 0x02
	optEnd    = 0
	optNop    = 1
	optMSS    = 2
	optMSSLen = 4
	// DefaultMSS is what a host assumes if a SYN carries no MSS option (RFC
	// 9293 §3.7.1). We do not add an option.
	DefaultMSS = 536
)

// IsSYN reports whether p, whose header is h, is a TCP segment with the SYN
// flag.
func IsSYN(p []byte, h Header) bool {
	return h.Proto == TCP && h.First && h.Total >= h.Len+TCPLen && p[h.Len+13]&tcpSYN != 0
}

// ClampMSS lowers the MSS option of a SYN segment so that the packets of the
// connection fit mtu, in bytes, without IP options, and mends the checksum.
// It reports whether it changed p. Anything but a SYN stays as it is.
func ClampMSS(p []byte, h Header, mtu int) bool {
	if !IsSYN(p, h) {
		return false
	}
	limit := mtu - IPv4Len - TCPLen
	if h.Version == 6 {
		limit = mtu - IPv6Len - TCPLen
	}
	if limit < DefaultMSS/2 || limit > 0xffff {
		return false
	}
	t := p[h.Len:h.Total]
	n := int(t[12]>>4) * 4
	if n < TCPLen || n > len(t) {
		return false
	}
	for i := TCPLen; i+1 < n; {
		switch {
		case t[i] == optEnd:
			return false
		case t[i] == optNop:
			i++
			continue
		case t[i+1] < 2 || i+int(t[i+1]) > n:
			return false
		case t[i] == optMSS && t[i+1] == optMSSLen:
			if int(binary.BigEndian.Uint16(t[i+2:])) <= limit {
				return false
			}
			setMSS(t, i+2, uint16(limit))
			return true
		}
		i += int(t[i+1])
	}
	return false
}

// setMSS stores v at offset i of the TCP header t. The option may stand at an
// odd offset: then the bytes lie in two words of the checksum.
func setMSS(t []byte, i int, v uint16) {
	lo := i &^ 1
	var old [2]uint16
	old[0], old[1] = binary.BigEndian.Uint16(t[lo:]), word(t, lo+2)
	binary.BigEndian.PutUint16(t[i:], v)
	sum := binary.BigEndian.Uint16(t[16:])
	sum = updateSum(sum, old[0], binary.BigEndian.Uint16(t[lo:]))
	sum = updateSum(sum, old[1], word(t, lo+2))
	binary.BigEndian.PutUint16(t[16:], sum)
}

// word returns the checksum word at i, padded with zero at the end of t.
func word(t []byte, i int) uint16 {
	switch len(t) - i {
	case 0:
		return 0
	case 1:
		return uint16(t[i]) << 8
	}
	return binary.BigEndian.Uint16(t[i:])
}
