// SPDX-License-Identifier: BSD-3-Clause

// Package cep is the connection manager of IPC processes that are built on
// layers, and its protocol, CEP (spec 10 §6): a component of one member
// is connected to its like in another by a flow of a layer below, on
// which the first message of each side says who it is.
//
// Start with New and Add; then Start accepts connections, Connect makes them
// and keeps them up, Dial makes one for once.
package cep

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"time"

	"o7gw/o7s/ipcp"
	"o7gw/o7s/layer"
)

const (
	// helloTimeout is how long the peer's message may take (spec 10 §6.3).
	helloTimeout = time.Second

	// keepaliveInterval and keepaliveTimeout are the liveness of flows between
	// two of ours (CapKeepalive): a neighbour that is gone without a word is
	// noticed within three intervals. Keepalives are sent twice in each: with
	// 5 % of the packets lost, two in a row are lost every few minutes.
	keepaliveInterval = time.Second
	keepaliveTimeout  = 2500 * time.Millisecond
)

// Component is a part of an IPC process that has connections.
type Component struct {
	// Info returns what the component says of itself at this time. Ours and
	// the capabilities are sent only where they may be.
	Info func() Info
	// Accept takes a new connection, which the peer made or Connect. It runs in
	// a goroutine of its own, which the manager's Close waits for.
	Accept func(c *Conn)
}

// Config is what a Manager needs.
type Config struct {
	Below ipcp.Below
	Log   *slog.Logger
	// Address is how the listing shows addresses; nil: in decimal.
	Address func(uint64) string
	Now     func() time.Time // nil: time.Now
	Rand    func() float64   // from [0, 1), for pauses; nil: math/rand
}

// Manager has the connections of an IPC process. All methods may be called at
// the same time.
type Manager struct {
	below   ipcp.Below
	log     *slog.Logger
	address func(uint64) string
	now     func() time.Time
	rand    func() float64
	ctx     context.Context // ends with Close
	stop    context.CancelFunc

	mu         sync.Mutex
	closed     bool           // guarded by mu, as is the rest
	running    sync.WaitGroup // goroutines; Add under mu while !closed
	accepting  bool
	components map[string]Component
	greeting   []*Conn          // accepted, without a first message, oldest first
	accepted   map[string]int   // by component: connections that peers made
	conns      map[*Conn]bool   // true: taken by a component
	last       uint64           // number of the newest
	kept       map[target]*link // by Connect
}

// New returns a Manager without components.
func New(cfg Config) *Manager {
	m := &Manager{
		below: cfg.Below, log: cfg.Log, address: cfg.Address, now: cfg.Now, rand: cfg.Rand,
		components: make(map[string]Component),
		accepted:   make(map[string]int),
		conns:      make(map[*Conn]bool),
		kept:       make(map[target]*link),
	}
	m.ctx, m.stop = context.WithCancel(context.Background())
	if m.address == nil {
		m.address = func(a uint64) string { return strconv.FormatUint(a, 10) }
	}
	if m.now == nil {
		m.now = time.Now
	}
	if m.rand == nil {
		m.rand = rand.Float64
	}
	return m
}

// Add adds a component.
func (m *Manager) Add(c Component) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.components[c.Info().Component] = c
}

func (m *Manager) component(name string) (Component, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	c, ok := m.components[name]
	return c, ok && name != "" // BC-6
}

// run starts a goroutine that Close waits for; false: it is too late.
func (m *Manager) run(f func()) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return false
	}
	m.running.Go(f)
	return true
}

// Start begins to accept connections. Idempotent.
func (m *Manager) Start() {
	m.mu.Lock()
	first := !m.accepting
	m.accepting = true
	m.mu.Unlock()
	if first {
		m.run(m.acceptLoop)
	}
}

func (m *Manager) acceptLoop() {
	pause := m.newPause()
	for {
		f, err := m.below.Accept(m.ctx)
		switch {
		case m.ctx.Err() != nil:
			if err == nil {
				f.Close()
			}
			return
		case err != nil:
			if pause.first() {
				m.log.Warn("cannot accept connections; trying again", "err", err)
			}
			if !pause.wait(m.ctx) {
				return
			}
			continue
		}
		pause.reset()
		if !m.run(func() { m.accept(f) }) {
			f.Close()
		}
	}
}

