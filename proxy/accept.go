// SPDX-License-Identifier: BSD-3-Clause

package proxy

import (
	"context"
	"fmt"
	"time"

	"o7gw/o7s"
	"o7gw/proxy/session"
)

// Incoming is a flow with its request. Exactly one of AcceptTCP, AcceptUDP and
// Refuse must be called.
type Incoming struct {
	Request session.Request
	Flow    *o7s.Flow
}

// requestRoom is the room for a request with its extensions, bytes.
const requestRoom = 1024

// longestTimeout is the longest peer timeout that a requester may ask for: its
// session is held for so long after it has vanished.
const longestTimeout = time.Hour

// Accept waits for the request on a new flow, not for long. After an error the
// flow is closed.
func Accept(ctx context.Context, f *o7s.Flow) (*Incoming, error) {
	ctx, cancel := context.WithTimeout(ctx, requestLimit)
	defer cancel()
	var buf [requestRoom]byte
	n := 0
	for n == 0 {
		var err error
		if n, _, err = f.ReadContext(ctx, buf[:]); err != nil {
			abort(f)
			return nil, fmt.Errorf("wait for a request: %w", err)
		}
	}
	req, _, err := session.ParseRequest(buf[:n])
	in := &Incoming{req, f}
	reliable := f.QoS().Reliable()
	switch {
	case err != nil:
		in.Refuse(session.BadRequest)
		return nil, err
	case req.Proto != session.TCP && req.Proto != session.UDP:
		in.Refuse(session.Unsupported)
		return nil, fmt.Errorf("request for %v: %w", req.Proto, session.Unsupported)
	case f.QoS().Timeout == 0 || f.QoS().PeerTimeout() > longestTimeout:
		in.Refuse(session.BadRequest)
		return nil, fmt.Errorf("flow with a peer timeout of %v, 0 is none: %w", f.QoS().PeerTimeout(), session.BadRequest)
	case reliable != (req.Proto == session.TCP):
		in.Refuse(session.BadRequest)
		return nil, fmt.Errorf("request for %v on a flow of QoS %v: %w", req.Proto, f.QoS(), session.BadRequest)
	}
	return in, nil
}

// AcceptTCP answers the request for a TCP session: the target is open.
func (in *Incoming) AcceptTCP() (*Conn, error) {
	if err := in.answer(session.OK); err != nil {
		abort(in.Flow)
		return nil, err
	}
	return newConn(in.Flow), nil
}

// AcceptUDP answers the request for a UDP session: the target is open.
func (in *Incoming) AcceptUDP() (*Packets, error) {
	if err := in.answer(session.OK); err != nil {
		abort(in.Flow)
		return nil, err
	}
	return newPackets(in.Flow, session.Answered()), nil
}

func (in *Incoming) answer(s session.Status) error {
	in.Flow.SetWriteDeadline(time.Now().Add(requestLimit))
	err := in.Flow.WritePacket(s.Append(nil))
	in.Flow.SetWriteDeadline(time.Time{})
	return err
}

// refuseLinger is how long a refusal may take to arrive, before the flow goes.
const refuseLinger = 2 * time.Second

// Refuse answers the request with a status other than OK and closes the flow.
func (in *Incoming) Refuse(s session.Status) {
	in.answer(s)
	in.Flow.SetLinger(refuseLinger)
	in.Flow.Close()
}
