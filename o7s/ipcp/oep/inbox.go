// SPDX-License-Identifier: BSD-3-Clause

package oep

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"time"

	"o7gw/o7s/ipcp/cep"
	"o7gw/o7s/layer"
	"o7gw/o7s/packet"
)

// inbox keeps the messages of one exchange for the goroutine that waits for
// them. Nobody has to say more than a few.
type inbox struct {
	got    chan []byte
	closed chan struct{}
}

func receive(c *cep.Conn) *inbox {
	in := &inbox{got: make(chan []byte, 4), closed: make(chan struct{})}
	c.Receive(in)
	return in
}

// Packets implements layer.Receiver.
func (in *inbox) Packets(pkts []*packet.Buffer) {
	for _, b := range pkts {
		select { // one byte more than maxMessage is enough to see that it is too long
		case in.got <- bytes.Clone(b.Bytes()[:min(b.Len(), maxMessage+1)]):
		default:
		}
		b.Release()
	}
}

// Event implements layer.Receiver.
func (in *inbox) Event(e layer.Event) {
	if e == layer.Closed {
		close(in.closed)
	}
}

// next waits for a message.
func (in *inbox) next(ctx context.Context, limit time.Duration) ([]byte, error) {
	t := time.NewTimer(limit)
	defer t.Stop()
	select {
	case b := <-in.got:
		return b, nil
	case <-in.closed: // what came before that counts
		select {
		case b := <-in.got:
			return b, nil
		default:
			return nil, fmt.Errorf("the peer closed the flow: %w", io.ErrUnexpectedEOF)
		}
	case <-t.C:
		return nil, layer.ErrTimedOut
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func send(c *cep.Conn, msg []byte) {
	b := packet.Get(len(msg))
	b.Append(msg)
	c.Send([]*packet.Buffer{b})
}
