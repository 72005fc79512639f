// SPDX-License-Identifier: BSD-3-Clause

package crypt

import (
	"crypto/cipher"

	"o7gw/o7s/packet"
)

// decrypt tries the keys that may have been used (spec 30 §5.5). A peer that
// rotated before us is followed. Our own kind sends the phase of its key; a
// prototype's phase is that of a packet counter and may be wrong.
func (b *Box) decrypt(p *packet.Buffer, phase bool) bool {
	c := b.chain.Load()
	current := phase == (c.index&1 != 0)
	if current && b.sequenced {
		return open(c.cur, p)
	}
	// A failed attempt destroys the ciphertext.
	b.spare = append(b.spare[:0], p.Bytes()...)
	if current && open(c.cur, p) {
		return true
	}
	if c.prev != nil && b.again(c.prev, p) {
		return true
	}
	if b.again(c.next, p) {
		b.rotate(c)
		return true
	}
	return !current && !b.sequenced && b.again(c.cur, p)
}

// again tries a key with the ciphertext as it was.
func (b *Box) again(a cipher.AEAD, p *packet.Buffer) bool {
	copy(p.Bytes(), b.spare)
	return open(a, p)
}

func open(a cipher.AEAD, p *packet.Buffer) bool {
	whole := p.Bytes()
	_, err := a.Open(whole[IVLen:IVLen], whole[:IVLen], whole[IVLen:], nil)
	return err == nil
}

// rotate goes on from c to the next key, if nobody else has.
func (b *Box) rotate(c *chain) {
	b.rotation.Lock()
	defer b.rotation.Unlock()
	if b.chain.Load() != c {
		return
	}
	n, err := c.rotated()
	if err != nil {
		return // cannot be: the cipher has taken such keys before
	}
	b.age.Store(0)
	b.chain.Store(n)
	b.counts.rotations.Add(1)
}

// aged counts packets, forgets the previous key when late packets can hardly
// come any more, and rotates when the peer has not for very long.
func (b *Box) aged(n uint64) {
	age := b.age.Add(n)
	if age < b.epoch/2 {
		return
	}
	c := b.chain.Load()
	if age >= ownEpochs*b.epoch {
		b.rotate(c)
		return
	}
	if c.prev == nil {
		return
	}
	b.rotation.Lock()
	defer b.rotation.Unlock()
	if b.chain.Load() == c {
		b.chain.Store(c.withoutPrev())
	}
}
