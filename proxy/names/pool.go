// SPDX-License-Identifier: BSD-3-Clause

package names

import (
	"container/list"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
)

// grace is how long an address stands for its name after the TTL of the last
// answer: for programs that connect late.
const grace = 2 * time.Minute

var (
	errPoolFull = errors.New("all addresses stand for names that are in use")
	errShare    = errors.New("this client has asked for its share of the addresses")
)

// Pool assigns addresses to the names of services. Which address a name gets
// follows from its hash, so that it is the same on every gateway and after a
// restart, unless another name has it already: then it is the next free one.
//
// An address stands for its name as long as it is held, or was told or used
// within the TTL and two minutes, and longer if there is no need for the place:
// the least recently used name makes room first. One client's names fill half of
// the pool at most. All methods may be called from several goroutines.
type Pool struct {
	v4, v6 span
	max    int
	now    func() time.Time

	mu     sync.Mutex
	keep   time.Duration // after the last use
	byName map[string]*assignment
	byAddr map[netip.Addr]*assignment
	idle   *list.List // of *assignment that nobody holds, least recently used first
	shares map[netip.Addr]*share
}

// assignment is a name and its addresses.
type assignment struct {
	service string
	v4, v6  netip.Addr // invalid: no such range
	until   time.Time  // not given to another name before
	holds   int
	owner   *share // nil: nobody's
	inIdle  *list.Element
	inOwner *list.Element // in owner.idle
}

// share is what one client has asked for first.
type share struct {
	client netip.Addr
	names  int
	idle   *list.List
}

// NewPool returns a pool of at most max names with addresses of the ranges, one
// of which may be the zero Prefix.
func NewPool(v4, v6 netip.Prefix, max int) (*Pool, error) {
	p := &Pool{
		now: time.Now, keep: Defaults().TTL + grace,
		byName: map[string]*assignment{}, byAddr: map[netip.Addr]*assignment{},
		idle: list.New(), shares: map[netip.Addr]*share{},
	}
	var err error
	if p.v4, err = newSpan(v4, true); err != nil {
		return nil, err
	}
	if p.v6, err = newSpan(v6, false); err != nil {
		return nil, err
	}
	if !v4.IsValid() && !v6.IsValid() {
		return nil, errors.New("no range of addresses")
	}
	if max < 1 {
		return nil, fmt.Errorf("room for %d names: at least 1", max)
	}
	p.max = min(max, p.v4.names(), p.v6.names())
	return p, nil
}

// SetTTL says for how long programs may use an address that they were told. It
// counts for answers from now on.
func (p *Pool) SetTTL(ttl time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.keep = ttl + grace
}

// Resolver returns the addresses of the ranges at which the gateway answers DNS
// queries; they stand for no service. An address is invalid without its range.
func (p *Pool) Resolver() (v4, v6 netip.Addr) { return p.v4.at(1), p.v6.at(1) }

// Interface returns the addresses of the ranges for the network interface
// through which the machine reaches them: it needs a source address for what it
// sends there, and systemd-resolved asks nobody through an interface without.
func (p *Pool) Interface() (v4, v6 netip.Addr) { return p.v4.at(2), p.v6.at(2) }

// Assign returns the addresses that stand for a service from now on; that of a
// missing range is invalid. It is an error if there are too many names.
func (p *Pool) Assign(service string) (v4, v6 netip.Addr, err error) {
	return p.assign(service, netip.Addr{})
}

// assign is Assign on behalf of a client, whose names may fill half of the pool;
// the zero Addr has no such limit.
func (p *Pool) assign(service string, client netip.Addr) (v4, v6 netip.Addr, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	a := p.byName[service]
	if a == nil {
		if a, err = p.newLocked(service, client); err != nil {
			return v4, v6, err
		}
	}
	p.usedLocked(a)
	return a.v4, a.v6, nil
}

func (p *Pool) newLocked(service string, client netip.Addr) (*assignment, error) {
	owner := p.shares[client]
	if owner != nil && owner.names >= max(1, p.max/2) && !p.evictLocked(owner.idle.Front()) {
		return nil, errShare
	}
	if len(p.byName) >= p.max && !p.evictLocked(p.idle.Front()) {
		return nil, errPoolFull
	}
	hash := sha256.Sum256([]byte(service))
	a := &assignment{
		service: strings.Clone(service), // not the message that it was in
		v4:      p.freeLocked(p.v4, binary.BigEndian.Uint64(hash[:])),
		v6:      p.freeLocked(p.v6, binary.BigEndian.Uint64(hash[8:])),
	}
	p.byName[a.service] = a
	for _, addr := range []netip.Addr{a.v4, a.v6} {
		if addr.IsValid() {
			p.byAddr[addr] = a
		}
	}
	if client.IsValid() {
		if owner = p.shares[client]; owner == nil { // maybe its last name has just gone
			owner = &share{client: client, idle: list.New()}
			p.shares[client] = owner
		}
		owner.names++
		a.owner = owner
	}
	p.releaseLocked(a)
	return a, nil
}

