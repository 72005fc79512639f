// SPDX-License-Identifier: BSD-3-Clause

package unicast

import (
	"context"
	"crypto/rand"
	"sync"
	"time"

	"o7gw/o7s/ipcp/unicast/dht"
	"o7gw/o7s/layer"
	"o7gw/o7s/packet"
)

// smallLayer is up to how many members a node tells its directory of each of
// them, so that it knows all. In larger layers it learns of others by asking.
const smallLayer = 16

// maxLost bounds how many members without a route are remembered, to be looked
// at at once when they are back.
const maxLost = 4096

// maxUnreachable bounds how many members that were lost at the same time the
// directory is told of: it remembers no more, and finds out about others when they
// are silent. Somebody who invents a large layer can make it come and go at
// every turn.
const maxUnreachable = 1024

// directory drives the DHT machine: it gives it the time and the messages,
// sends what it has to say, and waits for look-ups.
type directory struct {
	m     *member
	timer *timer

	mu     sync.Mutex
	closed bool
	state  *dht.DHT                   // guarded by mu, as is the rest
	waits  map[uint64]chan<- []uint64 // look-ups under way
	last   uint64                     // id of the newest
	known  map[uint64]bool            // members that there was a route to
	lost   map[uint64]bool            // and those that there was one to before
	out    []letter                   // to be sent when mu is free
}

// letter is a message to another member's directory.
type letter struct {
	to  uint64
	pkt *packet.Buffer
}

func newDirectory(m *member, id []byte, peer uint64) *directory {
	cfg := dhtConfig(m.config.Unicast, m.self)
	cfg.ID, cfg.Rand = id, rand.Reader
	d := &directory{
		m:     m,
		state: dht.New(cfg, time.Now()),
		waits: make(map[uint64]chan<- []uint64),
		known: make(map[uint64]bool),
		lost:  make(map[uint64]bool),
	}
	d.timer = startTimer(func() { d.do(d.state.Tick) })
	d.do(func(now time.Time) { d.state.Join(now, peer) })
	return d
}

// do gives the machine an input and then does what it wants done; nothing is
// sent under mu.
func (d *directory) do(input func(now time.Time)) {
	d.mu.Lock()
	if d.closed {
		d.mu.Unlock()
		return
	}
	input(time.Now())
	d.state.Drain(d.queueLocked, d.foundLocked)
	d.timer.set(d.state.Deadline())
	out := d.out
	d.out = nil
	d.mu.Unlock()
	for _, l := range out {
		// Without a route it is lost, like any message; the machine asks again.
		_ = d.m.dt.Send(l.to, directoryEID, []*packet.Buffer{l.pkt})
	}
}

func (d *directory) queueLocked(to uint64, msg []byte) {
	b := packet.Get(len(msg))
	b.Append(msg)
	d.out = append(d.out, letter{to, b})
}

func (d *directory) foundLocked(id uint64, addrs []uint64) {
	if ch, ok := d.waits[id]; ok {
		delete(d.waits, id)
		ch <- append([]uint64(nil), addrs...) // has room
	}
}

// receive takes messages from the data transfer.
func (d *directory) receive(pkts []*packet.Buffer) {
	d.do(func(now time.Time) {
		for _, b := range pkts {
			d.state.Receive(now, b.Bytes())
		}
	})
	for _, b := range pkts {
		b.Release()
	}
}

func (d *directory) register(name layer.Hash) {
	d.do(func(now time.Time) { d.state.Register(now, name) })
}

func (d *directory) unregister(name layer.Hash) {
	d.do(func(now time.Time) { d.state.Unregister(now, name) })
}

// forget tells that a member does not serve the name.
func (d *directory) forget(name layer.Hash, a uint64) {
	d.do(func(now time.Time) { d.state.Forget(now, name, a) })
}

// lookup returns the addresses of the members that registered the name, none if
// nobody is known to have.
func (d *directory) lookup(ctx context.Context, name layer.Hash) ([]uint64, error) {
	answer := make(chan []uint64, 1)
	var id uint64
	d.do(func(now time.Time) {
		d.last++
		id = d.last
		d.waits[id] = answer
		d.state.Lookup(now, id, name)
	})
	if id == 0 {
		return nil, layer.ErrIPCPState // closing
	}
	select {
	case addrs := <-answer:
		return addrs, nil
	case <-ctx.Done():
	}
	d.do(func(time.Time) {
		delete(d.waits, id)
		d.state.Cancel(id)
	})
	return nil, ctx.Err()
}

// reachable tells the machine to which members there is a route now, and asks it to
// look at those that it may like to know. The routes are asked for under mu, so
// that the last call has the last word.
func (d *directory) reachable() {
	d.do(func(now time.Time) {
		all := d.m.routing.destinations()
		near := make(map[uint64]bool)
		for _, a := range d.m.routing.neighbours() {
			near[a] = true
		}
		there := make(map[uint64]bool, len(all))
		for _, a := range all {
			there[a] = true
			if !d.known[a] && (len(all) <= smallLayer || near[a] || d.lost[a]) {
				d.state.Neighbour(now, a)
			}
			delete(d.lost, a)
		}
		told := 0
		for a := range d.known {
			if there[a] {
				continue
			}
			if told < maxUnreachable {
				d.state.Unreachable(now, a)
				told++
			}
			if len(d.lost) < maxLost {
				d.lost[a] = true
			}
		}
		d.known = there
	})
}

func (d *directory) close() {
	d.mu.Lock()
	d.closed = true
	d.mu.Unlock()
	d.timer.close()
}
