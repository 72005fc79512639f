// SPDX-License-Identifier: BSD-3-Clause

// Package dht implements the directory of a unicast layer (spec 20 §10): a
// Kademlia that maps hashes of service names to data-transfer addresses, on the
// messages of the prototype. It is a pure state machine: whoever drives it
// gives it the time, the messages that arrive and the events, and collects
// what is to be sent.
//
// Start with New, then Join. After each call Drain takes out what came of it, and
// Deadline says when Tick is due. No method may be called while another one
// runs, but for those called from Drain's functions. Dir publishes the state.
//
// What C nodes of the same layer lack is made up for (spec 20 §10.9, §10.10): in
// small layers everybody is told and asked everything, and a value that somebody
// stored at a member far from its key is brought to those that are near.
package dht

import (
	"crypto/rand"
	"encoding/binary"
	"io"
	random "math/rand/v2"
	"time"

	"o7gw/o7s/layer"
)

// Config is what a directory needs to know.
type Config struct {
	Self uint64 // own data-transfer address, not 0
	ID   []byte // own node id: random, as long as the hashes of the layer (8 to 64 bytes)

	Alpha     int           // requests at the same time of one look-up; 0: 3
	K         int           // nodes that hold a value, contacts of a bucket; 0: 8
	Expire    time.Duration // life of a value without its owner; 0: 86400 s
	Refresh   time.Duration // age at which contacts and buckets are looked at; 0: 900 s
	Replicate time.Duration // interval of republication; 0: 900 s

	Rand io.Reader // seeds the cookies; nil: crypto/rand
}

// fill puts defaults (spec 20 §0.1) where nothing is configured.
func (c *Config) fill() {
	if c.Alpha <= 0 {
		c.Alpha = 3
	}
	if c.K <= 0 {
		c.K = 8
	}
	for _, t := range []struct {
		at *time.Duration
		to time.Duration
	}{{&c.Expire, 86400 * time.Second}, {&c.Refresh, 900 * time.Second}, {&c.Replicate, 900 * time.Second}} {
		if *t.at <= 0 {
			*t.at = t.to
		}
	}
	if c.Rand == nil {
		c.Rand = rand.Reader
	}
}

// DHT is the directory of one member.
type DHT struct {
	cfg     Config
	id      string
	rng     *random.ChaCha8
	created time.Time
	now     time.Duration // since created; of the input that is being worked on
	unix    int64         // the same in UNIX seconds, by the wall clock
	timers  timers

	table   table
	seeds   map[uint64]*seed
	missed  []missed
	revisit timer
	gone    map[uint64]time.Duration // addresses that routing lost, until when that is believed
	refresh timer
	settle  timer
	settled time.Duration // last search of the own neighbourhood

	requests map[uint64]*request // by cookie
	probing  int                 // requests of no look-up that are not late
	lookups  map[string]*lookup  // for values, by key
	waiting  map[uint64]*lookup  // likewise, by id of the caller
	active   []*lookup           // all, also those for places
	cache    map[string]cached
	wrong    map[wrongValue]time.Duration

	own      map[string]*ownName
	held     map[string]*heldKey
	keys     []*heldKey     // held, in any order
	values   int            // in held
	billed   map[uint64]int // values in held, by sender
	work     []task         // publications that wait
	queued   map[task]bool  // the same
	busy     int            // publications under way
	forwards rate

	fresh    []*contact // new members that wait for what they should hold
	handing  []*contact // new members that are being given it
	cursor   int        // in keys: how far
	handover timer

	in, answer message    // scratch
	near       []*contact // likewise
	value      [maxAnswerValues][8]byte

	out     outbox
	spare   outbox
	results []result

	stats Counters
}

