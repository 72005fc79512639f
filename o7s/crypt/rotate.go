// SPDX-License-Identifier: BSD-3-Clause

package crypt

import (
	"crypto/cipher"

	"o7gw/o7s/packet"
)

// Tunables of the rotation, the first two in epochs.
const (
	// ownEpochs is how long this end waits for the peer to rotate before it does so
	// itself (spec 30 §5.5).
	ownEpochs = 4
	// blindEpochs is the same when it has not been heard with our key, counted in what we
	// sent since it was heard at all. Ends that go on without each other cannot meet
	// again, so this is long; but with a peer that never sends no key shall be in use
	// for ever.
	blindEpochs = 64
	// lost is after how many packets in a row that no key opened we try keys further
	// ahead, and again after as many: it bounds what forged packets cost.
	lost = 64
	// maxAhead is how many keys that are, beyond the next one.
	maxAhead = 4
)

// decrypt tries the keys that may have been used (spec 30 §5.5) and follows a peer
// that rotated. The phase bit of our own kind says whether it is the current
// key. A prototype's is that of a counter, and may disagree with its key for a
// whole epoch: its packets are tried with the current key first, always.
func (b *Box) decrypt(p *packet.Buffer, phase bool) bool {
	c := b.chain.Load()
	current := phase == (c.index&1 != 0)
	sure := b.sequenced && b.misses < lost
	if sure && current {
		return open(c.cur, p) && b.hear(c.index)
	}
	// A failed attempt destroys the ciphertext.
	b.spare = append(b.spare[:0], p.Bytes()...)
	switch {
	case !sure && open(c.cur, p):
		return b.hear(c.index)
	case c.prev != nil && b.again(c.prev, p):
		return true
	case b.again(c.next, p):
		b.rotate(c)
		return b.hear(c.index + 1)
	case b.misses%lost == lost-1:
		return b.lookAhead(c, p)
	}
	return false
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

// hear notes that the peer has the key, and returns true. From then on packets of
// the previous one get late.
func (b *Box) hear(index uint64) bool {
	if b.heard.Load() != index {
		b.age.Store(0) // first: see aged
		b.heard.Store(index)
	}
	return true
}

// lookAhead finds a peer again that went on by several keys while none of its
// packets arrived: a prototype rotates whether we hear of it or not.
func (b *Box) lookAhead(c *chain, p *packet.Buffer) bool {
	for at := c; at.index < c.index+maxAhead; {
		var err error
		if at, err = at.rotated(); err != nil {
			return false
		}
		if b.again(at.next, p) {
			b.replace(c, at)
			b.rotate(at)
			return b.hear(at.index + 1)
		}
	}
	return false
}

// aged counts packets of both directions that were handled while c was in place. It
// forgets the previous key when late packets can hardly come any more, and
// rotates when the peer has not for long.
func (b *Box) aged(c *chain, n uint64) {
	heard := b.heard.Load() == c.index // before age, which is reset when this changes
	age := b.age.Add(n)
	if age < b.epoch/2 {
		return
	}
	answered := b.answered.Load() // before counter, which is never less
	switch {
	case heard && age >= ownEpochs*b.epoch, b.counter.Load()-answered >= blindEpochs*b.epoch:
		b.rotate(c)
	case heard && c.prev != nil:
		b.replace(c, c.withoutPrev())
	}
}

// rotate goes on from c to the next key, if nobody else has.
func (b *Box) rotate(c *chain) {
	n, err := c.rotated()
	if err != nil {
		return // cannot be: the cipher has taken such keys before
	}
	b.replace(c, n)
}

// replace puts n in the place of c, if that is still there.
func (b *Box) replace(c, n *chain) {
	b.rotation.Lock()
	defer b.rotation.Unlock()
	if b.chain.Load() != c {
		return
	}
	if n.index != c.index {
		b.age.Store(0)
		b.answered.Store(b.counter.Load())
		b.counts.rotations.Add(n.index - c.index)
	}
	b.chain.Store(n)
}
