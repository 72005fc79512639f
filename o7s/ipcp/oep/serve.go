// SPDX-License-Identifier: BSD-3-Clause

package oep

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"time"

	"o7gw/o7s/ipcp/cep"
	"o7gw/o7s/layer"
)

// ackTimeout is how long an enrollee may take to start its components.
const ackTimeout = 10 * time.Second

// Member is what Serve needs.
type Member struct {
	// Membership returns what the enrollee gets, at this time.
	Membership func() Membership
	// Taken reports whether a member has the address; nil: addresses are not
	// used.
	Taken func(addr uint64) bool
	Now   func() time.Time
	Log   *slog.Logger
}

// Serve serves the enrollee at the other end of an enrolment connection,
// which it closes. Several may be served at the same time.
func Serve(ctx context.Context, c *cep.Conn, m Member) {
	defer c.Close()
	if err := m.serve(ctx, c); err != nil {
		m.Log.Debug("enrolment of a member failed", "err", err)
	}
}

func (m Member) serve(ctx context.Context, c *cep.Conn) error {
	in := receive(c)
	b, err := in.next(ctx, answerTimeout)
	if err != nil {
		return fmt.Errorf("no request: %w", err)
	}
	q, err := parseRequest(b)
	if err != nil {
		return err
	}
	if q.address != 0 && m.Taken != nil && m.Taken(q.address) {
		// Only ours name an address, so only ours are refused.
		send(c, response{id: q.id, time: m.Now(), result: -int32(layer.ErrIPCP), taken: true}.append(nil))
		in.next(ctx, answerTimeout) // until the enrollee has read it and closes
		return nil
	}
	ms := m.Membership()
	answer := response{id: q.id, time: m.Now(), conf: &ms}.append(nil)
	// A prototype believes what it gets, and crashes (OEP-1, OEP-2).
	if _, err := parseResponse(answer); err != nil {
		m.Log.Error("own configuration cannot be handed to an enrollee", "err", err)
		return err
	}
	send(c, answer)
	a, err := in.ack(ctx, q.id, b)
	switch {
	case err != nil:
		return fmt.Errorf("no acknowledgement: %w", err)
	case a.result != 0:
		return fmt.Errorf("the enrollee failed: %w", layer.Errno(-a.result))
	}
	m.Log.Debug("enrolled a member", "layer", ms.Config.Layer)
	return nil
}

// ack waits for the acknowledgement. Copies of the request, where the layer
// below makes such, are none.
func (in *inbox) ack(ctx context.Context, of id, request []byte) (ack, error) {
	ctx, cancel := context.WithTimeout(ctx, ackTimeout)
	defer cancel()
	for {
		b, err := in.next(ctx, ackTimeout)
		if err != nil {
			return ack{}, err
		}
		if bytes.Equal(b, request) {
			continue
		}
		a, err := parseAck(b)
		if err == nil && a.id != of {
			err = fmt.Errorf("it is of another request: %w", errMessage)
		}
		return a, err
	}
}
