// SPDX-License-Identifier: BSD-3-Clause

package httpproxy

import (
	"log"
	"net/http"
	"net/http/httputil"
	"strings"
	"sync"
)

// forwarded are the headers that ReverseProxy takes away, since it stands in
// front of servers; here they are the client's own.
var forwarded = []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto"}

// forward serves a request for an http URL.
func (p *Proxy) forward(w http.ResponseWriter, r *http.Request, c *client) {
	for _, via := range r.Header["Via"] {
		if strings.Contains(via, p.via) {
			fail(w, http.StatusLoopDetected, "This request has been here before: the exit that it takes leads back to this proxy.")
			return
		}
	}
	rp := httputil.ReverseProxy{
		Transport:     &c.transport,
		FlushInterval: -1, // at once: there may be events in the body
		BufferPool:    buffers{},
		ErrorLog:      log.New(discard{}, "", 0), // refuse has them
		ErrorHandler:  p.refuse,
		Rewrite: func(pr *httputil.ProxyRequest) {
			pr.Out.URL.RawQuery = pr.In.URL.RawQuery // as it came, also if it is odd
			for _, name := range forwarded {
				if v, ok := pr.In.Header[name]; ok {
					pr.Out.Header[name] = v
				}
			}
			pr.Out.Header.Add("Via", "1.1 "+p.via)
		},
		ModifyResponse: func(res *http.Response) error {
			res.Header.Add("Via", "1.1 "+p.via)
			return nil
		},
	}
	rp.ServeHTTP(w, r)
}

// copySize is how much of a body is copied at once, bytes.
const copySize = 32 << 10

var copying = sync.Pool{New: func() any { return new([copySize]byte) }}

// buffers are those that bodies are copied with.
type buffers struct{}

func (buffers) Get() []byte { return copying.Get().(*[copySize]byte)[:] }

func (buffers) Put(b []byte) { copying.Put((*[copySize]byte)(b)) }

// discard takes the lines that ReverseProxy logs of errors that the other side
// of the connection is told of.
type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }
