// SPDX-License-Identifier: BSD-3-Clause

package kex

import (
	"io"

	"github.com/cloudflare/circl/dh/x448"
)

const derX448 = "\x30\x42\x30\x05\x06\x03\x2b\x65\x6f\x03\x39\x00"

// goldilocks is Diffie-Hellman over X448, which the standard library lacks.
type goldilocks struct {
	prefix string // "" in hybrids: bare bytes
}

type goldilocksKey struct {
	goldilocks
	private, point x448.Key
}

type goldilocksPoint struct {
	goldilocks
	point x448.Key
}

func (g goldilocks) generate(random io.Reader) (privateKey, error) {
	k := &goldilocksKey{goldilocks: g}
	if _, err := io.ReadFull(random, k.private[:]); err != nil {
		return nil, err
	}
	x448.KeyGen(&k.point, &k.private)
	return k, nil
}

func (g goldilocks) parse(content []byte) (publicKey, bool, error) {
	bare, ok := cutPrefix(content, g.prefix)
	if !ok {
		return nil, false, nil
	}
	if len(bare) != x448.Size {
		return nil, false, errLength("public key", len(bare), x448.Size)
	}
	return &goldilocksPoint{g, x448.Key(bare)}, true, nil
}

func (k *goldilocksKey) public() []byte { return append([]byte(k.prefix), k.point[:]...) }

func (k *goldilocksKey) open(answer []byte) ([]byte, error) {
	peer, ok, err := k.parse(answer)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, ErrUnknown
	}
	return k.agree(peer.(*goldilocksPoint))
}

// agree refuses points of low order, as crypto/ecdh does for X25519.
func (k *goldilocksKey) agree(peer *goldilocksPoint) ([]byte, error) {
	var secret x448.Key
	if !x448.Shared(&secret, &k.private, &peer.point) {
		return nil, errSecret
	}
	return secret[:], nil
}

func (p *goldilocksPoint) seal(random io.Reader) (answer, secret []byte, err error) {
	key, err := p.generate(random)
	if err != nil {
		return nil, nil, err
	}
	own := key.(*goldilocksKey)
	defer clear(own.private[:])
	secret, err = own.agree(p)
	if err != nil {
		return nil, nil, err
	}
	return own.public(), secret, nil
}
