// SPDX-License-Identifier: BSD-3-Clause

// Package health checks whether a local service works: by a TCP connection, or
// by asking for a page.
//
// Start with Run.
package health

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// Config says what is checked, and when the opinion changes. Without TCP and
// HTTP nothing is.
type Config struct {
	TCP      bool   // a connection can be made
	HTTP     string // this path answers with a status below 400
	Interval time.Duration
	Timeout  time.Duration // of one check
	Rise     int           // good checks in a row that make it up
	Fall     int           // bad ones that make it down
}

// Defaults returns a Config that checks nothing, with the default times.
func Defaults() Config {
	return Config{Interval: 5 * time.Second, Timeout: 2 * time.Second, Rise: 1, Fall: 3}
}

// Enabled reports whether anything is checked.
func (c *Config) Enabled() bool { return c.TCP || c.HTTP != "" }

// Run checks the service at a TCP address, which it asks for each time, until
// ctx ends. It calls change with each new opinion, the first one after the first
// check; the error says what is wrong. If change returns false the opinion could
// not be put into effect, and it is called again after the next check.
func Run(ctx context.Context, c Config, addr func() string, change func(up bool, err error) bool) {
	state := state{rise: c.Rise, fall: c.Fall}
	t := time.NewTicker(c.Interval)
	defer t.Stop()
	for {
		err := check(ctx, &c, addr())
		if ctx.Err() != nil {
			return
		}
		if state.take(err == nil) && !change(state.up, err) {
			state.known = false
		}
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
	}
}

// state is the opinion:
//
//	unknown ── first check ──▶ up ── Fall bad ones in a row ──▶ down
//	                            ◀── Rise good ones in a row ──
type state struct {
	rise, fall int
	known, up  bool
	row        int // checks in a row against the opinion
}

// take takes the result of a check and reports whether the opinion is new.
func (s *state) take(good bool) bool {
	switch {
	case !s.known:
		s.known, s.up, s.row = true, good, 0
		return true
	case good == s.up:
		s.row = 0
		return false
	}
	s.row++
	if s.up && s.row < s.fall || !s.up && s.row < s.rise {
		return false
	}
	s.up, s.row = good, 0
	return true
}

// maxPage is how much of a page is read, bytes: the rest may be wrong.
const maxPage = 64 << 10

func check(ctx context.Context, c *Config, addr string) error {
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	if c.HTTP == "" {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
		if err != nil {
			return err
		}
		return conn.Close()
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+c.HTTP, nil)
	if err != nil {
		return err
	}
	transport := &http.Transport{DisableKeepAlives: true}
	defer transport.CloseIdleConnections()
	client := http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, io.LimitReader(resp.Body, maxPage))
	if resp.StatusCode >= 400 {
		return fmt.Errorf("GET %s: %s", c.HTTP, resp.Status)
	}
	return err
}
