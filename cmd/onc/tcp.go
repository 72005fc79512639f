// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"context"
	"net"
	"time"
)

// tcp is a TCP connection as the end of a flow.
type tcp struct {
	source
	conn *net.TCPConn
}

func dialTCP(ctx context.Context, addr string) (*tcp, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	conn := c.(*net.TCPConn)
	return &tcp{source: source{Reader: conn}, conn: conn}, nil
}

// The end of a connection cannot be told from that of one direction: where the
// flow has no ends of directions, it must be the end of both.
func (t *tcp) traits() traits { return traits{closeAfterInput: true} }

func (t *tcp) writeAll(bufs [][]byte) error {
	b := net.Buffers(bufs)
	_, err := b.WriteTo(t.conn)
	return err
}

func (t *tcp) finish() error  { return t.conn.CloseWrite() }
func (t *tcp) finished() bool { return false }

func (t *tcp) interrupt() { t.conn.SetDeadline(time.Unix(1, 0)) }

func (t *tcp) waiting() int { return 0 }

func (t *tcp) close() error { return t.conn.Close() }
