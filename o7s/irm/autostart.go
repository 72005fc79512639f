// SPDX-License-Identifier: BSD-3-Clause

package irm

import (
	"context"
	"maps"
	"slices"
	"time"
)

// SpawnFunc starts the program of a binding as the user b.Creds, never as a
// more powerful one, and returns at once.
type SpawnFunc func(b ProgramBinding) (*Child, error)

// Child is a started program.
type Child struct {
	PID int
	// Done is closed when the program has ended and was waited for.
	Done <-chan struct{}
	// Stop asks the program to end (SIGTERM), or kills it (SIGKILL).
	Stop func(kill bool)
}

const (
	// maxInstances is how many instances of its programs a name may have.
	maxInstances = 16
	// startTimeout is how long an instance may take to accept before another one
	// is started beside it.
	startTimeout = 5 * time.Second
	// minBackoff and maxBackoff limit the pause after an instance that ended
	// without accepting; it doubles each time.
	minBackoff = 100 * time.Millisecond
	maxBackoff = 30 * time.Second
)

// starter is the state of auto-start of one name, guarded by IRM.mu.
type starter struct {
	instances int
	starting  *instance // the one that has not accepted yet
	failures  int       // in a row
	notBefore time.Time
}

// instance is a program that was started for a name.
type instance struct {
	n      *name
	since  time.Time
	served bool
	child  *Child        // nil until started
	gone   chan struct{} // closed when it has ended
}

// servedLocked notes that a process accepts for the name: the instance that
// was awaited has come.
func (s *starter) servedLocked() {
	if s.starting != nil {
		s.starting.served = true
		s.starting = nil
	}
	s.failures, s.notBefore = 0, time.Time{}
}

// autoLocked returns the binding by which the name is started: the newest.
func (n *name) autoLocked() *ProgramBinding {
	for k := range n.programs {
		if n.programs[k].Auto {
			return &n.programs[k]
		}
	}
	return nil
}

// comingLocked reports whether an instance was started and may be expected to
// accept soon.
func (s *starter) comingLocked() bool {
	return s.starting != nil && time.Since(s.starting.since) < startTimeout
}

// canStartLocked reports whether an instance may be started now: not too
// many, and not too soon after failures.
func (i *IRM) canStartLocked(n *name) bool {
	return i.spawn != nil && !i.ending && n.autoLocked() != nil &&
		n.start.instances < maxInstances && !time.Now().Before(n.start.notBefore)
}

// autostartLocked starts an instance of the name's program if it may, and
// none is coming.
func (i *IRM) autostartLocked(n *name) {
	if n.start.comingLocked() || !i.canStartLocked(n) {
		return
	}
	in := &instance{n: n, since: time.Now(), gone: make(chan struct{})}
	binding := *n.autoLocked()
	if i.goLocked(func() { i.run(in, binding) }) {
		n.start.starting = in
		n.start.instances++
		i.children[in] = struct{}{}
	}
}

// run starts the program and waits for its end.
func (i *IRM) run(in *instance, b ProgramBinding) {
	i.infof("Starting %v for %v.", text(b.Path), text(b.Name))
	child, err := i.spawn(b)
	if err != nil {
		i.warnf("Failed to start %v for %v: %v.", text(b.Path), text(b.Name), err)
		i.ended(in)
		return
	}
	i.infof("Instantiated %v as process %d.", text(b.Path), child.PID)
	i.mu.Lock()
	in.child = child
	closing := i.closed || i.ending
	i.mu.Unlock()
	if closing {
		child.Stop(false)
	}
	<-child.Done
	i.ended(in)
}

// ended notes the end of an instance; one that never accepted delays the next
// start.
func (i *IRM) ended(in *instance) {
	i.mu.Lock()
	defer i.mu.Unlock()
	delete(i.children, in)
	close(in.gone)
	s := &in.n.start
	s.instances--
	if s.starting == in {
		s.starting = nil
	}
	if in.served {
		return
	}
	pause := min(minBackoff<<min(s.failures, 16), maxBackoff)
	s.failures++
	s.notBefore = time.Now().Add(pause)
}

// EndPrograms asks the programs that were started for names to end, and waits
// until they have, or ctx ends. No others are started from then on. Before
// Close, it lets them say good-bye to those whom they serve.
func (i *IRM) EndPrograms(ctx context.Context) {
	i.mu.Lock()
	i.ending = true
	i.stopChildrenLocked(false)
	children := slices.Collect(maps.Keys(i.children))
	i.mu.Unlock()
	for _, in := range children {
		select {
		case <-in.gone:
		case <-ctx.Done():
			return
		}
	}
}

func (i *IRM) stopChildrenLocked(kill bool) {
	for in := range i.children {
		if in.child != nil {
			in.child.Stop(kill)
		}
	}
}

// waitChildren waits for all goroutines, of which those of programs may
// last; it kills the programs when ctx ends.
func (i *IRM) waitChildren(ctx context.Context) error {
	done := make(chan struct{})
	go func() {
		i.wg.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
	}
	// More than once: a program may be in the making.
	for {
		i.mu.Lock()
		i.stopChildrenLocked(true)
		i.mu.Unlock()
		select {
		case <-done:
			return ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
	}
}
