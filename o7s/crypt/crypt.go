// SPDX-License-Identifier: BSD-3-Clause

// Package crypt protects the packets of a flow: the CRC trailer and the
// packet ciphers with their key rotation (spec 30 §4, §5). It has neither
// clock nor goroutine; randomness comes from the Config.
//
// Start with New, which makes the Box of one end of an encrypted flow;
// AppendCRC and CheckCRC need none. All work on whole batches, in place.
//
//	IV (12) | ciphertext | tag (16)
//
// The IV that we send says from which end it comes and counts (docs/extensions.md
// §11), so that a peer of our kind finds replayed and reflected packets.
package crypt

import (
	"crypto/aes"
	"crypto/cipher"
	"fmt"

	"golang.org/x/crypto/chacha20poly1305"

	"o7gw/o7s/layer"
)

// Numbers of packet ciphers on the wire (spec 30 §5.1). The prototype's CTR modes
// do not authenticate and are refused (EN-6).
const (
	AES128GCM        uint16 = 895
	AES192GCM        uint16 = 898
	AES256GCM        uint16 = 901
	ChaCha20Poly1305 uint16 = 1018
)

// Lengths in bytes.
const (
	KeyLen   = 32 // of Config.Key, whatever the cipher takes of it
	IVLen    = 12
	TagLen   = 16
	Overhead = IVLen + TagLen // by which Seal makes a packet longer
)

var ciphers = map[uint16]struct {
	name string
	key  int // bytes that are used
}{
	AES128GCM:        {"aes-128-gcm", 16},
	AES192GCM:        {"aes-192-gcm", 24},
	AES256GCM:        {"aes-256-gcm", 32},
	ChaCha20Poly1305: {"chacha20-poly1305", 32},
}

// Supported reports whether New knows the cipher.
func Supported(number uint16) bool { return ciphers[number].key != 0 }

// Name returns what users call the cipher, "" for an unknown one.
func Name(number uint16) string { return ciphers[number].name }

// newAEAD returns the cipher with a key of KeyLen bytes.
func newAEAD(number uint16, key []byte) (cipher.AEAD, error) {
	c := ciphers[number]
	switch {
	case c.key == 0:
		return nil, fmt.Errorf("packet cipher %d: %w", number, layer.ErrNotSupported)
	case len(key) != KeyLen:
		return nil, fmt.Errorf("packet cipher %s: key of %d bytes, want %d: %w", c.name, len(key), KeyLen, layer.ErrInvalid)
	case number == ChaCha20Poly1305:
		return chacha20poly1305.New(key)
	}
	b, err := aes.NewCipher(key[:c.key])
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(b)
}
