// SPDX-License-Identifier: BSD-3-Clause

// Package irm is the IPC resource manager (spec 40 §2, DESIGN §4): it knows
// the IPC processes of a node, the service names with the programs and
// processes that serve them, and all flows, and it brings requester and
// acceptor of a flow together. It has no socket of its own: package
// irm/control puts one in front of it, package node embeds it.
//
// Start with New; (*IRM).Attach gives the Process through which an
// application allocates and accepts flows.
//
// # Who may do what
//
// Methods of IRM are administrative and check nothing unless they take
// Creds: whoever passes on a request of somebody else first calls
// Creds.RequireAdmin. Lists are for everybody. Methods of Process are for every
// user and check what that user may do.
//
// # Locking
//
// One mutex guards the whole model; no method of an IPC process, port or
// answerer is called under it. It is held for microseconds, and never for a
// packet.
package irm

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"time"

	"o7gw/o7s/flow"
	"o7gw/o7s/ipcp"
	"o7gw/o7s/layer"
	"o7gw/o7s/log"
	"o7gw/o7s/rib"
	"o7gw/o7s/security"
)

// Options configure an IRM.
type Options struct {
	// Factory makes the IPC processes.
	Factory ipcp.Factory
	// Log gets the log lines of spec 40 §8; nil: none. The IRM and each IPC
	// process add their attribute "component".
	Log *slog.Logger
	// Spawn starts the programs bound for auto-start; nil: no auto-start.
	Spawn SpawnFunc
	// Now is the wall clock of OAP time stamps and of certificates; nil:
	// time.Now.
	Now func() time.Time
	// Security is the directory of keys, certificates and enc.conf files (spec 30
	// §6.10), which need not exist. It is looked at for every flow. Empty: there
	// are none.
	Security string
}

// IRM is the resource manager of one node.
type IRM struct {
	factory ipcp.Factory
	base    *slog.Logger // without component
	log     *slog.Logger
	spawn   SpawnFunc
	now     func() time.Time

	ctx  context.Context // ends when Close begins
	stop context.CancelFunc
	wg   sync.WaitGroup // goroutines; Add only under mu while !closed

	security   *security.Loader
	handshakes handshakes

	host *flow.Host // serves the flows that IPC processes use
	rib  *rib.Tree

	userQuota, remoteQuota log.Quota // see infoBy

	mu       sync.Mutex
	closed   bool
	ending   bool // no more programs are started
	lastIPCP int
	ipcps    []*member // in listing order; replaced, never changed in place
	names    map[string]*name
	hashes   map[layer.Hash]*name // digests of one name by all algorithms; lengths differ, so they share a map
	procs    map[*Process]struct{}
	flows    flowTable
	children map[*instance]struct{}
}

// New returns an IRM without any IPC process or name.
func New(o Options) *IRM {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	i := &IRM{
		factory:  o.Factory,
		base:     o.Log,
		log:      o.Log.With("component", "irmd"),
		spawn:    o.Spawn,
		host:     flow.NewHost(),
		security: security.NewLoader(o.Security, o.Log.With("component", "irmd/security")),
		rib:      rib.New(),
		now:      o.Now,
		names:    make(map[string]*name),
		hashes:   make(map[layer.Hash]*name),
		procs:    make(map[*Process]struct{}),
		children: make(map[*instance]struct{}),
	}
	i.handshakes.turns = make(chan struct{}, max(1, runtime.GOMAXPROCS(0)-1))
	i.ctx, i.stop = context.WithCancel(context.Background())
	i.publish()
	return i
}

// goLocked runs f in a goroutine that Close waits for; it does nothing and
// reports false after Close began. The caller holds mu.
func (i *IRM) goLocked(f func()) bool {
	if i.closed {
		return false
	}
	i.wg.Go(f)
	return true
}

// Go runs f in a goroutine that Close waits for; the context ends when Close
// begins. It does nothing and reports false after that.
func (i *IRM) Go(f func(ctx context.Context)) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.goLocked(func() { f(i.ctx) })
}

// Close refuses what is pending, detaches all processes, asks the started
// programs to end and closes the IPC processes, upper layers first. When
// ctx ends, programs that are still there are killed. It returns ctx.Err() in that
// case.
func (i *IRM) Close(ctx context.Context) error {
	i.mu.Lock()
	if i.closed {
		i.mu.Unlock()
		i.wg.Wait()
		return nil
	}
	i.closed = true
	i.infof("IRMd shutting down...")
	procs := make([]*Process, 0, len(i.procs))
	for p := range i.procs {
		if p.member == nil { // else it ends with the IPC process
			procs = append(procs, p)
		}
	}
	i.stopChildrenLocked(false)
	i.mu.Unlock()

	i.stop()
	members := i.topDown()
	unhook := context.AfterFunc(ctx, func() {
		for _, m := range members {
			m.stop() // ends what they do just now
		}
	})
	defer unhook()
	for _, p := range procs {
		p.Close()
	}
	err := i.waitChildren(ctx)
	for _, m := range members {
		if e := m.leave(); e != nil && err == nil {
			err = fmt.Errorf("close IPCP %d: %w", m.id, e)
		}
	}
	i.mu.Lock()
	i.ipcps = nil
	i.mu.Unlock()
	if e := i.host.Close(); e != nil && err == nil {
		err = e
	}
	return err
}
