// SPDX-License-Identifier: BSD-3-Clause

package ipcp

import (
	"context"
	"fmt"
	"log/slog"
	"sync"

	"o7gw/o7s/layer"
	"o7gw/o7s/qos"
)

// Ops are the operations of one type of IPC process. What a type does not
// have stays nil and is answered with layer.ErrNotSupported. They are called
// only in the right state and with hashes of the right length; the context
// also ends when the IPC process is closed.
type Ops struct {
	Bootstrap  func(ctx context.Context, cfg Config) (Info, error)
	Enroll     func(ctx context.Context, dst string) (Info, error)
	Register   func(ctx context.Context, name layer.Hash) error
	Unregister func(ctx context.Context, name layer.Hash) error
	Query      func(ctx context.Context, name layer.Hash) error
	Allocate   func(ctx context.Context, dst layer.Hash, qs qos.Spec, data []byte) (layer.Port, []byte, error)
	Join       func(ctx context.Context, name layer.Hash) (layer.Port, error)
	Connect    func(ctx context.Context, dst, component string, qs qos.Spec) error
	Disconnect func(ctx context.Context, dst, component string) error
	// Close gives back everything. It is called once, in whatever state,
	// when no other operation is under way and none will follow.
	Close func() error
}

// Shell is the part that all IPC processes share (spec 10 §10). A type embeds
// it, calls Init with its own operations, and thereby is an IPCP.
//
//	NULL --Init--> BOOT --Bootstrap, Enroll--> INIT --success--> OPERATIONAL
//	                ^                            |
//	                +----------failure-----------+
//	any --Close--> SHUTDOWN --everything ended--> NULL
//
// All operations but Bootstrap and Enroll need OPERATIONAL. (The prototype
// lets register, unregister, connect and disconnect pass in any state; before
// there is a layer they have no meaning.)
type Shell struct {
	typ    Type
	env    Env
	ops    Ops
	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	once   sync.Once // of Close
	err    error     // of Close

	mu      sync.Mutex
	state   State          // guarded by mu
	info    Info           // guarded by mu
	running sync.WaitGroup // operations; Add under mu and not after SHUTDOWN
}

var _ IPCP = (*Shell)(nil)

// Init makes the shell ready for Bootstrap or Enroll.
func (s *Shell) Init(t Type, env Env, ops Ops) {
	s.typ, s.env, s.ops = t, env, ops
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.state = Boot
}

// Type returns the type of the IPC process.
func (s *Shell) Type() Type { return s.typ }

// State returns the present state.
func (s *Shell) State() State {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state
}

// Info describes the layer; it is zero outside OPERATIONAL.
func (s *Shell) Info() Info {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state != Operational {
		return Info{}
	}
	return s.info
}

// Name returns the name of the IPC process.
func (s *Shell) Name() string { return s.env.Name }

// Log returns the logger of the IPC process.
func (s *Shell) Log() *slog.Logger { return s.env.Log }

// Upper returns who receives flow requests.
func (s *Shell) Upper() layer.Upper { return s.env.Upper }

// Context ends when the IPC process is closed: for work that outlives an
// operation.
func (s *Shell) Context() context.Context { return s.ctx }

// enter begins an operation. has tells whether the type has it. The caller
// calls leave when it is over.
func (s *Shell) enter(ctx context.Context, op string, has bool, need State) (_ context.Context, leave func(), err error) {
	if !has {
		return nil, nil, fmt.Errorf("%s: %v IPCP %q: %w", op, s.typ, s.env.Name, layer.ErrNotSupported)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state != need {
		return nil, nil, fmt.Errorf("%s: %v IPCP %q is %v, not %v: %w", op, s.typ, s.env.Name, s.state, need, layer.ErrIPCPState)
	}
	if need == Boot {
		s.state = Init
	}
	s.running.Add(1)
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(s.ctx, cancel)
	return ctx, func() {
		stop()
		cancel()
		s.running.Done()
	}, nil
}

// named begins an operation on a hash.
func (s *Shell) named(ctx context.Context, op string, has bool, h layer.Hash) (context.Context, func(), error) {
	ctx, leave, err := s.enter(ctx, op, has, Operational)
	if err != nil {
		return nil, nil, err
	}
	if want := s.Info().Hash.Size(); len(h) != want {
		leave()
		return nil, nil, fmt.Errorf("%s: %v IPCP %q: hash of %d bytes, the layer's have %d: %w", op, s.typ, s.env.Name, len(h), want, layer.ErrInvalid)
	}
	return ctx, leave, nil
}

// joined ends Bootstrap and Enroll.
func (s *Shell) joined(op string, info Info, err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state != Init { // closed meanwhile
		return fmt.Errorf("%s: %v IPCP %q was closed: %w", op, s.typ, s.env.Name, layer.ErrIPCPState)
	}
	if err != nil {
		s.state = Boot
		return fmt.Errorf("%s: %v IPCP %q: %w", op, s.typ, s.env.Name, err)
	}
	s.info, s.state = info, Operational
	return nil
}

// Close ends all flows, goroutines and sockets. It cancels operations under
// way and waits for them, so it must not be called from within one.
func (s *Shell) Close() error {
	s.once.Do(func() {
		s.mu.Lock()
		s.state = Shutdown
		s.mu.Unlock()
		s.cancel()
		s.running.Wait()
		if s.ops.Close != nil {
			s.err = s.ops.Close()
		}
		s.mu.Lock()
		s.state = Null
		s.mu.Unlock()
	})
	return s.err
}
