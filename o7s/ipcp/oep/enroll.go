// SPDX-License-Identifier: BSD-3-Clause

// Package oep is the enrolment protocol OEP (spec 10 §7): how an IPC process
// gets the configuration of a layer from one of its members.
//
//	enrollee                                      member
//	  CEP "Enrollment" (package cep)        ◀───▶
//	  request(id)                            ───▶
//	                                         ◀───  response(id, time, result, configuration)
//	  starts its components
//	  ack(id, 0)                             ───▶
//
// Enroll is the enrollee's side, Serve the member's.
package oep

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"o7gw/o7s/ipcp"
	"o7gw/o7s/ipcp/cep"
	"o7gw/o7s/layer"
)

const (
	// answerTimeout is how long the response may take (spec 10 §7.1).
	answerTimeout = time.Second
	// clockSkew is the difference of the clocks above which there is a warning:
	// the directory's expiry times are absolute.
	clockSkew = 20 * time.Millisecond
)

// ErrTaken is returned by Enroll if another member has the address asked for.
var ErrTaken = errors.New("another member of the layer has the address")

// Enrollee is what Enroll needs.
type Enrollee struct {
	Type    ipcp.Type // own; a layer of another one is refused
	Address uint64    // that it would like to have, for members of ours to see; 0: none
	// Start starts the components, between response and acknowledgement.
	Start func(Membership) error
	Now   func() time.Time
	Rand  io.Reader
	Log   *slog.Logger
}

// Enroll joins the layer of the member at the other end of an enrolment
// connection, which it closes.
func Enroll(ctx context.Context, c *cep.Conn, e Enrollee) (Membership, error) {
	defer c.Close()
	in := receive(c)
	var attempt id
	if _, err := io.ReadFull(e.Rand, attempt[:]); err != nil {
		return Membership{}, fmt.Errorf("enrol: %w", err)
	}
	q := request{id: attempt}
	if c.Ours() {
		q.address = e.Address
	}
	asked := e.Now()
	send(c, q.append(nil))
	b, err := in.next(ctx, answerTimeout)
	if err != nil {
		return Membership{}, fmt.Errorf("enrol: no response: %w", err)
	}
	r, err := parseResponse(b)
	switch {
	case err != nil:
	case r.id != attempt:
		err = fmt.Errorf("response to another request: %w", layer.ErrIPCP)
	case r.taken:
		err = ErrTaken
	case r.result < 0:
		err = fmt.Errorf("the member refused: %w", layer.Errno(-r.result))
	case r.conf.Config.Type != e.Type:
		err = fmt.Errorf("the layer is of type %v, not %v: %w", r.conf.Config.Type, e.Type, layer.ErrIPCPType)
	}
	if err != nil {
		return Membership{}, fmt.Errorf("enrol: %w", err)
	}
	e.compare(asked, r.time)
	if err := e.Start(*r.conf); err != nil {
		return Membership{}, fmt.Errorf("enrol: %w", err)
	}
	send(c, ack{id: attempt}.append(nil))
	return *r.conf, nil
}

// compare warns if the clocks differ by more than the round trip explains.
func (e Enrollee) compare(asked, theirs time.Time) {
	rtt := e.Now().Sub(asked)
	if diff := theirs.Sub(asked).Abs() - rtt; diff > clockSkew {
		e.Log.Warn("clock differs from that of the member enrolled with", "by", diff.Round(time.Millisecond))
	}
}
