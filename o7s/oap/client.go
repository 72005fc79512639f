// SPDX-License-Identifier: BSD-3-Clause

package oap

import (
	"crypto/subtle"
	"io"
	"time"

	"o7gw/o7s/layer"
	"o7gw/o7s/oap/cipher"
	"o7gw/o7s/oap/digest"
	"o7gw/o7s/oap/kex"
)

// MaxData is the largest data field, in bytes, that this package sends: flow
// requests of shims have to fit a frame and the 2048-byte buffer of a C peer.
const MaxData = 1024

// Client is the requester's side of one allocation:
//
//	REQUESTED --Finish--> done
//
// It belongs to one goroutine.
type Client struct {
	policy  *Policy
	id      [IDSize]byte
	request []byte
	hash    []byte
	cipher  uint16 // what we asked for
	kdf     uint16
	// key waits for the server's answer; when the client encapsulates, secret
	// is there at once instead. Both are nil for a plain flow.
	key    *kex.Key
	secret *kex.Secret
}

const opRequest = "make flow request"

// NewRequest makes a request under a policy; nil is the zero Policy. random
// gives the id and the key; data goes to the peer, at most MaxData bytes. An
// error is layer.ErrCrypt or layer.ErrAuth: the policy asks for what its parts
// cannot give.
func NewRequest(now time.Time, random io.Reader, p *Policy, data []byte) (*Client, error) {
	p = p.orPlain()
	enc := p.enc()
	switch {
	case p.encryptionRequired() && enc.Kex == 0:
		return nil, refuse(opRequest, layer.ErrCrypt, "encryption is required for flows to %q, and no key exchange is configured; write an enc.conf for the client side (an empty one will do)", p.Name)
	case p.authenticationRequired() && p.Store == nil:
		return nil, refuse(opRequest, layer.ErrAuth, "authentication is required for flows to %q, and there are no CA certificates to verify the server with", p.Name)
	}
	h := Header{Timestamp: uint64(now.UnixNano()), Cipher: enc.Cipher, KDF: enc.KDF, MD: p.digest(), Data: data}
	if _, err := io.ReadFull(random, h.ID[:]); err != nil {
		return nil, refuse(opRequest, layer.ErrCrypt, "no random bytes: %w", err)
	}
	c := &Client{policy: p, id: h.ID, cipher: enc.Cipher, kdf: enc.KDF}
	if err := c.offer(&h, random); err != nil {
		return nil, err
	}
	request, err := h.sign(opRequest, p, random)
	if err != nil {
		return nil, err
	}
	c.request = request
	c.hash = requestHash(h.MD, request)
	return c, nil
}

// offer puts the key exchange content into the request.
func (c *Client) offer(h *Header, random io.Reader) (err error) {
	enc := c.policy.enc()
	switch {
	case enc.Kex == 0:
		return nil
	case enc.Kex.KEM() && enc.ClientEncap:
		return c.encapsulate(h, random)
	case enc.Kex.Hybrid():
		h.KexFlags = KexRaw
	}
	if c.key, err = kex.Generate(enc.Kex, random); err != nil {
		return refuse(opRequest, layer.ErrCrypt, "%w", err)
	}
	h.Kex = c.key.Public()
	return nil
}

// encapsulate makes the secret with the static key of the server.
func (c *Client) encapsulate(h *Header, random io.Reader) error {
	enc := c.policy.enc()
	if len(c.policy.KEMKey) == 0 {
		return refuse(opRequest, layer.ErrCrypt, "enc.conf says kem_mode = client, and the server's public key (kex.srv.pub.pem or .raw) is missing")
	}
	server, err := kex.ParseStaticPublic(c.policy.KEMKey)
	if err != nil {
		return refuse(opRequest, layer.ErrCrypt, "the server's public key (kex.srv.pub.pem or .raw): %w", err)
	}
	if server.Algorithm != enc.Kex {
		return refuse(opRequest, layer.ErrCrypt, "enc.conf says kex = %v, and the server's public key is one of %v", enc.Kex, server.Algorithm)
	}
	h.KexFlags = KexClient
	if enc.Kex.Hybrid() {
		h.KexFlags |= KexRaw
	}
	if h.Kex, c.secret, err = server.Respond(random); err != nil {
		return refuse(opRequest, layer.ErrCrypt, "%w", err)
	}
	return nil
}