// New returns a directory without contacts. It panics if the ID has not 8 to
// 64 bytes, and if Rand fails.
func New(cfg Config, now time.Time) *DHT {
	cfg.fill()
	if len(cfg.ID) < 8 || len(cfg.ID) > 64 {
		panic("dht: node id must have 8 to 64 bytes")
	}
	var key [32]byte
	if _, err := io.ReadFull(cfg.Rand, key[:]); err != nil {
		panic("dht: no randomness: " + err.Error())
	}
	d := &DHT{
		cfg:      cfg,
		id:       string(cfg.ID),
		rng:      random.NewChaCha8(key),
		created:  now,
		table:    newTable(string(cfg.ID), cfg.K),
		seeds:    make(map[uint64]*seed),
		gone:     make(map[uint64]time.Duration),
		requests: make(map[uint64]*request),
		lookups:  make(map[string]*lookup),
		waiting:  make(map[uint64]*lookup),
		cache:    make(map[string]cached),
		wrong:    make(map[wrongValue]time.Duration),
		own:      make(map[string]*ownName),
		held:     make(map[string]*heldKey),
		billed:   make(map[uint64]int),
		queued:   make(map[task]bool),
	}
	d.revisit.do, d.refresh.do, d.settle.do, d.handover.do = d.revisitMissed, d.refreshBucket, d.lookSelf, d.handOver
	d.at(now)
	return d
}

// at sets the time of an input. It never runs backwards, whatever the caller's
// clock does.
func (d *DHT) at(now time.Time) {
	d.now = max(d.now, now.Sub(d.created))
	d.unix = now.Unix()
}

// Tick does what is due.
func (d *DHT) Tick(now time.Time) {
	d.at(now)
	d.timers.run(d.now)
}

// Deadline returns when Tick is due next; the zero time: never.
func (d *DHT) Deadline() time.Time {
	if len(d.timers) == 0 {
		return time.Time{}
	}
	return d.created.Add(d.timers[0].at)
}

// outbox keeps messages until Drain.
type outbox struct {
	buf     []byte
	letters []letter
}

type letter struct {
	to  uint64
	end int // of the message in buf
}

// result is the answer to one look-up.
type result struct {
	id    uint64
	addrs []uint64
}

// Drain hands out the messages to be sent and the answers to look-ups since
// the last call. msg is valid during the call. addrs, the most recently stored
// first, never contains the own address; it is empty if nobody has the name, and
// may be kept.
func (d *DHT) Drain(send func(to uint64, msg []byte), found func(id uint64, addrs []uint64)) {
	for len(d.out.letters) > 0 || len(d.results) > 0 {
		out, results := d.out, d.results
		d.out, d.spare, d.results = d.spare, outbox{}, nil
		start := 0
		for _, l := range out.letters {
			send(l.to, out.buf[start:l.end:l.end])
			start = l.end
		}
		d.spare = outbox{out.buf[:0], out.letters[:0]}
		for _, r := range results {
			found(r.id, r.addrs)
		}
	}
}

// send queues a message.
func (d *DHT) send(to uint64, m *message) {
	m.src = contactMsg{d.cfg.ID, d.cfg.Self}
	d.out.buf = m.append(d.out.buf)
	d.out.letters = append(d.out.letters, letter{to, len(d.out.buf)})
	d.stats.Sent[m.kind]++
}

// jitter returns a random time below t.
func (d *DHT) jitter(t time.Duration) time.Duration {
	if t <= 0 {
		return 0
	}
	return time.Duration(d.rng.Uint64() % uint64(t))
}

// cookie returns a random number that no outstanding request has.
func (d *DHT) cookie() uint64 {
	for {
		if c := d.rng.Uint64(); c != 0 && d.requests[c] == nil {
			return c
		}
	}
}

// small reports whether the layer is so small that everybody is told and asked
// everything, which makes up for what C nodes do (spec 20 §10.10).
func (d *DHT) small() bool {
	most := 2 * d.cfg.K
	if d.table.known() <= most {
		return true
	}
	n := 0
	d.table.each(func(c *contact) {
		if c.heard > 0 { // the others are hearsay
			n++
		}
	})
	return n <= most
}

// valid reports whether a hash is of this layer.
func (d *DHT) valid(key layer.Hash) bool { return len(key) == len(d.id) }

// address decodes a value: that of a member, or 0.
func address(v []byte) uint64 {
	if len(v) != 8 {
		return 0
	}
	return binary.BigEndian.Uint64(v)
}
