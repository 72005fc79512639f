// SPDX-License-Identifier: BSD-3-Clause

package oap

import (
	"io"
	"time"

	"o7gw/o7s/layer"
	"o7gw/o7s/oap/digest"
	"o7gw/o7s/oap/kex"
)

// Pending is a request that waits for its response:
//
//	ACCEPTED --Negotiate--> AGREED --Respond--> done
//	    |
//	    +-----error-------> refused
//
// It belongs to one goroutine at a time.
type Pending struct {
	server  *Server
	request []byte
	header  Header

	// Set by Negotiate.
	policy *Policy // nil: not agreed
	random io.Reader
	answer Header
}

// Data returns the client's data. It shares the memory of the request.
func (p *Pending) Data() []byte { return p.header.Data }

// Negotiate checks the request against the policy of its name, nil for the
// zero Policy, and derives the session key: it takes a good part of a
// millisecond. It may be called once. Session.Data is the client's. Errors are layer.ErrAuth
// when the client is not proven to be anybody, and layer.ErrCrypt when there
// is no agreement on encryption.
func (p *Pending) Negotiate(now time.Time, random io.Reader, pol *Policy) (*Session, error) {
	pol = pol.orPlain()
	peer, err := pol.authenticate(now, &p.header, p.request)
	if err != nil {
		p.server.unauthenticated.Add(1)
		return nil, refuse(opAccept, layer.ErrAuth, "the client %w", err)
	}
	s := &Session{Data: p.header.Data, Peer: peer}
	p.answer = Header{ID: p.header.ID, MD: pol.digest()}
	if err := p.agree(random, pol, s); err != nil {
		p.server.disagreed.Add(1)
		return nil, err
	}
	p.policy, p.random = pol, random
	return s, nil
}

// agree fills in the answer to the key exchange and the session's key.
func (p *Pending) agree(random io.Reader, pol *Policy, s *Session) error {
	h, enc := &p.header, pol.enc()
	if len(h.Kex) == 0 {
		switch {
		case h.Cipher != 0:
			return refuse(opAccept, layer.ErrCrypt, "the client wants encryption and sent no key exchange")
		case enc.Kex != 0:
			return refuse(opAccept, layer.ErrCrypt, "the client wants no encryption, and enc.conf of this name says kex = %v; write an enc.conf for the client side", enc.Kex)
		case pol.encryptionRequired():
			return refuse(opAccept, layer.ErrCrypt, "the client wants no encryption, and it is required for this name; write an enc.conf for the client side")
		}
		return nil
	}
	c := agreeCipher(enc.Cipher, h.Cipher)
	if c == 0 {
		return refuse(opAccept, layer.ErrCrypt, "the client sent a key exchange and no cipher, and none is configured here")
	}
	kdf := stronger(enc.KDF, h.KDF, digest.Rank)
	if h.KexFlags&KexClient != 0 && kdf != h.KDF {
		return refuse(opAccept, layer.ErrCrypt, "the client has derived its key with %q already, and %s is configured here; give both enc.conf the same kdf", digest.Name(h.KDF), digest.Name(kdf))
	}
	if kdf == 0 {
		return refuse(opAccept, layer.ErrCrypt, "the client sent a key exchange and no kdf, and none is configured here")
	}
	secret, err := p.exchange(random, pol)
	if err != nil {
		return err
	}
	if s.Key, err = secret.Key(kdf); err != nil {
		return refuse(opAccept, layer.ErrCrypt, "%w", err)
	}
	s.Cipher = c
	p.answer.Cipher, p.answer.KDF = c, kdf
	return nil
}

// exchange makes the secret, and the content that lets the client make it too.
func (p *Pending) exchange(random io.Reader, pol *Policy) (*kex.Secret, error) {
	h, enc := &p.header, pol.enc()
	if h.KexFlags&KexClient != 0 {
		return p.decapsulate(pol)
	}
	offer, err := kex.ParsePublic(h.Kex, h.KexFlags&KexRaw != 0)
	if err != nil {
		return nil, refuse(opAccept, layer.ErrCrypt, "the client's %w", err)
	}
	if offer.Algorithm.Rank() < enc.Kex.Rank() {
		return nil, refuse(opAccept, layer.ErrCrypt, "the client chose %v, which is weaker than the %v configured here", offer.Algorithm, enc.Kex)
	}
	content, secret, err := offer.Respond(random)
	if err != nil {
		return nil, refuse(opAccept, layer.ErrCrypt, "%w", err)
	}
	p.answer.Kex = content
	if offer.Algorithm.Hybrid() {
		p.answer.KexFlags = KexRaw
	}
	return secret, nil
}

// decapsulate makes the secret with the static key of this name.
func (p *Pending) decapsulate(pol *Policy) (*kex.Secret, error) {
	h, enc := &p.header, pol.enc()
	switch {
	case !enc.Kex.KEM():
		return nil, refuse(opAccept, layer.ErrCrypt, "the client uses a static KEM key of this server, and enc.conf of this name says kex = %v", enc.Kex)
	case len(pol.KEMKey) == 0:
		return nil, refuse(opAccept, layer.ErrCrypt, "the client uses a static KEM key of this server, and kex.key.pem or .raw of this name is missing")
	case enc.Kex.Hybrid() != (h.KexFlags&KexRaw != 0):
		return nil, refuse(opAccept, layer.ErrCrypt, "the client uses another KEM than the %v configured here", enc.Kex)
	}
	key, err := kex.ParseStaticKey(pol.KEMKey)
	if err != nil {
		return nil, refuse(opAccept, layer.ErrCrypt, "kex.key.pem or .raw of this name: %w", err)
	}
	if key.Algorithm != enc.Kex {
		return nil, refuse(opAccept, layer.ErrCrypt, "enc.conf of this name says kex = %v, and its static key is one of %v", enc.Kex, key.Algorithm)
	}
	secret, err := key.Finish(h.Kex)
	if err != nil {
		return nil, refuse(opAccept, layer.ErrCrypt, "%w", err)
	}
	return secret, nil
}

const opRespond = "answer flow request"

// Respond returns the response, the piggyback of the positive answer. It comes
// after Negotiate. data goes to the client, at most MaxData bytes: only to one
// that sent data itself (spec 60 §2).
func (p *Pending) Respond(now time.Time, data []byte) ([]byte, error) {
	if p.policy == nil {
		return nil, refuse(opRespond, layer.ErrCrypt, "nothing has been agreed on")
	}
	p.answer.Timestamp = uint64(now.UnixNano())
	p.answer.Data = data
	p.answer.ReqHash = requestHash(p.header.MD, p.request)
	return p.answer.sign(opRespond, p.policy, p.random)
}
