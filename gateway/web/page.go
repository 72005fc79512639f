// SPDX-License-Identifier: BSD-3-Clause

package web

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"time"
)

//go:embed page
var files embed.FS

// routes is everything that is served.
func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	parts, err := fs.ReadDir(files, "page")
	if err != nil {
		panic(err) // they are in this program
	}
	for _, p := range parts {
		h := part(p.Name())
		if p.Name() == "index.html" {
			mux.Handle("GET /{$}", h)
		} else {
			mux.Handle("GET /"+p.Name(), h)
		}
	}
	mux.HandleFunc("GET /events", s.events)
	mux.HandleFunc("GET /api/status", s.status)
	mux.HandleFunc("GET /api/past", s.past)
	if s.metrics != nil {
		mux.Handle("GET /metrics", s.metrics)
	}
	return mux
}

// types are the types of parts, which must not depend on the machine's table.
var types = map[string]string{
	".html": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8",
	".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml",
}

// part serves one file of the page; a browser asks whether it has changed.
func part(name string) http.HandlerFunc {
	b, err := files.ReadFile("page/" + name)
	if err != nil {
		panic(err) // it was listed
	}
	sum := sha256.Sum256(b)
	tag := fmt.Sprintf("%q", fmt.Sprintf("%x", sum[:8]))
	kind := types[path.Ext(name)]
	return func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Type", kind)
		h.Set("Cache-Control", "no-cache")
		h.Set("ETag", tag)
		http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(b))
	}
}
