// SPDX-License-Identifier: BSD-3-Clause

package flow

import (
	"crypto/rand"
	"fmt"

	"o7gw/o7s/crypt"
	"o7gw/o7s/layer"
	"o7gw/o7s/packet"
)

// guard protects the bytes of packets by a cipher and a CRC trailer (spec 30
// §1, §4, §5). A nil guard does nothing. Keepalives pass it by.
type guard struct {
	box *crypt.Box // nil: not encrypted
	crc bool
}

// newGuard returns the guard of a flow, nil if it needs none.
func newGuard(a *Attachment) (*guard, error) {
	g := &guard{crc: a.QoS.BER == 0}
	if a.Cipher != 0 {
		box, err := crypt.New(crypt.Config{
			Cipher: a.Cipher, Key: a.Key, Server: a.Server,
			Sequenced: a.PeerCaps&layer.CapSequenced != 0,
			Random:    rand.Reader,
		})
		if err != nil {
			return nil, fmt.Errorf("encrypt flow: %w", err)
		}
		g.box = box
	}
	if g.box == nil && !g.crc {
		return nil, nil
	}
	return g, nil
}

// overhead returns by how many bytes a packet grows.
func (g *guard) overhead() int {
	if g == nil {
		return 0
	}
	n := 0
	if g.box != nil {
		n += crypt.Overhead
	}
	if g.crc {
		n += crypt.CRCLen
	}
	return n
}

// seal protects the packets in place.
func (g *guard) seal(pkts []*packet.Buffer) {
	if g == nil {
		return
	}
	if g.box != nil {
		g.box.Seal(pkts)
	}
	if g.crc {
		crypt.AppendCRC(pkts)
	}
}

// open takes the protection off and returns the packets that are as they were
// sent, in the same slice. The others, and the keepalives, are released.
func (g *guard) open(pkts []*packet.Buffer) []*packet.Buffer {
	if g == nil {
		return pkts
	}
	pkts = withoutKeepalives(pkts)
	if g.crc {
		pkts = crypt.CheckCRC(pkts)
	}
	if g.box != nil {
		pkts = g.box.Open(pkts)
	}
	return pkts
}
