// SPDX-License-Identifier: BSD-3-Clause

package expose

import (
	"context"
	"net"
	"time"

	"o7gw/proxy/udpsock"
)

// keepAlive finds out that a service of another machine is gone.
var keepAlive = net.KeepAliveConfig{Enable: true, Idle: time.Minute, Interval: 30 * time.Second}

// dialTCP connects to a local service.
func dialTCP(ctx context.Context, at string, limit time.Duration) (*net.TCPConn, error) {
	d := net.Dialer{Timeout: limit, KeepAliveConfig: keepAlive}
	c, err := d.DialContext(ctx, "tcp", at)
	if err != nil {
		return nil, err
	}
	return c.(*net.TCPConn), nil
}

// dialUDP opens a socket of its own for one session with a local service.
func dialUDP(ctx context.Context, at string, limit time.Duration) (*udpsock.Socket, error) {
	d := net.Dialer{Timeout: limit}
	c, err := d.DialContext(ctx, "udp", at)
	if err != nil {
		return nil, err
	}
	sock, err := udpsock.New(c.(*net.UDPConn), true)
	if err != nil {
		c.Close()
		return nil, err
	}
	return sock, nil
}
