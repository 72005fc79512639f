// SPDX-License-Identifier: BSD-3-Clause

package cep_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"o7gw/o7s/bubble"
	"o7gw/o7s/ipcp/cep"
	"o7gw/o7s/ipcp/cep/lower"
	"o7gw/o7s/ipcp/sim"
)

// world is a layer below with members on top, in a synctest bubble. It ends
// with the test.
type world struct {
	t     *testing.T
	layer *lower.Layer
	log   journal
}

func newWorld(t *testing.T, p sim.Params) *world {
	w := &world{t: t, layer: lower.New(1, p)}
	t.Cleanup(w.layer.Close)
	return w
}

// member is an IPC process that is only connections.
type member struct {
	*cep.Manager
	w    *world
	host *lower.Host

	mu      sync.Mutex
	take    func(*cep.Conn) // what the components do with a connection
	own     map[string]cep.Info
	conns   []*cep.Conn
	readers map[*cep.Conn]*lower.Reader
}

// member adds a member with components, which accepts.
func (w *world) member(name string, components ...cep.Info) *member {
	m := &member{w: w, host: w.layer.Host(name), own: make(map[string]cep.Info), readers: make(map[*cep.Conn]*lower.Reader)}
	m.take = m.keep
	m.Manager = cep.New(cep.Config{Below: m.host, Log: slog.New(&w.log)})
	for _, c := range components {
		m.announce(c)
		m.Add(cep.Component{Info: func() cep.Info { return m.info(c.Component) }, Accept: m.accept})
	}
	m.Start()
	w.t.Cleanup(func() { m.Close() })
	return m
}

func (m *member) announce(i cep.Info) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.own[i.Component] = i
}

func (m *member) info(component string) cep.Info {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.own[component]
}

// onAccept replaces what the components do with a connection.
func (m *member) onAccept(f func(*cep.Conn)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.take = f
}

func (m *member) accept(c *cep.Conn) {
	m.mu.Lock()
	take := m.take
	m.mu.Unlock()
	take(c)
}

// keep reads from a connection until it ends.
func (m *member) keep(c *cep.Conn) {
	r := &lower.Reader{Closed: func() { c.Close() }}
	m.mu.Lock()
	m.conns = append(m.conns, c)
	m.readers[c] = r
	m.mu.Unlock()
	c.Receive(r)
}

// all returns the connections that the components got, in order.
func (m *member) all() []*cep.Conn {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.conns)
}

// taken returns the connections that a component got, of which there must be n.
func (m *member) taken(component string, n int) []*cep.Conn {
	m.w.t.Helper()
	list := slices.DeleteFunc(m.all(), func(c *cep.Conn) bool { return c.Peer().Component != component })
	if len(list) != n {
		m.w.t.Fatalf("component %q got %d connections, want %d", component, len(list), n)
	}
	return list
}

func (m *member) reader(c *cep.Conn) *lower.Reader {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.readers[c]
}

// liveness returns the limits of the flow of a connection.
func (m *member) liveness(c *cep.Conn) (interval, timeout time.Duration) {
	f := cep.FlowOf(c).(*lower.Flow)
	return f.Liveness()
}

// journal collects log lines.
type journal struct {
	mu    sync.Mutex
	lines []string
}

func (j *journal) Enabled(context.Context, slog.Level) bool { return true }
func (j *journal) WithAttrs([]slog.Attr) slog.Handler       { return j }
func (j *journal) WithGroup(string) slog.Handler            { return j }

func (j *journal) Handle(_ context.Context, r slog.Record) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, fmt.Sprintf("%v %s", r.Level, r.Message))
	return nil
}

// count returns how many lines begin so.
func (j *journal) count(prefix string) int {
	j.mu.Lock()
	defer j.mu.Unlock()
	n := 0
	for _, l := range j.lines {
		if strings.HasPrefix(l, prefix) {
			n++
		}
	}
	return n
}

func equal(t *testing.T, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// in runs a test in a bubble with a world.
func in(t *testing.T, p sim.Params, f func(t *testing.T, w *world)) {
	t.Helper()
	bubble.Test(t, func(t *testing.T) { f(t, newWorld(t, p)) })
}

// mgmt is what a Management component of ours announces.
func mgmt(addr uint64) cep.Info {
	return cep.Info{Component: cep.Management, Protocol: "LSP", Version: 1, Address: addr, Caps: cep.CapKeepalive | cep.CapLSBatch}
}
