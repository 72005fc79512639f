// SPDX-License-Identifier: BSD-3-Clause

package httpproxy

import (
	"io"
	"net/http"

	"o7gw/proxy"
)

// established is the answer to a CONNECT request that was granted.
const established = "HTTP/1.1 200 Connection established\r\n\r\n"

// connect serves a CONNECT request: from the answer on the connection is a
// session.
func (p *Proxy) connect(w http.ResponseWriter, r *http.Request, c *client) {
	// Not the context of the request: it ends when the client ends its
	// direction, which it may do before the answer.
	conn, info, err := p.open(p.upstreams.ctx, c.from, r.Host)
	if err != nil {
		p.refuse(w, r, err)
		return
	}
	nc, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		conn.Reset()
		p.book.Refused(info, err)
		return
	}
	defer nc.Close()
	e := p.book.Open(info)
	// What the client has sent behind its request is in the buffer.
	early, _ := rw.Reader.Peek(rw.Reader.Buffered())
	_, err = io.WriteString(nc, established)
	if err == nil && len(early) > 0 {
		_, err = conn.Write(early)
		e.Tx(0, len(early))
	}
	if err != nil {
		conn.Reset()
		e.Close(err)
		return
	}
	e.Close(proxy.Relay(p.upstreams.ctx, c.TCPConn, conn, e))
}