// accept reads the first message of a flow and answers it. Nobody else waits for
// that (CM-6).
func (m *Manager) accept(f ipcp.Flow) {
	c := newConn(f, "", m.forget)
	m.remember(c)
	m.await(c)
	own, comp, err := m.greet(c)
	if err != nil {
		m.log.Debug("refused a connection", "name", f.Name(), "err", err)
		c.Close()
		return
	}
	m.settle(c, own)
	comp.Accept(c)
}

func (m *Manager) greet(c *Conn) (own Info, comp Component, err error) {
	peer, err := m.hear(m.ctx, c)
	m.heard(c)
	if err != nil {
		return own, comp, err
	}
	comp, ok := m.component(peer.Component)
	if !ok {
		if no, ok := refusal(peer.Component); ok {
			c.say(no)
		}
		return own, comp, fmt.Errorf("no component %q: %w", peer.Component, layer.ErrIPCP)
	}
	if !m.admit(c, peer.Component) {
		return own, comp, fmt.Errorf("%d connections of component %q are enough: %w", maxAccepted, peer.Component, layer.ErrIPCP)
	}
	own = comp.Info()
	own.Ours = peer.Ours // announced only to those who did
	c.say(own)
	return own, comp, own.matches(peer)
}

// errSilent is the error of a peer whose message does not come.
var errSilent = fmt.Errorf("peer did not say who it is: %w", layer.ErrTimedOut)

// hear waits for the peer's message.
func (m *Manager) hear(ctx context.Context, c *Conn) (Info, error) {
	limit := time.NewTimer(helloTimeout)
	defer limit.Stop()
	var b []byte
	select {
	case b = <-c.hello:
	case <-c.done:
		select {
		case b = <-c.hello: // and then it closed
		default:
			return Info{}, fmt.Errorf("flow ended before the peer said who it is: %w", layer.ErrIPCP)
		}
	case <-limit.C:
		return Info{}, errSilent
	case <-ctx.Done():
		return Info{}, ctx.Err()
	}
	i, err := Parse(b)
	c.peer = i
	return i, err
}

// settle readies a connection for its component, which said own.
func (m *Manager) settle(c *Conn, own Info) {
	c.component, c.made = own.Component, m.now()
	if own.Ours && c.peer.Ours && own.Caps&c.peer.Caps&CapKeepalive != 0 {
		c.flow.SetLiveness(keepaliveInterval/2, keepaliveTimeout)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.conns[c]; ok {
		m.conns[c] = true
	}
}

// remember lists a connection until it ends.
func (m *Manager) remember(c *Conn) {
	m.mu.Lock()
	closed := m.closed
	select {
	case <-c.done: // already
	default:
		if !closed {
			m.last++
			c.number = m.last
			m.conns[c] = false
		}
	}
	m.mu.Unlock()
	if closed {
		c.Close()
	}
}

func (m *Manager) forget(c *Conn) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.conns, c)
	if c.counted != "" {
		m.accepted[c.counted]--
	}
}

// list returns the connections that components have, oldest first.
func (m *Manager) list() []*Conn {
	m.mu.Lock()
	defer m.mu.Unlock()
	var list []*Conn
	for c, taken := range m.conns {
		if taken {
			list = append(list, c)
		}
	}
	slices.SortFunc(list, func(a, b *Conn) int { return cmp.Compare(a.number, b.number) })
	return list
}

// Close ends all connections, of which their components hear, and everything
// that makes new ones. It waits for calls of Component.Accept, and so must not be
// called from one.
func (m *Manager) Close() error {
	m.mu.Lock()
	m.closed = true
	conns := make([]*Conn, 0, len(m.conns))
	for c := range m.conns {
		conns = append(conns, c)
	}
	m.mu.Unlock()
	m.stop()
	for _, c := range conns {
		c.hangUp()
	}
	m.running.Wait()
	return nil
}
