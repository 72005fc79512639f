// SPDX-License-Identifier: BSD-3-Clause

package linkstate

import (
	"cmp"
	"slices"
	"time"
)

// proto is a model of the prototype (spec 20 §8.4, §8.5): it knows 24-byte
// records only, keeps and refreshes what it is told about itself (LS-6), and
// tells nobody when a link is lost (LS-2). Unlike the prototype it computes its
// routes after ageing as well.
type proto struct {
	cfg    Config
	now    time.Time
	pass   time.Time // next pass of the update timer
	db     map[link]*protoEntry
	peers  []protoPeer
	out    []protoPacket
	router router
	dirty  bool
}

type protoEntry struct {
	record
	seen time.Time
}

type protoPeer struct {
	id   Peer
	addr uint64
}

type protoPacket struct {
	to Peer
	record
}

func newProto(cfg Config) *proto { return &proto{cfg: cfg, db: make(map[link]*protoEntry)} }

func (c *proto) at(now time.Time) {
	c.now = now
	if c.pass.IsZero() {
		c.pass = now.Add(c.cfg.Update)
	}
}

func (c *proto) flood(r record, from Peer) {
	for _, p := range c.peers {
		if p.id != from {
			c.out = append(c.out, protoPacket{p.id, r})
		}
	}
}

func (c *proto) take(r record) bool {
	e := c.db[r.link]
	if e != nil && e.seqno >= r.seqno {
		return false
	}
	if e == nil {
		e = &protoEntry{}
		c.db[r.link] = e
		c.dirty = true
	}
	e.record, e.seen = r, c.now
	return true
}

func (c *proto) AddPeer(now time.Time, p Peer, addr uint64, _ Caps) {
	c.at(now)
	c.peers = append(c.peers, protoPeer{p, addr})
	for _, e := range c.sorted() {
		c.out = append(c.out, protoPacket{p, e.record})
	}
}

func (c *proto) RemovePeer(now time.Time, p Peer) {
	c.at(now)
	c.peers = slices.DeleteFunc(c.peers, func(x protoPeer) bool { return x.id == p })
}

func (c *proto) LinkUp(now time.Time, addr uint64) {
	c.at(now)
	r := record{link: link{dst: addr, src: c.cfg.Self}}
	c.flood(r, -1)
	c.take(r)
}

func (c *proto) LinkDown(now time.Time, addr uint64) {
	c.at(now)
	delete(c.db, link{dst: addr, src: c.cfg.Self})
	c.dirty = true
}

func (c *proto) Receive(now time.Time, p Peer, pkt []byte) {
	c.at(now)
	if len(pkt) != lsaSize {
		return
	}
	if r, _, err := parseLSA(pkt); err == nil && c.take(r) {
		c.flood(r, p)
	}
}

func (c *proto) sorted() []*protoEntry {
	var all []*protoEntry
	for _, e := range c.db {
		all = append(all, e)
	}
	slices.SortFunc(all, func(a, b *protoEntry) int { return cmp.Or(cmp.Compare(a.dst, b.dst), cmp.Compare(a.src, b.src)) })
	return all
}

func (c *proto) Tick(now time.Time) {
	c.at(now)
	if now.Before(c.pass) {
		return
	}
	c.pass = now.Add(c.cfg.Update)
	for _, e := range c.sorted() {
		switch {
		case now.Sub(e.seen) > c.cfg.Timeout:
			delete(c.db, e.link)
			c.dirty = true
		case e.src == c.cfg.Self:
			e.seqno++
			e.seen = now
			c.flood(e.record, -1)
		}
	}
}

func (c *proto) Deadline() time.Time { return c.pass }

func (c *proto) Drain(send func(p Peer, pkt []byte), routes func([]Route)) {
	for _, o := range c.out {
		if slices.ContainsFunc(c.peers, func(p protoPeer) bool { return p.id == o.to }) {
			send(o.to, o.appendLSA(nil))
		}
	}
	c.out = nil
	if !c.dirty {
		return
	}
	c.dirty = false
	db := newLSDB()
	for _, e := range c.sorted() {
		db.revive(db.insert(e.link))
	}
	c.router.compute(&db.graph, c.cfg.Self, c.cfg.Policy)
	routes(c.router.now.routes)
}
