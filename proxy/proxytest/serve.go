// SPDX-License-Identifier: BSD-3-Clause

package proxytest

import (
	"io"
	"net"
	"sync"
	"testing"
)

// Serve calls handle for each connection of a listener, and closes it after
// that, until stop is called or the test ends.
func Serve(t testing.TB, l net.Listener, handle func(*net.TCPConn)) (stop func()) {
	t.Helper()
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer c.Close()
				handle(c.(*net.TCPConn))
			})
		}
	})
	stop = sync.OnceFunc(func() {
		l.Close()
		wg.Wait()
	})
	t.Cleanup(stop)
	return stop
}

// Echo writes what it reads from a connection.
func Echo(c *net.TCPConn) { io.Copy(c, c) }
