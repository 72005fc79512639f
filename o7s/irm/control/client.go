// SPDX-License-Identifier: BSD-3-Clause

package control

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"google.golang.org/protobuf/proto"

	"o7gw/o7s/irm/irmpb"
	"o7gw/o7s/layer"
	"o7gw/o7s/poll"
)

// Client is a connection to the IRM daemon. To the daemon it is this process:
// keep one and share it. All methods may be called from any goroutine and
// end with their context, or at once with an error that wraps
// layer.ErrIRMd when the daemon goes away. Its end ends the flows that the
// daemon bridges; those to another process of the machine go on until either
// process closes them.
type Client struct {
	conn *net.UnixConn
	wg   sync.WaitGroup // reader and writer
	done chan struct{}  // closed when the connection has ended
	// slots bounds the requests under way, so that the daemon's own bound is
	// met by waiting and not by errors. Accepts, which may wait for ever, do
	// not take one.
	slots chan struct{}
	wake  chan struct{}   // tells the writer that out has something; capacity 1
	raw   syscall.RawConn // conn
	kept  keptRings

	mu     sync.Mutex // guards what follows
	next   uint64
	calls  map[uint64]*call
	out    [][]byte // requests for which there was no room in the socket
	behind bool     // the writer is at work
	err    error    // set before done is closed
}

const (
	// clientSlots is how many requests other than Accept a client keeps under
	// way.
	clientSlots = 512
	// maxPages is how many pages of a list a client takes.
	maxPages = 4096
	// stopTimeout is how long the end of a Listen waits for the daemon.
	stopTimeout = 5 * time.Second
	// busyPause is between attempts to connect while the daemon's backlog is
	// full.
	busyPause = 10 * time.Millisecond
)

// Dial connects to the daemon that uses the run directory.
func Dial(ctx context.Context, runDir string) (*Client, error) {
	path := SocketPath(runDir)
	conn, err := dialSocket(ctx, path)
	switch {
	case err == nil:
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return nil, &Error{
			Code:  layer.ErrIRMd,
			Text:  fmt.Sprintf("connect to the IRM daemon: nobody listens at %s: start irmd, or set O7S_RUN_DIR to its run directory", path),
			cause: err,
		}
	default:
		return nil, fmt.Errorf("connect to the IRM daemon: %w", err)
	}
	c := &Client{
		conn:  conn.(*net.UnixConn),
		done:  make(chan struct{}),
		slots: make(chan struct{}, clientSlots),
		wake:  make(chan struct{}, 1),
		calls: make(map[uint64]*call),
	}
	if c.raw, err = c.conn.SyscallConn(); err != nil {
		conn.Close()
		return nil, fmt.Errorf("connect to the IRM daemon: %w", err)
	}
	c.wg.Go(c.read)
	c.wg.Go(c.write)
	hello := &irmpb.Request_Hello{Hello: &irmpb.Hello{Program: []byte(programName())}}
	if _, err := c.do(ctx, &irmpb.Request{Op: hello}); err != nil {
		c.Close()
		return nil, fmt.Errorf("connect to the IRM daemon: %w", err)
	}
	return c, nil
}

// dialSocket connects, again and again while the daemon's backlog is full.
func dialSocket(ctx context.Context, path string) (net.Conn, error) {
	if err := checkLength(path); err != nil {
		return nil, err
	}
	var d net.Dialer
	for {
		conn, err := d.DialContext(ctx, "unixpacket", path)
		if !errors.Is(err, syscall.EAGAIN) {
			return conn, err
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(busyPause):
		}
	}
}

// programName returns the name under which the process wants to be known: of
// the script, if it is an interpreter (spec 40 §2.1).
func programName() string {
	name := filepath.Base(os.Args[0])
	if interpreter(name) && len(os.Args) > 1 {
		name = filepath.Base(os.Args[1])
	}
	return name
}

// interpreter reports whether the program runs others' programs, so that its
// own name says nothing.
func interpreter(name string) bool { return strings.HasPrefix(name, "python") }

// Close ends the connection: to the daemon the process is gone, its names and
// flows are freed. Idempotent.
func (c *Client) Close() error {
	c.fail(net.ErrClosed)
	c.wg.Wait()
	return nil
}

// Done returns a channel that is closed when the connection has ended; Err
// then tells why.
func (c *Client) Done() <-chan struct{} { return c.done }

// Err returns why the connection has ended, nil while it stands.
func (c *Client) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// fail ends the connection and every call on it. Only the first cause counts.
func (c *Client) fail(cause error) {
	c.mu.Lock()
	if c.err != nil {
		c.mu.Unlock()
		return
	}
	c.err = lost(cause)
	calls := c.calls
	c.calls, c.out = nil, nil
	close(c.done)
	c.mu.Unlock()
	c.conn.Close()
	c.kept.close()
	for _, k := range calls {
		if !k.abandoned {
			k.end(c.err)
		}
	}
}

// post puts a request that has no reply into the queue; it is lost with the
// connection.
func (c *Client) post(r *irmpb.Request) {
	c.mu.Lock()
	c.postLocked(r)
	c.mu.Unlock()
}

// postLocked requires mu. The request is small and always fits.
func (c *Client) postLocked(r *irmpb.Request) {
	if c.err != nil {
		return
	}
	c.next++
	r.Id = c.next
	if b, err := proto.Marshal(r); err == nil {
		c.enqueueLocked(b)
	}
}

// enqueueLocked sends a request, or, while the daemon does not keep up, leaves it to the
// writer. It requires mu.
func (c *Client) enqueueLocked(b []byte) {
	if !c.behind && c.trySend(b) {
		return
	}
	c.behind = true
	c.out = append(c.out, b)
	select {
	case c.wake <- struct{}{}:
	default: // it knows already
	}
}

// trySend sends a request if it need not wait. The writer will find out about any
// other error.
func (c *Client) trySend(b []byte) bool {
	sent := false
	err := c.raw.Control(func(fd uintptr) {
		_, err := poll.Send(int(fd), b)
		sent = err == nil
	})
	return err == nil && sent
}

// write sends what had to wait until the connection ends.
func (c *Client) write() {
	for {
		select {
		case <-c.done:
			return
		case <-c.wake:
		}
		for out := c.waiting(); len(out) > 0; out = c.waiting() {
			for _, b := range out {
				if _, err := c.conn.Write(b); err != nil {
					c.fail(err)
					return
				}
			}
		}
	}
}

// waiting takes requests that wait; none mean that the writer's work is done.
func (c *Client) waiting() [][]byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := c.out
	c.out, c.behind = nil, len(out) > 0
	return out
}
