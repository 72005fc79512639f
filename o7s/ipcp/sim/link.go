// SPDX-License-Identifier: BSD-3-Clause

package sim

import (
	"maps"
	"slices"
	"time"

	"o7gw/o7s/ipcp"
	"o7gw/o7s/layer"
	"o7gw/o7s/qos"
)

// Defaults of Params.
const (
	DefaultMTU = 1496 // bytes: an Ethernet frame less the header of eth-dix
	DefaultMPL = 100 * time.Millisecond
)

// Params say how a link treats what is sent over it. Each direction between
// two stations is on its own. Probabilities are from 0 to 1. What waits for the
// rate is sent in order of priority, by the cube of its flow or the mark of the
// packet.
type Params struct {
	Delay  time.Duration // from the last bit sent to arrival
	Jitter time.Duration // up to so much more, evenly spread; order is kept

	Loss      float64 // probability that a message is lost
	Duplicate float64 // probability that a packet arrives twice
	Reorder   float64 // probability that a packet is late and overtaken
	Late      time.Duration

	Rate  float64 // bit/s; 0: no limit
	Queue int     // bytes that wait for the rate in each cube; more is dropped. 0: no limit

	MTU int           // largest packet of a flow, bytes; 0: DefaultMTU
	MPL time.Duration // maximum packet lifetime to report; 0: DefaultMPL

	// Drop, if set, is asked about the n-th packet of each flow end, counted
	// from 1; true loses it. It must not call into the network.
	Drop func(n uint64, pkt []byte) bool
}

func (p *Params) mtu() int {
	if p.MTU == 0 {
		return DefaultMTU
	}
	return p.MTU
}

func (p *Params) mpl() time.Duration {
	if p.MPL == 0 {
		return DefaultMPL
	}
	return p.MPL
}

// Link joins stations: two of them like a cable, more like a segment.
//
// Flow requests, answers and notices are messages that can be lost and
// delayed like packets; they are not duplicated, reordered or asked about.
type Link struct {
	net *Network
	num int

	// Guarded by net.mu.
	params   Params
	down     bool
	stations []*station // attached ones, by number
	made     int        // stations so far

	counters counters
}

// NewLink adds a link to the network.
func (n *Network) NewLink(p Params) *Link {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.links++
	return &Link{net: n, num: n.links, params: p}
}

// Set changes the parameters for what is sent from now on. MTU and MPL of
// IPC processes that are operational stay as they were.
func (l *Link) Set(p Params) {
	l.net.mu.Lock()
	defer l.net.mu.Unlock()
	l.params = p
}

// SetUp takes the carrier from the link or gives it back. What is under way
// is lost. All flows hear of it.
func (l *Link) SetUp(up bool) {
	n := l.net
	n.mu.Lock()
	defer n.mu.Unlock()
	if l.down == !up {
		return
	}
	l.down = !up
	for _, s := range l.stations {
		s.reportLocked()
	}
	n.armLocked()
}

// Partition splits the link: messages pass only within each group. IPC
// processes of no group form one together. Nobody hears of it.
func (l *Link) Partition(groups ...[]*IPCP) {
	l.net.mu.Lock()
	defer l.net.mu.Unlock()
	l.healLocked()
	for i, g := range groups {
		for _, p := range g {
			p.station.group = i + 1
		}
	}
}

// Heal ends a partition.
func (l *Link) Heal() {
	l.net.mu.Lock()
	defer l.net.mu.Unlock()
	l.healLocked()
}

func (l *Link) healLocked() {
	for _, s := range l.stations {
		s.group = 0
	}
}

// station is where an IPC process is attached to a link.
type station struct {
	link *Link
	num  int
	ipcp *IPCP // nil for the stations of a Pair

	// Guarded by link.net.mu.
	group     int
	unplugged bool
	gone      bool
	ports     map[uint64]*port // open ones
	made      uint64           // ports so far
	ways      map[*station]*channel
}

// attachLocked adds a station. net.mu is held.
func (l *Link) attachLocked(p *IPCP) *station {
	l.made++
	s := &station{link: l, num: l.made, ipcp: p, ports: make(map[uint64]*port), ways: make(map[*station]*channel)}
	for _, o := range l.stations {
		s.ways[o] = newChannel(s, o)
		o.ways[s] = newChannel(o, s)
	}
	l.stations = append(l.stations, s)
	return s
}

// detachLocked removes the station. net.mu is held.
func (s *station) detachLocked() {
	s.gone = true
	s.link.stations = slices.DeleteFunc(s.link.stations, func(o *station) bool { return o == s })
	for _, o := range s.link.stations {
		delete(o.ways, s)
	}
}

// upLocked reports whether the station has a carrier. net.mu is held.
func (s *station) upLocked() bool { return !s.link.down && !s.unplugged }

// portsLocked returns the open ports in a fixed order. net.mu is held.
func (s *station) portsLocked() []*port {
	list := make([]*port, 0, len(s.ports))
	for _, num := range slices.Sorted(maps.Keys(s.ports)) {
		list = append(list, s.ports[num])
	}
	return list
}

// reportLocked tells the flows of the station whether it has a carrier, if that
// changed. net.mu is held.
func (s *station) reportLocked() {
	for _, p := range s.portsLocked() {
		p.reportLocked()
	}
}

// NewIPCP attaches an IPC process of type t, which is in state BOOT. t decides
// nothing but what Type returns and, for udp, the hash.
func (l *Link) NewIPCP(t ipcp.Type, env ipcp.Env) *IPCP {
	p := newIPCP(t, env)
	l.net.mu.Lock()
	defer l.net.mu.Unlock()
	p.station = l.attachLocked(p)
	return p
}

// Pair returns the two ends of a flow over a link of its own, for tests that
// need no IPC process.
func (n *Network) Pair(p Params) (a, b layer.Port, l *Link) {
	l = n.NewLink(p)
	n.mu.Lock()
	defer n.mu.Unlock()
	x := l.attachLocked(nil).newPortLocked(qos.BestEffort)
	y := l.attachLocked(nil).newPortLocked(qos.BestEffort)
	x.peer, y.peer = y, x
	return x, y, l
}
