// SPDX-License-Identifier: BSD-3-Clause

// Package ledger keeps account of the sessions of an object of the gateway: who
// talks to whom, how much, and how it ended.
//
// Start with New, Book.Open and Session.Close; Book.Snapshot is for status.
package ledger

import (
	"cmp"
	"context"
	"io"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"o7gw/proxy/session"
)

// Info says what a session is.
type Info struct {
	Proto   session.Proto
	Peer    string // name in the certificate of the peer, if it showed one
	Source  string // address of who asks
	Target  string // what was asked for
	Service string // Ouroboros name of the flow
}

// Book is the account of one object.
type Book struct {
	kind, name string
	log        *slog.Logger

	total, refused, failed atomic.Uint64
	// done is what ended sessions have carried; Rx is from Ouroboros.
	done counters

	mu      sync.Mutex
	open    map[*Session]struct{}
	last    uint64 // number of the newest session
	state   string
	lastErr string
	errTime time.Time
}

type counters struct{ rxPackets, rxBytes, txPackets, txBytes atomic.Uint64 }

func (c *counters) add(o *counters) {
	c.rxPackets.Add(o.rxPackets.Load())
	c.rxBytes.Add(o.rxBytes.Load())
	c.txPackets.Add(o.txPackets.Load())
	c.txBytes.Add(o.txBytes.Load())
}

// New returns the book of an object. One line per session is logged at debug.
func New(kind, name string, log *slog.Logger) *Book {
	return &Book{
		kind: kind, name: name, open: map[*Session]struct{}{}, state: "starting",
		log: log.With("component", "o7gw/"+kind, "object", name),
	}
}

// Session is one open session.
type Session struct {
	book   *Book
	number uint64
	info   Info
	since  time.Time
	count  counters
	closed atomic.Bool
}

// Open enters a session.
func (b *Book) Open(i Info) *Session {
	s := &Session{book: b, info: i, since: time.Now()}
	b.total.Add(1)
	b.mu.Lock()
	b.last++
	s.number = b.last
	b.open[s] = struct{}{}
	b.mu.Unlock()
	return s
}

// Rx counts what came from the Ouroboros side; packets is the number of
// packets or datagrams, 0 if they have no meaning.
func (s *Session) Rx(packets, bytes int) {
	s.count.rxPackets.Add(uint64(packets))
	s.count.rxBytes.Add(uint64(bytes))
}

// Tx counts what went to the Ouroboros side.
func (s *Session) Tx(packets, bytes int) {
	s.count.txPackets.Add(uint64(packets))
	s.count.txBytes.Add(uint64(bytes))
}

// Close ends a session; nil and io.EOF are good ends. Idempotent.
func (s *Session) Close(reason error) {
	if s.closed.Swap(true) {
		return
	}
	b := s.book
	b.mu.Lock()
	delete(b.open, s)
	b.done.add(&s.count)
	b.mu.Unlock()
	end := "done"
	if reason != nil && reason != io.EOF {
		end = reason.Error()
	}
	if b.log.Enabled(context.Background(), slog.LevelDebug) {
		b.log.Debug("session ended", append(s.info.attrs(), "end", end, "time", time.Since(s.since).Round(time.Millisecond),
			"rx", s.count.rxBytes.Load(), "tx", s.count.txBytes.Load())...)
	}
}

func (i *Info) attrs() []any {
	return []any{"protocol", i.protocol(), "source", i.Source, "peer", i.Peer, "target", i.Target, "service", i.Service}
}

// Refused enters a session that did not come about: refused by a rule or a
// limit, or failed for another reason.
func (b *Book) Refused(i Info, why error) {
	switch session.StatusOf(why) {
	case session.Denied, session.Busy, session.Refused, session.Unreachable, session.NotFound:
		b.refused.Add(1)
	default:
		b.failed.Add(1)
	}
	b.mu.Lock()
	b.lastErr, b.errTime = i.describe()+": "+why.Error(), time.Now()
	b.mu.Unlock()
	if b.log.Enabled(context.Background(), slog.LevelDebug) {
		b.log.Debug("session refused", append(i.attrs(), "reason", why)...)
	}
}

// protocol names the transport protocol, "" if that is not known yet.
func (i *Info) protocol() string {
	if i.Proto == 0 {
		return ""
	}
	return i.Proto.String()
}

func (i *Info) describe() string {
	if i.Target != "" {
		return i.Target
	}
	return i.Service
}

// SetState says how the object is: "up", "down", "draining". A reason is
// remembered as the last error.
func (b *Book) SetState(state string, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.state = state
	if err != nil {
		b.lastErr, b.errTime = err.Error(), time.Now()
	}
}

// Sessions returns how many sessions are open.
func (b *Book) Sessions() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.open)
}

// Snapshot is the account of one moment. Rx is what came from Ouroboros.
type Snapshot struct {
	Kind      string     `json:"kind"`
	Name      string     `json:"name"`
	State     string     `json:"state"`
	Open      int        `json:"open_sessions"`
	Total     uint64     `json:"total_sessions"`
	Refused   uint64     `json:"refused_sessions"`
	Failed    uint64     `json:"failed_sessions"`
	RxPackets uint64     `json:"rx_packets"`
	RxBytes   uint64     `json:"rx_bytes"`
	TxPackets uint64     `json:"tx_packets"`
	TxBytes   uint64     `json:"tx_bytes"`
	LastError string     `json:"last_error,omitempty"`
	ErrorTime *time.Time `json:"last_error_time,omitempty"`
	Sessions  []Entry    `json:"sessions"` // the newest
}

// Entry is one open session of a Snapshot.
type Entry struct {
	Proto   string        `json:"protocol"`
	Peer    string        `json:"peer,omitempty"`
	Source  string        `json:"source,omitempty"`
	Target  string        `json:"target,omitempty"`
	Service string        `json:"service,omitempty"`
	Age     time.Duration `json:"age_ns"`
	RxBytes uint64        `json:"rx_bytes"`
	TxBytes uint64        `json:"tx_bytes"`
}

// Snapshot returns the account of this moment with at most max sessions, the
// newest first.
func (b *Book) Snapshot(max int) Snapshot {
	now := time.Now()
	var sum counters
	b.mu.Lock()
	s := Snapshot{Kind: b.kind, Name: b.name, State: b.state, Open: len(b.open), LastError: b.lastErr, Sessions: []Entry{}}
	if !b.errTime.IsZero() {
		t := b.errTime
		s.ErrorTime = &t
	}
	sum.add(&b.done)
	list := make([]*Session, 0, len(b.open))
	for o := range b.open {
		sum.add(&o.count)
		list = append(list, o)
	}
	b.mu.Unlock()
	s.Total, s.Refused, s.Failed = b.total.Load(), b.refused.Load(), b.failed.Load()
	s.RxPackets, s.RxBytes = sum.rxPackets.Load(), sum.rxBytes.Load()
	s.TxPackets, s.TxBytes = sum.txPackets.Load(), sum.txBytes.Load()
	slices.SortFunc(list, func(a, b *Session) int { return cmp.Compare(b.number, a.number) })
	for _, o := range list[:min(max, len(list))] {
		s.Sessions = append(s.Sessions, Entry{
			Proto: o.info.protocol(), Peer: o.info.Peer, Source: o.info.Source, Target: o.info.Target, Service: o.info.Service,
			Age: now.Sub(o.since), RxBytes: o.count.rxBytes.Load(), TxBytes: o.count.txBytes.Load(),
		})
	}
	return s
}