// freeLocked returns the first free address from number n on.
func (p *Pool) freeLocked(s span, n uint64) netip.Addr {
	if !s.prefix.IsValid() {
		return netip.Addr{}
	}
	for n %= s.size; ; n++ {
		if a := s.addr(n); p.byAddr[a] == nil {
			return a
		}
	}
}

// evictLocked takes the addresses of a name that is no longer in use; it
// reports whether it could.
func (p *Pool) evictLocked(e *list.Element) bool {
	if e == nil {
		return false
	}
	a := e.Value.(*assignment)
	if p.now().Before(a.until) {
		return false
	}
	p.busyLocked(a)
	delete(p.byName, a.service)
	delete(p.byAddr, a.v4)
	delete(p.byAddr, a.v6)
	if a.owner != nil {
		if a.owner.names--; a.owner.names == 0 {
			delete(p.shares, a.owner.client)
		}
	}
	return true
}

// usedLocked notes that an address was told or used.
func (p *Pool) usedLocked(a *assignment) {
	a.until = p.now().Add(p.keep)
	if a.inIdle != nil {
		p.idle.MoveToBack(a.inIdle)
	}
	if a.inOwner != nil {
		a.owner.idle.MoveToBack(a.inOwner)
	}
}

// busyLocked takes an assignment out of those that may be evicted, releaseLocked
// puts it back.
func (p *Pool) busyLocked(a *assignment) {
	if a.inIdle != nil {
		p.idle.Remove(a.inIdle)
		a.inIdle = nil
	}
	if a.inOwner != nil {
		a.owner.idle.Remove(a.inOwner)
		a.inOwner = nil
	}
}

func (p *Pool) releaseLocked(a *assignment) {
	a.inIdle = p.idle.PushBack(a)
	if a.owner != nil {
		a.inOwner = a.owner.idle.PushBack(a)
	}
	p.usedLocked(a)
}

// Hold keeps the addresses of a service as long as Release has not been called
// as often. It reports false, and does nothing, if the service has none.
func (p *Pool) Hold(service string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	a := p.byName[service]
	if a == nil {
		return false
	}
	a.holds++
	p.busyLocked(a)
	return true
}

// Release ends one Hold.
func (p *Pool) Release(service string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	a := p.byName[service]
	if a == nil || a.holds == 0 {
		return
	}
	if a.holds--; a.holds == 0 {
		p.releaseLocked(a)
	}
}

// Lookup returns the service that an address stands for. Who asks is about to
// use it: the address stays for the TTL and two minutes.
func (p *Pool) Lookup(addr netip.Addr) (service string, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	a := p.byAddr[addr.Unmap()]
	if a == nil {
		return "", false
	}
	p.usedLocked(a)
	return a.service, true
}

// peek is Lookup without use; left is how long the address certainly stays.
func (p *Pool) peek(addr netip.Addr) (service string, left time.Duration, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	a := p.byAddr[addr]
	if a == nil {
		return "", 0, false
	}
	return a.service, a.until.Sub(p.now()), true
}

// has reports whether a service has addresses.
func (p *Pool) has(service string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.byName[service] != nil
}

// Contains reports whether an address lies in the ranges.
func (p *Pool) Contains(addr netip.Addr) bool {
	addr = addr.Unmap()
	return p.v4.prefix.Contains(addr) || p.v6.prefix.Contains(addr)
}

// Len returns how many names have addresses.
func (p *Pool) Len() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.byName)
}

// Assigned is a name and the addresses that stand for it; that of a missing
// range is invalid.
type Assigned struct {
	Name string     `json:"name"`
	V4   netip.Addr `json:"v4"`
	V6   netip.Addr `json:"v6"`
}

// Names returns at most n names in order of the alphabet, those in use and those
// used last.
func (p *Pool) Names(n int) []Assigned {
	list := []Assigned{}
	add := func(a *assignment) { list = append(list, Assigned{a.service, a.v4, a.v6}) }
	p.mu.Lock()
	if len(p.byName) > p.idle.Len() {
		for _, a := range p.byName {
			if a.holds > 0 && len(list) < n {
				add(a)
			}
		}
	}
	for e := p.idle.Back(); e != nil && len(list) < n; e = e.Prev() {
		add(e.Value.(*assignment))
	}
	p.mu.Unlock()
	slices.SortFunc(list, func(a, b Assigned) int { return strings.Compare(a.Name, b.Name) })
	return list
}
