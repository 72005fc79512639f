// SPDX-License-Identifier: BSD-3-Clause

package oap

import (
	"crypto/ed25519"
	"crypto/rsa"
	"fmt"

	"o7gw/o7s/oap/cipher"
	"o7gw/o7s/oap/digest"
	"o7gw/o7s/oap/encconf"
	"o7gw/o7s/pki"
)

// Policy says how one end protects the flows of one name. The zero value:
// plain, and nothing is required. It may be shared by many exchanges, and is
// not to be changed then.
type Policy struct {
	Name  string           // destination name: what the server's certificate must say
	Creds *pki.Credentials // nil: this end shows no certificate
	Store *pki.Store       // nil: certificates of the peer cannot be verified and are refused
	Enc   *encconf.Config  // nil: no enc.conf
	// KEMKey is the content of kex.key.pem or .raw at the server, and of
	// kex.srv.pub.pem or .raw at the client; nil: none. Only KEMs in client
	// mode need it.
	KEMKey []byte
	// What flows must have, in addition to what Enc requires.
	RequireEncryption, RequireAuthentication bool
}

var plain Policy

// orPlain makes a nil policy usable.
func (p *Policy) orPlain() *Policy {
	if p == nil {
		return &plain
	}
	return p
}

var noEnc encconf.Config

// enc returns the configuration, that of "none" if there is no file.
func (p *Policy) enc() *encconf.Config {
	if p.Enc == nil {
		return &noEnc
	}
	return p.Enc
}

func (p *Policy) encryptionRequired() bool { return p.RequireEncryption || p.enc().RequireEncryption }

func (p *Policy) authenticationRequired() bool {
	return p.RequireAuthentication || p.enc().RequireAuthentication
}

// digest returns the number of the digest to sign with, and to put into the
// header. Some keys cannot be used with some digests (spec 30 §6.9, OA-9): the
// number tells the peer which was taken instead.
func (p *Policy) digest() uint16 {
	md := p.enc().Digest
	if p.Creds == nil {
		return md
	}
	switch p.Creds.Key.Public().(type) {
	case ed25519.PublicKey:
		return 0
	case *rsa.PublicKey:
		switch md {
		case digest.BLAKE2s256:
			return digest.SHA256
		case digest.BLAKE2b512:
			return digest.SHA512
		}
	}
	return md
}

// Session is what an exchange has agreed on.
type Session struct {
	Data   []byte // the peer's data; empty for a C peer
	Cipher uint16 // a number of package cipher; 0: plain
	Key    []byte // 32 bytes; nil if plain
	Peer   string // name in the certificate of the peer, verified; "" if it showed none
}

// String leaves out the key.
func (s *Session) String() string {
	c := cipher.Name(s.Cipher)
	if c == "" {
		c = "plain"
	}
	return fmt.Sprintf("%s, peer %q", c, s.Peer)
}

// stronger returns the first of two numbers unless the second ranks higher.
func stronger(own, peer uint16, rank func(uint16) int) uint16 {
	if rank(peer) > rank(own) {
		return peer
	}
	return own
}

// agreeCipher returns the cipher of a session from what both ends have
// configured. It is never a CTR one, which would let packets be changed (spec
// 30 EN-6): a client that offers nothing better takes AES-256-GCM for a stronger
// choice.
func agreeCipher(own, peer uint16) uint16 {
	c := stronger(own, peer, cipher.Rank)
	if c != 0 && !cipher.Authenticated(c) {
		return cipher.AES256GCM
	}
	return c
}
