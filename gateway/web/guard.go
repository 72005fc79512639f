// SPDX-License-Identifier: BSD-3-Clause

package web

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"o7gw/proxy/ledger"
	"o7gw/proxy/session"
)

// policy is what browsers may do with an answer: nothing but the parts of the
// page from this server.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// guard lets through who may read.
func (s *Server) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "no-referrer") // a token in the address is nobody's business
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		cfg := s.cfg.Load()
		switch {
		case !known(r.Host, cfg.Hosts):
			http.Error(w, fmt.Sprintf("This page is not for the host %q: ask for an address, or put the name into hosts of [web].", r.Host), http.StatusMisdirectedRequest)
		case r.Method != http.MethodGet && r.Method != http.MethodHead:
			h.Set("Allow", "GET, HEAD")
			http.Error(w, "Nothing can be changed here.", http.StatusMethodNotAllowed)
		case r.ContentLength != 0:
			http.Error(w, "A request without a body, please.", http.StatusBadRequest)
		case foreign(r):
			http.Error(w, "Not for pages of other servers.", http.StatusForbidden)
		case cfg.Token != "" && !admitted(w, r, cfg):
			s.book.Refused(ledger.Info{Proto: session.TCP, Source: r.RemoteAddr, Target: "web page"}, session.Denied)
			h.Set("WWW-Authenticate", `Bearer realm="o7gw"`)
			http.Error(w, "This page needs its token: open it once with ?token=TOKEN behind the address.", http.StatusUnauthorized)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// known reports whether a Host header names this server: as an address, which
// no name server can turn, or by a name that is ours.
func known(host string, hosts []string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	} else {
		host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if _, err := netip.ParseAddr(host); err == nil || host == "localhost" {
		return true
	}
	return host != "" && slices.ContainsFunc(hosts, func(h string) bool { return strings.ToLower(h) == host })
}

// foreign reports whether a page of another server asks, of which it could
// not read the answer but would use up live streams.
func foreign(r *http.Request) bool {
	site := r.Header.Get("Sec-Fetch-Site")
	return (site == "cross-site" || site == "same-site") && r.Header.Get("Sec-Fetch-Mode") != "navigate"
}

// admitted reports whether the request shows the token, and gives a browser that
// has it in the address the cookie.
func admitted(w http.ResponseWriter, r *http.Request, cfg *Config) bool {
	if bearer, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
		return same(bearer, cfg.Token)
	}
	name, value := cookie(cfg)
	if token := r.URL.Query().Get("token"); token != "" {
		if !same(token, cfg.Token) {
			return false
		}
		http.SetCookie(w, &http.Cookie{
			Name: name, Value: value, Path: "/", HttpOnly: true, SameSite: http.SameSiteStrictMode, MaxAge: 30 * 24 * 60 * 60,
		})
		return true
	}
	c, err := r.Cookie(name)
	return err == nil && same(c.Value, value)
}

// same compares in a time that tells nothing about b, not even its length.
func same(a, b string) bool {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(x[:], y[:]) == 1
}

// cookie returns the cookie of who has shown the token. Browsers do not keep
// cookies of ports apart, so that the name does; the value does not give the
// token away.
func cookie(cfg *Config) (name, value string) {
	mac := hmac.New(sha256.New, []byte(cfg.Token))
	mac.Write([]byte("o7gw web page"))
	return fmt.Sprintf("o7gw-%d", cfg.Listen.Port()), hex.EncodeToString(mac.Sum(nil))
}
