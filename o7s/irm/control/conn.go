// SPDX-License-Identifier: BSD-3-Clause

package control

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/proto"

	"o7gw/o7s/irm"
	"o7gw/o7s/irm/irmpb"
	"o7gw/o7s/layer"
	"o7gw/o7s/ring"
)

const (
	// maxIdle is how many goroutines of a connection wait for another request, and
	// idleTime for how long. A fresh one would have to grow its stack first.
	maxIdle  = 32
	idleTime = time.Second
)

// conn is one connection, which is one process.
//
// serve reads requests. Each but the shortest runs in a goroutine beside it,
// which writes the reply, one at a time: behind a client that does not read, requests
// wait with theirs. When the connection ends, ctx ends, and with it every request.
type conn struct {
	s      *server
	sock   *net.UnixConn
	creds  irm.Creds
	proc   *irm.Process
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup // requests
	tasks  chan task      // to one that is idle
	idle   atomic.Int32   // goroutines that take tasks

	kept    keptRings
	writing sync.Mutex // held by who writes
	// poller of the bridged flows, made with the first; guarded by writing, and at the end
	// by nobody else being there.
	poller *ring.Poller

	mu       sync.Mutex // guards what follows
	requests map[uint64]context.CancelFunc
	flows    map[uint64]*granted // by request
	listens  map[uint64]func()   // stop functions, by request

	removing sync.WaitGroup // flows that are ending in goroutines of others
}

// task is a request that is to be run.
type task struct {
	ctx context.Context
	r   *irmpb.Request
}

// reply goes to the client. A flow, if there is one, becomes files when its turn
// has come.
type reply struct {
	msg  *irmpb.Reply
	flow *irm.Flow
	kept uint64 // request of the ring that the client offers; 0: none
}

func newConn(ctx context.Context, s *server, sock *net.UnixConn, creds irm.Creds) *conn {
	c := &conn{
		s: s, sock: sock, creds: creds,
		tasks:    make(chan task),
		requests: make(map[uint64]context.CancelFunc),
		flows:    make(map[uint64]*granted),
		listens:  make(map[uint64]func()),
	}
	c.kept.share = &s.kept
	c.ctx, c.cancel = context.WithCancel(ctx)
	return c
}

// serve runs the connection until either side ends it.
func (c *conn) serve() {
	// A cancelled context wakes whoever reads or writes.
	stop := context.AfterFunc(c.ctx, func() { c.sock.Close() })
	err := c.read()
	c.cancel()
	stop()
	c.sock.Close()
	c.wg.Wait()
	c.drainFlows()
	c.endFlows()
	c.kept.close()
	if c.proc != nil {
		c.proc.Close()
	}
	if !errors.Is(err, io.EOF) && !errors.Is(err, net.ErrClosed) {
		c.s.warnf(c.creds, "Disconnected process %d: %v.", c.creds.PID, err)
	}
}

// read takes requests until the connection ends.
func (c *conn) read() error {
	m := newMessage(MaxRequest, 0)
	c.sock.SetReadDeadline(time.Now().Add(c.s.limits.hello))
	for {
		b, _, err := m.receive(c.sock)
		if err != nil {
			return err
		}
		r := new(irmpb.Request)
		if err := proto.Unmarshal(b, r); err != nil {
			return fmt.Errorf("%w: %w", errMessage, err)
		}
		if c.proc == nil {
			err = c.hello(r)
		} else {
			err = c.handle(r)
		}
		if err != nil {
			return err
		}
	}
}

// hello attaches the process.
func (c *conn) hello(r *irmpb.Request) error {
	h := r.GetHello()
	if h == nil {
		return fmt.Errorf("%w: the first request is not Hello", errMessage)
	}
	proc, err := c.s.irm.Attach(irm.ProcInfo{
		PID: c.creds.PID, Program: programOf(c.creds.PID, string(h.GetProgram())), Creds: c.creds, External: true,
	})
	if err != nil {
		return err
	}
	c.proc = proc
	c.sock.SetReadDeadline(time.Time{})
	c.send(reply{msg: &irmpb.Reply{Id: r.GetId()}})
	return nil
}

// handle starts a request. Its error ends the connection.
func (c *conn) handle(r *irmpb.Request) error {
	switch op := r.GetOp().(type) {
	case *irmpb.Request_Cancel:
		c.cancelRequest(op.Cancel.GetRequest())
		return nil
	case *irmpb.Request_Dealloc:
		c.dealloc(op.Dealloc.GetRequest())
		return nil
	}
	id := r.GetId()
	ctx, err := c.begin(id, r.GetTimeoutMs())
	if errors.Is(err, errMessage) {
		return err
	}
	if err != nil {
		c.send(reply{msg: refusal(id, err)})
		return nil
	}
	k := task{ctx, r}
	select {
	case c.tasks <- k: // somebody is idle
	default:
		c.wg.Go(func() { c.work(k) })
	}
	return nil
}

