// SPDX-License-Identifier: BSD-3-Clause

package kex

import "io"

// hybrid joins ML-KEM and a Diffie-Hellman exchange: the secret is safe as
// long as one of them is. Keys, ciphertexts and secrets are those of ML-KEM
// followed by those of the other, bare.
type hybrid struct {
	kem lattice
	dh  method
	// dhSize is the length in bytes of the second part of a public key, of a
	// ciphertext and of a private key alike.
	dhSize int
}

type hybridKey struct {
	hybrid
	first, second privateKey
	content       []byte
}

type hybridPublic struct{ first, second publicKey }

func (h hybrid) generate(random io.Reader) (privateKey, error) {
	first, err := h.kem.generate(random)
	if err != nil {
		return nil, err
	}
	second, err := h.dh.generate(random)
	if err != nil {
		return nil, err
	}
	return h.join(first, second), nil
}

func (h hybrid) join(first, second privateKey) *hybridKey {
	return &hybridKey{h, first, second, join(first.public(), second.public())}
}

func (h hybrid) parse(content []byte) (publicKey, bool, error) {
	n := h.kem.PublicKeySize()
	if len(content) != n+h.dhSize {
		return nil, false, nil
	}
	first, _, err := h.kem.parse(content[:n])
	if err != nil {
		return nil, false, err
	}
	second, _, err := h.dh.parse(content[n:])
	if err != nil {
		return nil, false, err
	}
	return hybridPublic{first, second}, true, nil
}

func (k *hybridKey) public() []byte { return k.content }

func (k *hybridKey) open(ciphertext []byte) ([]byte, error) {
	n := k.kem.CiphertextSize()
	if len(ciphertext) != n+k.dhSize {
		return nil, errLength("ciphertext", len(ciphertext), n+k.dhSize)
	}
	first, err := k.first.open(ciphertext[:n])
	if err != nil {
		return nil, err
	}
	defer clear(first)
	second, err := k.second.open(ciphertext[n:])
	if err != nil {
		return nil, err
	}
	defer clear(second)
	return join(first, second), nil
}

func (p hybridPublic) seal(random io.Reader) (ciphertext, secret []byte, err error) {
	ct1, first, err := p.first.seal(random)
	if err != nil {
		return nil, nil, err
	}
	defer clear(first)
	ct2, second, err := p.second.seal(random)
	if err != nil {
		return nil, nil, err
	}
	defer clear(second)
	return join(ct1, ct2), join(first, second), nil
}

func join(a, b []byte) []byte { return append(append(make([]byte, 0, len(a)+len(b)), a...), b...) }
