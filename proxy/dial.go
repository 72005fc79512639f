// SPDX-License-Identifier: BSD-3-Clause

package proxy

import (
	"context"
	"errors"
	"fmt"
	"time"

	"o7gw/o7s"
	"o7gw/o7s/qos"
	"o7gw/proxy/session"
)

// Dialer begins sessions with services. Errors have a status:
// session.StatusOf.
type Dialer struct {
	Stack   Stack
	Timeout time.Duration // for flow and status together; 0: 10 s
}

func (d *Dialer) context(ctx context.Context) (context.Context, context.CancelFunc) {
	limit := d.Timeout
	if limit == 0 {
		limit = dialLimit
	}
	return context.WithTimeout(ctx, limit)
}

// DialTCP allocates a flow to the service and asks for a TCP session. It
// returns when the other side has opened what req asks for. The zero qs is
// qos.Data; others are made reliable.
func (d *Dialer) DialTCP(ctx context.Context, service string, qs qos.Spec, req session.Request) (*Conn, error) {
	if err := req.Check(); err != nil {
		return nil, err
	}
	ctx, cancel := d.context(ctx)
	defer cancel()
	f, err := d.Stack.Dial(ctx, service, o7s.WithQoS(streamQoS(qs)))
	if err != nil {
		return nil, err
	}
	req.Proto = session.TCP
	if err := request(ctx, f, &req); err != nil {
		abort(f)
		return nil, err
	}
	return newConn(f), nil
}

// DialPlain allocates a reliable flow to a service that does not speak the
// session protocol, and takes it for a byte stream.
func (d *Dialer) DialPlain(ctx context.Context, service string, qs qos.Spec) (*Conn, error) {
	ctx, cancel := d.context(ctx)
	defer cancel()
	f, err := d.Stack.Dial(ctx, service, o7s.WithQoS(streamQoS(qs)))
	if err != nil {
		return nil, err
	}
	return PlainConn(f), nil
}

// request sends the request on a reliable flow and waits for the status.
func request(ctx context.Context, f *o7s.Flow, req *session.Request) error {
	if err := f.WriteContext(ctx, req.Append(nil)); err != nil {
		return err
	}
	return readStatus(ctx, f)
}

// statusRoom is the room for a status with its extensions, bytes.
const statusRoom = 1024

// readStatus waits for a status; it skips everything else, since on a raw flow
// datagrams may come before the status.
func readStatus(ctx context.Context, f *o7s.Flow) error {
	var buf [statusRoom]byte
	for {
		n, _, err := f.ReadContext(ctx, buf[:])
		if err != nil {
			return fmt.Errorf("wait for the status of %s: %w", f.Name(), err)
		}
		if n == 0 || session.Kind(buf[0]) != session.KindStatus {
			continue
		}
		s, _, err := session.ParseStatus(buf[:n])
		if err != nil {
			return err
		}
		if s != session.OK {
			return fmt.Errorf("%s: %w", f.Name(), s)
		}
		return nil
	}
}

// DialUDP allocates a flow to the service and asks for a UDP session. The zero
// qs is qos.Raw.
func (d *Dialer) DialUDP(ctx context.Context, service string, qs qos.Spec, req session.Request) (*Packets, error) {
	if err := req.Check(); err != nil {
		return nil, err
	}
	ctx, cancel := d.context(ctx)
	defer cancel()
	f, err := d.Stack.Dial(ctx, service, o7s.WithQoS(datagramQoS(qs)))
	if err != nil {
		return nil, err
	}
	req.Proto = session.UDP
	packet := req.Append(nil)
	for {
		if err = f.WriteContext(ctx, packet); err != nil {
			break
		}
		again, stop := context.WithTimeout(ctx, requestAgain)
		err = readStatus(again, f)
		stop()
		if err == nil {
			return newPackets(f, new(session.Datagrams)), nil
		}
		if ctx.Err() != nil || !errors.Is(err, context.DeadlineExceeded) {
			break
		}
	}
	abort(f)
	return nil, err
}

// abort closes a flow at once.
func abort(f *o7s.Flow) {
	f.SetLinger(0)
	f.Close()
}
