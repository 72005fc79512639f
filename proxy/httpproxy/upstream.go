// SPDX-License-Identifier: BSD-3-Clause

package httpproxy

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"o7gw/proxy"
	"o7gw/proxy/ledger"
	"o7gw/proxy/route"
	"o7gw/proxy/session"
)

// dialError says where a session could not be begun.
type dialError struct {
	target string
	way    route.Way
	err    error
}

func (e *dialError) Error() string { return e.target + ": " + e.err.Error() }

func (e *dialError) Unwrap() error { return e.err }

// open begins a session with "host:port" for a client. Its error is a
// *dialError, and stands in the book.
func (p *Proxy) open(ctx context.Context, from netip.AddrPort, target string) (*proxy.Conn, ledger.Info, error) {
	info := ledger.Info{Proto: session.TCP, Source: from.String(), Target: target}
	host, port, err := split(target)
	var conn *proxy.Conn
	var way route.Way
	if err == nil {
		conn, way, err = p.table().DialTCP(ctx, p.dialer, route.Dest{Host: host, Port: port, Proto: session.TCP}, from)
		info.Service = way.Service
	}
	if err != nil {
		p.book.Refused(info, err)
		return nil, info, &dialError{target, way, err}
	}
	info.Peer = conn.Flow().Peer()
	return conn, info, nil
}

// split takes "host:port" apart.
func split(target string) (host string, port uint16, err error) {
	host, text, err := net.SplitHostPort(target)
	n, perr := strconv.ParseUint(text, 10, 16)
	if err != nil || perr != nil || n == 0 || host == "" || len(host) > session.MaxHost ||
		strings.ContainsFunc(host, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		return "", 0, fmt.Errorf("%q is no host with a port: %w", target, session.BadRequest)
	}
	return host, uint16(n), nil
}

// upstream is a session that carries requests, one after the other.
type upstream struct {
	*proxy.Conn
	entry *ledger.Session
	all   *upstreams
}

// partLimit is how long the end of a session may take on whose other side
// nobody reads.
const partLimit = time.Second

func (u *upstream) Read(p []byte) (int, error) {
	n, err := u.Conn.Read(p)
	u.entry.Rx(0, n)
	return n, err
}

func (u *upstream) Write(p []byte) (int, error) {
	n, err := u.Conn.Write(p)
	u.entry.Tx(0, n)
	return n, err
}

func (u *upstream) Close() error {
	u.Flow().SetLinger(partLimit)
	err := u.Conn.Close()
	u.entry.Close(nil)
	u.all.remove(u)
	return err
}

// upstreams are those of a proxy. The HTTP transport dials in the background,
// and may be left with a connection that nobody waits for any more.
type upstreams struct {
	ctx    context.Context // ends with close
	cancel context.CancelFunc
	wg     sync.WaitGroup // dials

	mu     sync.Mutex
	open   map[*upstream]struct{}
	closed bool
}

func (l *upstreams) init() {
	l.ctx, l.cancel = context.WithCancel(context.Background())
	l.open = map[*upstream]struct{}{}
}

// begin announces a dial; the caller calls wg.Done. It reports false after
// close.
func (l *upstreams) begin() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.closed {
		l.wg.Add(1)
	}
	return !l.closed
}

func (l *upstreams) add(u *upstream) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open[u] = struct{}{}
}

func (l *upstreams) remove(u *upstream) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.open, u)
}

// close ends all.
func (l *upstreams) close() {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	l.cancel()
	l.wg.Wait()
	l.mu.Lock()
	var all []*upstream
	for u := range l.open {
		all = append(all, u)
	}
	l.mu.Unlock()
	for _, u := range all {
		u.Reset()
		u.Close()
	}
}

// dial begins a session for requests of a client.
func (p *Proxy) dial(ctx context.Context, c *client, target string) (net.Conn, error) {
	if !p.upstreams.begin() {
		return nil, net.ErrClosed
	}
	defer p.upstreams.wg.Done()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(p.upstreams.ctx, cancel)()
	conn, info, err := p.open(ctx, c.from, target)
	if err != nil {
		return nil, err
	}
	u := &upstream{Conn: conn, entry: p.book.Open(info), all: &p.upstreams}
	p.upstreams.add(u)
	select {
	case <-c.ended: // nobody would ever use or close it
		u.Close()
		return nil, net.ErrClosed
	default:
		return u, nil
	}
}