// work runs a request, and then others that come.
func (c *conn) work(k task) {
	idle := time.NewTimer(idleTime)
	defer idle.Stop()
	for {
		c.run(k.ctx, k.r)
		c.finish(k.r.GetId())
		if c.idle.Add(1) > maxIdle {
			c.idle.Add(-1)
			return
		}
		idle.Reset(idleTime)
		select {
		case k = <-c.tasks:
			c.idle.Add(-1)
		case <-idle.C:
			c.idle.Add(-1)
			return
		case <-c.ctx.Done():
			return
		}
	}
}

// maxTimeout keeps a client's timeout within time.Duration, in ms.
const maxTimeout = 1000 * 3600 * 24 * 365

// begin makes a request known and returns its context.
func (c *conn) begin(id, timeout uint64) (context.Context, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.requests[id] != nil || c.flows[id] != nil || c.listens[id] != nil {
		return nil, fmt.Errorf("%w: request %d used twice", errMessage, id)
	}
	if len(c.requests) >= c.s.limits.requests {
		return nil, busy("process %d has %d requests under way", c.creds.PID, len(c.requests))
	}
	if err := c.s.takeRequest(c.creds); err != nil {
		return nil, err
	}
	var ctx context.Context
	if timeout == 0 {
		ctx, c.requests[id] = context.WithCancel(c.ctx)
	} else {
		ctx, c.requests[id] = context.WithTimeout(c.ctx, time.Duration(min(timeout, maxTimeout))*time.Millisecond)
	}
	return ctx, nil
}

func (c *conn) finish(id uint64) {
	c.mu.Lock()
	c.requests[id]()
	delete(c.requests, id)
	c.mu.Unlock()
	c.s.giveRequest(c.creds)
}

func (c *conn) cancelRequest(id uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if cancel := c.requests[id]; cancel != nil {
		cancel()
	}
}

// run executes a request and sends its replies.
func (c *conn) run(ctx context.Context, r *irmpb.Request) {
	id := r.GetId()
	if f, ok, err := c.flow(ctx, r); ok {
		if err != nil {
			c.send(reply{msg: refusal(id, err)})
		} else {
			kept := cmp.Or(r.GetAlloc().GetKept(), r.GetAccept().GetKept(), r.GetJoin().GetKept())
			c.send(reply{msg: &irmpb.Reply{Id: id}, flow: f, kept: kept})
		}
		return
	}
	replies, ok := c.list(ctx, r)
	if !ok {
		msg := &irmpb.Reply{Id: id}
		if err := c.change(ctx, r, msg); err != nil {
			msg = refusal(id, err)
		}
		replies = []*irmpb.Reply{msg}
	}
	for _, msg := range replies {
		c.send(reply{msg: msg})
	}
}

// errUnknown answers a request of a newer client.
func errUnknown() error {
	return &Error{Code: layer.ErrNotSupported, Text: fmt.Sprintf("request is unknown to this daemon (%s)", version())}
}

// send writes a reply. It waits for a client that does not read, at most for the
// limit of replies; then, or if the connection ends first, the reply is dropped.
func (c *conn) send(r reply) {
	c.writing.Lock()
	defer c.writing.Unlock()
	if c.ctx.Err() != nil {
		r.drop()
		return
	}
	if err := c.writeReply(r); err != nil {
		if c.ctx.Err() == nil {
			c.s.warnf(c.creds, "Disconnecting process %d: cannot send a reply: %v.", c.creds.PID, err)
		}
		c.cancel()
	}
}

func (r reply) drop() {
	if r.flow != nil {
		r.flow.Dealloc()
	}
}

// writeReply sends one reply. An error ends the connection.
func (c *conn) writeReply(r reply) error {
	if r.flow == nil {
		return c.writeMessage(r.msg, nil)
	}
	id := r.msg.GetId()
	files, err := c.grant(r)
	if err != nil {
		r.flow.Dealloc()
		return c.writeMessage(refusal(id, err), nil)
	}
	defer files.Close()
	var rights []byte
	if files.Mem.Valid() {
		rights = rightsOf(files)
	}
	err = c.writeMessage(r.msg, rights)
	if errors.Is(err, unix.ETOOMANYREFS) {
		// Descriptors that others do not take out of their sockets count
		// against an unprivileged daemon.
		c.revoke(id)
		return c.writeMessage(refusal(id, busy("too many descriptors are under way to clients of this daemon")), nil)
	}
	return err
}

func (c *conn) writeMessage(r *irmpb.Reply, oob []byte) error {
	b, err := proto.Marshal(r)
	if err != nil {
		return err
	}
	if err := c.trySend(b, oob); !errors.Is(err, unix.EAGAIN) {
		return err
	}
	c.sock.SetWriteDeadline(time.Now().Add(c.s.limits.reply))
	_, _, err = c.sock.WriteMsgUnix(b, oob, nil)
	return err
}

// trySend sends a message unless it had to wait: unix.EAGAIN.
func (c *conn) trySend(b, oob []byte) (err error) {
	raw, err := c.sock.SyscallConn()
	if err != nil {
		return err
	}
	if e := raw.Control(func(fd uintptr) {
		_, err = unix.SendmsgN(int(fd), b, oob, nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
	}); e != nil {
		return e
	}
	return err
}
