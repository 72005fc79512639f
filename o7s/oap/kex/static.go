// SPDX-License-Identifier: BSD-3-Clause

package kex

import (
	"bytes"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
)

// Types of PEM blocks (RFC 7468).
const (
	pemPublic  = "PUBLIC KEY"
	pemPrivate = "PRIVATE KEY"
)

var (
	errStatic  = errors.New("no static key of a KEM: expected PEM (ML-KEM) or 1216 or 1624 bytes (hybrid)")
	errPrivate = errors.New("no static private key of a KEM: expected PEM (ML-KEM) or 2432 or 3224 bytes (hybrid)")
)

// ParseStaticPublic reads a server's key file for clients (spec 30 §6.10): PEM
// for ML-KEM, bare bytes for a hybrid.
func ParseStaticPublic(file []byte) (*Public, error) {
	content, raw := file, true
	if block, _ := pem.Decode(file); block != nil {
		if block.Type != pemPublic {
			return nil, fmt.Errorf("parse static public key: the file holds a %q", block.Type)
		}
		content, raw = block.Bytes, false
	}
	p, err := ParsePublic(bytes.Clone(content), raw)
	if errors.Is(err, ErrUnknown) || err == nil && !p.Algorithm.KEM() {
		return nil, fmt.Errorf("parse static public key: %w", errStatic)
	}
	return p, err
}

// ParseStaticKey reads a server's own key file: PEM (PKCS #8 with seed, expanded
// key or both) for ML-KEM, bare bytes for a hybrid.
func ParseStaticKey(file []byte) (*Key, error) {
	k, err := parseStaticKey(file)
	if err != nil {
		return nil, fmt.Errorf("parse static private key: %w", err)
	}
	return k, nil
}

func parseStaticKey(file []byte) (*Key, error) {
	if block, _ := pem.Decode(file); block != nil {
		defer clear(block.Bytes)
		if block.Type != pemPrivate {
			return nil, fmt.Errorf("the file holds a %q", block.Type)
		}
		return parsePKCS8(block.Bytes)
	}
	for _, a := range []Algorithm{X25519MLKEM768, X448MLKEM1024} {
		m, err := a.method()
		if err != nil {
			return nil, err
		}
		h := m.(hybrid)
		n := h.kem.PrivateKeySize()
		if len(file) != n+h.dhSize {
			continue
		}
		first, err := h.kem.expanded(file[:n])
		if err != nil {
			return nil, err
		}
		second, err := h.dh.generate(bytes.NewReader(file[n:])) // a private key is any such bytes
		if err != nil {
			return nil, err
		}
		return &Key{a, h.join(first, second)}, nil
	}
	return nil, errPrivate
}

// NewStatic makes a static key of a KEM: the contents of kex.key.pem (.raw for
// hybrids) for the server and of kex.srv.pub.pem (.raw) for its clients.
func NewStatic(a Algorithm, random io.Reader) (private, public []byte, err error) {
	if !a.KEM() {
		return nil, nil, fmt.Errorf("make static key: %v is no KEM", a)
	}
	m, err := a.method()
	if err != nil {
		return nil, nil, err
	}
	if h, ok := m.(hybrid); ok {
		private, public, err = h.newStatic(random)
	} else {
		private, public, err = m.(lattice).newStatic(random)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("make static %v key: %w", a, err)
	}
	return private, public, nil
}

func (h hybrid) newStatic(random io.Reader) (private, public []byte, err error) {
	first, err := h.kem.generate(random)
	if err != nil {
		return nil, nil, err
	}
	second := make([]byte, h.dhSize)
	if _, err := io.ReadFull(random, second); err != nil {
		return nil, nil, err
	}
	dh, err := h.dh.generate(bytes.NewReader(second))
	if err != nil {
		return nil, nil, err
	}
	private, err = first.(*latticeKey).private.MarshalBinary()
	if err != nil {
		return nil, nil, err
	}
	return append(private, second...), join(first.public(), dh.public()), nil
}
