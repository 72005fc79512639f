// SPDX-License-Identifier: BSD-3-Clause

package kex

import (
	"errors"
	"fmt"
	"io"
)

// method is one way to agree on a secret. A Diffie-Hellman exchange is written
// as an encapsulation whose ciphertext is the public key of the other end.
type method interface {
	// generate makes a fresh key from random bytes.
	generate(random io.Reader) (privateKey, error)
	// parse reads the public key of a peer. ok is false if the content has not
	// the form of this method; a key that has it and is bad gives an error.
	parse(content []byte) (key publicKey, ok bool, err error)
}

// privateKey is the end that offered a key.
type privateKey interface {
	public() []byte // as sent
	open(answer []byte) (secret []byte, err error)
}

// publicKey is the peer's key at the end that answers.
type publicKey interface {
	seal(random io.Reader) (answer, secret []byte, err error)
}

// Key is a private key: fresh for one exchange, or the static one of a server.
type Key struct {
	Algorithm Algorithm
	key       privateKey
}

// Generate makes a fresh key.
func Generate(a Algorithm, random io.Reader) (*Key, error) {
	m, err := a.method()
	if err != nil {
		return nil, fmt.Errorf("make key: %w", err)
	}
	key, err := m.generate(random)
	if err != nil {
		return nil, fmt.Errorf("make %v key: %w", a, err)
	}
	return &Key{a, key}, nil
}

// Public returns the key exchange content for the peer.
func (k *Key) Public() []byte { return k.key.public() }

// Finish takes the peer's answer: its public key, or the ciphertext of a KEM.
func (k *Key) Finish(answer []byte) (*Secret, error) {
	secret, err := k.key.open(answer)
	if err != nil {
		return nil, fmt.Errorf("finish %v key exchange: %w", k.Algorithm, err)
	}
	return newSecret(k.Algorithm, secret, k.key.public(), answer), nil
}

// Public is the public key of a peer.
type Public struct {
	Algorithm Algorithm
	content   []byte
	key       publicKey
}

// ErrUnknown is the error of ParsePublic for content that has the form of no
// algorithm of this package.
var ErrUnknown = errors.New("no key exchange that this build knows")

// ParsePublic reads key exchange content; raw tells that it is bare bytes
// instead of DER. The slice is kept.
func ParsePublic(content []byte, raw bool) (*Public, error) {
	for i := range algorithms {
		a := &algorithms[i]
		if a.number.Hybrid() != raw {
			continue
		}
		key, ok, err := a.method.parse(content)
		if err != nil {
			return nil, fmt.Errorf("parse public key: %s: %w", a.name, err)
		}
		if ok {
			return &Public{a.number, content, key}, nil
		}
	}
	return nil, fmt.Errorf("parse public key of %d bytes: %w", len(content), ErrUnknown)
}

// Respond makes the answer to a peer's public key and the secret that both
// ends then have.
func (p *Public) Respond(random io.Reader) (answer []byte, s *Secret, err error) {
	answer, secret, err := p.key.seal(random)
	if err != nil {
		return nil, nil, fmt.Errorf("answer %v key exchange: %w", p.Algorithm, err)
	}
	return answer, newSecret(p.Algorithm, secret, p.content, answer), nil
}

var (
	errRandom = errors.New("no usable random bytes")
	errSecret = errors.New("the peer's key gives no secret")
)

func errLength(what string, got, want int) error {
	return fmt.Errorf("%s of %d bytes, need %d", what, got, want)
}

// cutPrefix returns what follows the fixed beginning of a public key.
func cutPrefix(content []byte, prefix string) (rest []byte, ok bool) {
	if len(content) < len(prefix) || string(content[:len(prefix)]) != prefix {
		return nil, false
	}
	return content[len(prefix):], true
}
