// SPDX-License-Identifier: BSD-3-Clause

package frcp

import (
	"encoding/binary"
	"errors"
)

// HeaderLen is the length of the PCI in bytes.
const HeaderLen = 12

// MaxPayload returns the largest packet, in bytes, that fits a lower packet of
// mtu bytes.
func MaxPayload(mtu int) int { return max(mtu-HeaderLen, 0) }

// Flags of the PCI (spec 30 §3.2).
type Flags uint8

const (
	DATA Flags = 1 << iota // carries an application packet
	DRF                    // data run flag: nothing before Seq is outstanding
	ACK                    // Ack is valid
	FC                     // Window is valid
	RDVS                   // rendezvous: please send a window update
	FFGM                   // first fragment; never used
	MFGM                   // more fragments; never used
	// EXT marks an extension, between ours only: acknowledgement blocks behind a packet
	// without DATA, the end of the data on one with it.
	EXT
)

// Header is the PCI in front of each packet (spec 30 §3.2).
type Header struct {
	Flags  Flags
	Window uint32 // low 24 bits of the right edge of the receive window
	Seq    uint32 // number of the packet; of the next one if there is no DATA but DRF
	Ack    uint32 // next number expected
}

// ErrShort is returned for a packet shorter than its header (W1).
var ErrShort = errors.New("frcp: packet too short")

// ParseHeader reads the header at the beginning of b and returns its length.
func ParseHeader(b []byte) (Header, int, error) {
	if len(b) < HeaderLen {
		return Header{}, 0, ErrShort
	}
	w := binary.BigEndian.Uint32(b)
	return Header{
		Flags:  Flags(w >> 24),
		Window: w & 0xffffff,
		Seq:    binary.BigEndian.Uint32(b[4:]),
		Ack:    binary.BigEndian.Uint32(b[8:]),
	}, HeaderLen, nil
}

// Put writes the header to the first HeaderLen bytes of b.
func (h *Header) Put(b []byte) {
	_ = b[HeaderLen-1]
	binary.BigEndian.PutUint32(b, uint32(h.Flags)<<24|h.Window&0xffffff)
	binary.BigEndian.PutUint32(b[4:], h.Seq)
	binary.BigEndian.PutUint32(b[8:], h.Ack)
}
