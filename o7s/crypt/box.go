// SPDX-License-Identifier: BSD-3-Clause

package crypt

import (
	"encoding/binary"
	"fmt"
	"io"
	"sync"
	"sync/atomic"

	"o7gw/o7s/packet"
)

// DefaultEpoch is N of the key rotation, in packets of both directions (spec
// 30 §5.4): the prototype uses a key for so many.
const DefaultEpoch = 1 << 20

// Config says how the packets of a flow are protected.
type Config struct {
	Cipher uint16
	Key    []byte // KeyLen bytes from the handshake, for both directions
	Server bool   // this end accepted the flow
	// Sequenced: the peer announced layer.CapSequenced. Its packets are checked for
	// replay and direction.
	Sequenced bool
	Random    io.Reader
	Epoch     uint64 // N in packets; 0: DefaultEpoch
}

// Box protects the packets of one end of a flow. Its methods may be called at
// the same time.
type Box struct {
	sequenced bool
	epoch     uint64
	prefix    uint32 // first word of our IVs, without the phase bit
	counter   atomic.Uint64
	chain     atomic.Pointer[chain]
	age       atomic.Uint64 // packets of both directions since the last rotation, or since heard changed
	heard     atomic.Uint64 // index of the newest key with which the peer was heard
	answered  atomic.Uint64 // counter when the peer was last heard, or the key rotated
	rotation  sync.Mutex    // held while chain is replaced

	opening sync.Mutex // guards the fields below
	window  window
	misses  uint64 // packets in a row that no key opened
	spare   []byte // a ciphertext, while several keys are tried

	counts counts
}

// Bits of the first word of an IV.
const (
	phaseBit  = 1 << 31
	serverBit = 1 << 30
)

// New returns the Box of one end.
func New(cfg Config) (*Box, error) {
	c, err := newChain(cfg.Cipher, cfg.Key)
	if err != nil {
		return nil, fmt.Errorf("encrypt packets: %w", err)
	}
	// The counter begins anywhere, and never comes round.
	var r [10]byte
	if _, err := io.ReadFull(cfg.Random, r[:]); err != nil {
		return nil, fmt.Errorf("encrypt packets: no randomness: %w", err)
	}
	b := &Box{sequenced: cfg.Sequenced, epoch: cfg.Epoch}
	if b.epoch == 0 {
		b.epoch = DefaultEpoch
	}
	b.prefix = binary.BigEndian.Uint32(r[:4]) &^ (phaseBit | serverBit)
	if cfg.Server {
		b.prefix |= serverBit
	}
	b.counter.Store(binary.BigEndian.Uint64(append([]byte{0, 0}, r[4:]...)))
	b.answered.Store(b.counter.Load())
	b.chain.Store(c)
	return b, nil
}

// Seal encrypts the packets in place. They become Overhead bytes longer.
func (b *Box) Seal(pkts []*packet.Buffer) {
	c := b.chain.Load()
	first := b.prefix | uint32(c.index&1)<<31
	n := uint64(len(pkts))
	count := b.counter.Add(n) - n
	for _, p := range pkts {
		iv := p.Prepend(IVLen)
		binary.BigEndian.PutUint32(iv, first)
		binary.BigEndian.PutUint64(iv[4:], count)
		count++
		p.Extend(TagLen)
		whole := p.Bytes()
		c.cur.Seal(whole[IVLen:IVLen], whole[:IVLen], whole[IVLen:len(whole)-TagLen], nil)
	}
	b.counts.sealed.Add(n)
	b.aged(c, n)
}

// Open decrypts the packets in place. Those that were not made by the peer's
// Box, or have been seen before, are released and counted; the others, in
// order, are returned in the same slice.
func (b *Box) Open(pkts []*packet.Buffer) []*packet.Buffer {
	b.opening.Lock()
	defer b.opening.Unlock()
	c := b.chain.Load()
	n := 0
	for _, p := range pkts {
		if !b.openOne(p) {
			p.Release()
			continue
		}
		pkts[n] = p
		n++
	}
	clear(pkts[n:])
	b.counts.opened.Add(uint64(n))
	if n > 0 {
		b.answered.Store(b.counter.Load())
		b.aged(c, uint64(n))
	}
	return pkts[:n]
}

// openOne decrypts one packet.
func (b *Box) openOne(p *packet.Buffer) bool {
	if p.Len() < Overhead {
		b.counts.short.Add(1)
		return false
	}
	iv := p.Bytes()[:IVLen]
	first, count := binary.BigEndian.Uint32(iv), binary.BigEndian.Uint64(iv[4:])
	if b.sequenced {
		switch {
		case (first^b.prefix)&serverBit == 0:
			b.counts.reflected.Add(1)
			return false
		case !b.window.fresh(count):
			b.counts.replayed.Add(1)
			return false
		}
	}
	if !b.decrypt(p, first&phaseBit != 0) {
		b.misses++
		b.counts.forged.Add(1)
		return false
	}
	b.misses = 0
	if b.sequenced {
		b.window.mark(count)
	}
	p.TrimFront(IVLen)
	p.TrimBack(TagLen)
	return true
}
