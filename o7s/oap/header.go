// SPDX-License-Identifier: BSD-3-Clause

// Package oap implements the Ouroboros Allocation Protocol (spec 30 §6): one
// request and one response per flow, carried as the piggyback of the flow
// request and of its positive answer. It binds the two by a random id and the
// hash of the request, keeps replayed requests out, agrees on a key for the
// packets of the flow, and tells who the peer is. What each end has and wants
// is its Policy; a policy can require encryption or authentication, so that
// taking them out of the messages ends the allocation.
//
// What the prototype leaves open stays open: a signed request does not name the
// server it is meant for, so who gets one can show it to another server for 20
// seconds (he does not learn the key of the flow).
//
// Start with NewRequest on the client and with Server on the server. AppendCaps
// and ParseCaps code the list of extensions in the data field.
package oap

import (
	"encoding/binary"
	"errors"
	"fmt"

	"o7gw/o7s/oap/cipher"
	"o7gw/o7s/oap/digest"
)

// Sizes in bytes.
const (
	IDSize     = 16
	HeaderSize = 36 // fixed part; a shorter message is no OAP message

	maxField = 1<<16 - 1 // of the length fields of certificate and data
	maxKex   = 1<<14 - 1 // of that of key exchange content
)

// KexFlags say how the key exchange content is to be read. They are set only
// if there is content and the algorithm is a KEM.
type KexFlags uint16

const (
	KexRaw    KexFlags = 1 << 15 // F: bare bytes, not SubjectPublicKeyInfo
	KexClient KexFlags = 1 << 14 // R: the client encapsulated
)

// Header is a whole OAP message (spec 30 §6.2). Slices of a parsed header
// share the memory of the message.
type Header struct {
	ID        [IDSize]byte // random, chosen by the client, repeated by the server
	Timestamp uint64       // ns since 1970 UTC, of the sender of this message
	Cipher    uint16       // number of spec 30 §6.3, or 0
	KDF       uint16       // likewise
	MD        uint16       // digest of the signature; of a request, also of ReqHash
	KexFlags  KexFlags
	Cert      []byte // X.509 certificate, DER, leaf only
	Kex       []byte // public key or ciphertext
	Data      []byte // for the peer's endpoint
	ReqHash   []byte // responses only: digest over the whole request
	Sig       []byte // over everything before it; only with Cert
}

var errShort = errors.New("message is too short for its lengths")

// Parse reads a whole message. hashLen is the length of the request hash in
// bytes: 0 for a request, that of the digest named by the request for its
// response.
func Parse(b []byte, hashLen int) (Header, error) {
	var h Header
	if len(b) < HeaderSize {
		return h, fmt.Errorf("parse OAP header: %d bytes, need %d", len(b), HeaderSize)
	}
	copy(h.ID[:], b)
	h.Timestamp = binary.BigEndian.Uint64(b[16:])
	h.Cipher = binary.BigEndian.Uint16(b[24:])
	h.KDF = binary.BigEndian.Uint16(b[26:])
	h.MD = binary.BigEndian.Uint16(b[28:])
	certLen := int(binary.BigEndian.Uint16(b[30:]))
	kex := binary.BigEndian.Uint16(b[32:])
	dataLen := int(binary.BigEndian.Uint16(b[34:]))
	h.KexFlags = KexFlags(kex) & (KexRaw | KexClient)

	if h.Cipher != 0 && !cipher.Known(h.Cipher) {
		return h, fmt.Errorf("parse OAP header: unknown cipher %d", h.Cipher)
	}
	if h.KDF != 0 && !digest.Known(h.KDF) {
		return h, fmt.Errorf("parse OAP header: unknown KDF hash %d", h.KDF)
	}
	if h.MD != 0 && !digest.Known(h.MD) {
		return h, fmt.Errorf("parse OAP header: unknown digest %d", h.MD)
	}

	rest := b[HeaderSize:]
	for _, f := range []struct {
		to *[]byte
		n  int
	}{{&h.Cert, certLen}, {&h.Kex, int(kex & maxKex)}, {&h.Data, dataLen}, {&h.ReqHash, hashLen}} {
		if f.n < 0 || f.n > len(rest) {
			return h, fmt.Errorf("parse OAP header: %w", errShort)
		}
		*f.to, rest = rest[:f.n:f.n], rest[f.n:]
	}
	h.Sig = rest
	if len(h.Cert) == 0 && len(h.Sig) > 0 {
		return h, fmt.Errorf("parse OAP header: %d bytes behind the end, and no certificate", len(h.Sig))
	}
	return h, nil
}

// Append appends the message to dst. It panics if a field is longer than its
// length field can say: what users configure is to be checked when it is read.
func (h *Header) Append(dst []byte) []byte {
	if len(h.Cert) > maxField || len(h.Kex) > maxKex || len(h.Data) > maxField {
		panic("oap: field too long")
	}
	dst = append(dst, h.ID[:]...)
	dst = binary.BigEndian.AppendUint64(dst, h.Timestamp)
	dst = binary.BigEndian.AppendUint16(dst, h.Cipher)
	dst = binary.BigEndian.AppendUint16(dst, h.KDF)
	dst = binary.BigEndian.AppendUint16(dst, h.MD)
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(h.Cert)))
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(h.Kex))|uint16(h.KexFlags&(KexRaw|KexClient)))
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(h.Data)))
	for _, f := range [][]byte{h.Cert, h.Kex, h.Data, h.ReqHash, h.Sig} {
		dst = append(dst, f...)
	}
	return dst
}

// requestHash returns the digest over a whole request, as its response has to
// repeat it; md is that of the request.
func requestHash(md uint16, request []byte) []byte {
	if md == 0 {
		md = digest.SHA384
	}
	h := digest.New(md)
	h.Write(request)
	return h.Sum(nil)
}
