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
	number "o7gw/o7s/oap/cipher"
)

// Numbers of the packet ciphers on the wire (spec 30 §5.1). The prototype's CTR modes
// do not authenticate and are refused (EN-6).
const (
	AES128GCM        = number.AES128GCM
	AES192GCM        = number.AES192GCM
	AES256GCM        = number.AES256GCM
	ChaCha20Poly1305 = number.ChaCha20Poly1305
)

// Lengths in bytes.
const (
	KeyLen   = 32 // of Config.Key, whatever the cipher takes of it
	IVLen    = 12
	TagLen   = 16
	Overhead = IVLen + TagLen // by which Seal makes a packet longer
)

// keyBytes are how many bytes of a key each cipher uses.
var keyBytes = map[uint16]int{AES128GCM: 16, AES192GCM: 24, AES256GCM: 32, ChaCha20Poly1305: 32}

// Supported reports whether New knows the cipher.
func Supported(n uint16) bool { return keyBytes[n] != 0 }

// newAEAD returns the cipher with a key of KeyLen bytes.
func newAEAD(n uint16, key []byte) (cipher.AEAD, error) {
	switch {
	case !Supported(n):
		return nil, fmt.Errorf("packet cipher %d: %w", n, layer.ErrNotSupported)
	case len(key) != KeyLen:
		return nil, fmt.Errorf("packet cipher %s: key of %d bytes, want %d: %w", number.Name(n), len(key), KeyLen, layer.ErrInvalid)
	case n == ChaCha20Poly1305:
		return chacha20poly1305.New(key)
	}
	b, err := aes.NewCipher(key[:keyBytes[n]])
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(b)
}
