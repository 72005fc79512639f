// SPDX-License-Identifier: BSD-3-Clause

package crypt

import (
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
)

// chain is a place in the chain of keys (spec 30 §5.4): each follows from the
// one before, so that who gets hold of a key cannot read what was sent before.
// A chain does not change; rotation makes the next one.
type chain struct {
	number uint16
	salt   []byte // for all keys of the flow

	index  uint64 // of cur
	prev   cipher.AEAD
	cur    cipher.AEAD
	next   cipher.AEAD
	secret []byte // of next
}

func newChain(number uint16, key []byte) (*chain, error) {
	cur, err := newAEAD(number, key)
	if err != nil {
		return nil, err
	}
	salt := sha256.Sum256(key)
	c := &chain{number: number, salt: salt[:], cur: cur}
	return c, c.derive(key)
}

// derive makes next from the secret of cur.
func (c *chain) derive(secret []byte) (err error) {
	c.secret, err = hkdf.Key(sha256.New, secret, c.salt, "o7s-key-rotation", KeyLen)
	if err == nil {
		c.next, err = newAEAD(c.number, c.secret)
	}
	return err
}

// rotated returns the chain one key further.
func (c *chain) rotated() (*chain, error) {
	n := &chain{number: c.number, salt: c.salt, index: c.index + 1, prev: c.cur, cur: c.next}
	return n, n.derive(c.secret)
}

// withoutPrev returns the chain after no packet of the previous key can come
// any more.
func (c *chain) withoutPrev() *chain {
	n := *c
	n.prev = nil
	return &n
}