// Request returns the message to send as piggyback of the flow request.
func (c *Client) Request() []byte { return c.request }

const opFinish = "finish flow allocation"

// Finish checks the response and derives the session key. It may be called
// once. Session.Data shares the memory of resp. An error is layer.ErrAuth when
// the server is not who it should be, and layer.ErrCrypt otherwise.
func (c *Client) Finish(now time.Time, resp []byte) (*Session, error) {
	h, err := Parse(resp, len(c.hash))
	switch {
	case err != nil:
		return nil, refuse(opFinish, layer.ErrCrypt, "%w", err)
	case h.ID != c.id:
		return nil, refuse(opFinish, layer.ErrCrypt, "response to another request")
	case subtle.ConstantTimeCompare(h.ReqHash, c.hash) != 1:
		return nil, refuse(opFinish, layer.ErrCrypt, "the server answered a request that was changed on its way")
	}
	peer, err := c.policy.authenticate(now, &h, resp)
	if err != nil {
		return nil, refuse(opFinish, layer.ErrAuth, "the server %w", err)
	}
	if len(h.Cert) > 0 && peer != c.policy.Name {
		return nil, refuse(opFinish, layer.ErrAuth, "the server's certificate is for %q, not for %q", peer, c.policy.Name)
	}
	s := &Session{Data: h.Data, Peer: peer}
	if err := c.finishKey(&h, s); err != nil {
		return nil, err
	}
	return s, nil
}

// finishKey checks what the server has chosen and derives the key.
func (c *Client) finishKey(h *Header, s *Session) error {
	if c.key == nil && c.secret == nil {
		if h.Cipher != 0 || len(h.Kex) > 0 {
			return refuse(opFinish, layer.ErrCrypt, "the server wants encryption, and none is configured here; write an enc.conf for the client side")
		}
		return nil
	}
	kdf := c.kdf
	switch {
	case h.Cipher == 0:
		return refuse(opFinish, layer.ErrCrypt, "the server answered without encryption")
	case !cipher.Authenticated(h.Cipher):
		return refuse(opFinish, layer.ErrCrypt, "the server chose %s, which does not protect packets from being changed; configure aes-256-gcm or chacha20-poly1305", cipher.Name(h.Cipher))
	case cipher.Rank(h.Cipher) < cipher.Rank(c.cipher):
		return refuse(opFinish, layer.ErrCrypt, "the server chose %s, which is weaker than the %s configured here", cipher.Name(h.Cipher), cipher.Name(c.cipher))
	case c.secret != nil: // whose KDF is ours
	case h.KDF != 0 && digest.Rank(h.KDF) < digest.Rank(c.kdf):
		return refuse(opFinish, layer.ErrCrypt, "the server chose key derivation with %s, which is weaker than the %s configured here", digest.Name(h.KDF), digest.Name(c.kdf))
	case h.KDF != 0:
		kdf = h.KDF
	}
	secret := c.secret
	if secret == nil {
		if len(h.Kex) == 0 {
			return refuse(opFinish, layer.ErrCrypt, "the server answered without key exchange")
		}
		var err error
		if secret, err = c.key.Finish(h.Kex); err != nil {
			return refuse(opFinish, layer.ErrCrypt, "%w", err)
		}
	}
	key, err := secret.Key(kdf)
	if err != nil {
		return refuse(opFinish, layer.ErrCrypt, "%w", err)
	}
	c.key, c.secret = nil, nil
	s.Cipher, s.Key = h.Cipher, key
	return nil
}
