// SPDX-License-Identifier: BSD-3-Clause

package oap

import (
	"crypto/subtle"
	"fmt"
	"io"
	"time"

	"o7gw/o7s/layer"
)

// MaxData is the largest data field, in bytes, that this package sends: flow
// requests of shims have to fit a frame and the 2048-byte buffer of a C peer.
const MaxData = 1024

// Client is the requester's side of one allocation:
//
//	REQUESTED --Finish--> done
type Client struct {
	id      [IDSize]byte
	request []byte
	hash    []byte
}

// NewRequest makes a plain request. random gives the id; data goes to the
// peer, at most MaxData bytes. It panics if random fails, which
// crypto/rand.Reader never does, or if data is too long.
func NewRequest(now time.Time, random io.Reader, data []byte) *Client {
	if len(data) > MaxData {
		panic("oap: data too long")
	}
	h := Header{Timestamp: uint64(now.UnixNano()), Data: data}
	if _, err := io.ReadFull(random, h.ID[:]); err != nil {
		panic("oap: no randomness: " + err.Error())
	}
	c := &Client{id: h.ID, request: h.Append(nil)}
	c.hash = requestHash(h.MD, c.request)
	return c
}

// Request returns the message to send as piggyback of the flow request.
func (c *Client) Request() []byte { return c.request }

// Finish checks the response and returns the peer's data, which shares the
// memory of resp; it is empty for a C peer. An error is layer.ErrCrypt for a
// response that does not belong to the request or asks for encryption, and
// layer.ErrAuth for one that has a certificate: it cannot be verified, and
// taking it for good would be worse than having none.
func (c *Client) Finish(resp []byte) (data []byte, err error) {
	h, err := Parse(resp, len(c.hash))
	switch {
	case err != nil:
		return nil, fmt.Errorf("finish flow allocation: %w: %w", layer.ErrCrypt, err)
	case h.ID != c.id:
		return nil, fmt.Errorf("finish flow allocation: %w: response to another request", layer.ErrCrypt)
	case len(h.Cert) > 0:
		return nil, fmt.Errorf("finish flow allocation: %w: the server sent a certificate, and this build cannot verify it", layer.ErrAuth)
	case subtle.ConstantTimeCompare(h.ReqHash, c.hash) != 1:
		return nil, fmt.Errorf("finish flow allocation: %w: the server answered a request that was changed on its way", layer.ErrCrypt)
	case h.Cipher != 0 || len(h.Kex) > 0:
		return nil, fmt.Errorf("finish flow allocation: %w: the server wants encryption, and this build has none", layer.ErrCrypt)
	}
	return h.Data, nil
}
