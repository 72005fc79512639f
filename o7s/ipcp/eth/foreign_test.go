// SPDX-License-Identifier: BSD-3-Clause

package eth

import (
	"bytes"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"o7gw/o7s/layer"
)

// foreign is a raw socket in the place of a C node, or of an attacker.
type foreign struct {
	t    testing.TB
	f    framing
	s    *socket
	self mac
	to   mac
}

// dial opens a foreign socket on one side toward an IPC process on the other.
func (w *wire) dial(t testing.TB, side int, f framing, to *IPCP) *foreign {
	t.Helper()
	c := &foreign{t: t, f: f, to: *to.self.Load()}
	w.at(t, side, func() error {
		s, d, err := listen("v", f)
		c.s, c.self = s, d.addr
		return err
	})
	t.Cleanup(func() { c.s.close() })
	return c
}

// beside opens a foreign socket, which only sends, beside an IPC process.
func (w *wire) beside(t testing.TB, side int, to *IPCP) *foreign {
	t.Helper()
	c := &foreign{t: t, f: dix, to: *to.self.Load(), s: &socket{stop: -1, links: -1}}
	w.at(t, side, func() (err error) {
		if c.s.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0); err != nil {
			return err
		}
		d, err := deviceNamed(c.s.fd, "v")
		if err != nil {
			return err
		}
		return unix.Bind(c.s.fd, &unix.SockaddrLinklayer{Ifindex: d.index})
	})
	t.Cleanup(func() { c.s.close() })
	return c
}

// raw sends a frame as it is.
func (c *foreign) raw(frame []byte) {
	c.t.Helper()
	if _, err := unix.Write(c.s.fd, frame); err != nil {
		c.t.Fatal(err)
	}
}

// message makes the frame of a management message.
func (c *foreign) message(m message) []byte {
	to := c.to
	if _, ok := m.(query); ok {
		to = broadcast
	}
	return buildMessage(c.f, to, c.self, m)
}

func (c *foreign) send(m message) { c.t.Helper(); c.raw(c.message(m)) }

// data sends a packet of a flow.
func (c *foreign) data(dst, src uint16, payload []byte) {
	c.t.Helper()
	c.raw(build(c.f, c.to, c.self, dst, src, payload))
}

// read returns the next frame, nil if none comes in time.
func (c *foreign) read(limit time.Duration) []byte {
	b := make([]byte, 70000)
	for end := time.Now().Add(limit); ; {
		n, err := unix.Read(c.s.fd, b)
		switch left := time.Until(end); {
		case err == nil:
			return b[:n]
		case err != unix.EAGAIN && err != unix.EINTR:
			c.t.Fatal(err)
		case left <= 0:
			return nil
		default: // a signal may end it early
			unix.Poll([]unix.PollFd{{Fd: int32(c.s.fd), Events: unix.POLLIN}}, int(left/time.Millisecond)+1)
		}
	}
}

// recv returns the next frame.
func (c *foreign) recv() []byte {
	c.t.Helper()
	b := c.read(5 * time.Second)
	if b == nil {
		c.t.Fatal("nothing comes")
	}
	return b
}

// recvMessage returns the next message.
func (c *foreign) recvMessage() message {
	c.t.Helper()
	b := c.recv()
	n := c.f.headerLen()
	d, ok := c.f.decode(b[:n], len(b)-n)
	if !ok || d.from != c.to {
		c.t.Fatalf("got % x", b)
	}
	m, err := c.f.parseManagement(b[n:], 32)
	if err != nil {
		c.t.Fatal(err)
	}
	return m
}

// silentAfterQuery fails if anything but the answer to a name query comes.
func (c *foreign) silentAfterQuery() {
	c.t.Helper()
	c.send(query{op})
	if b := c.recv(); !bytes.Equal(b, buildMessage(c.f, c.self, c.to, queryReply{op})) {
		c.t.Errorf("got % x", b)
	}
	if b := c.read(time.Millisecond); b != nil {
		c.t.Errorf("got % x", b)
	}
}

// wanted reads the flow request that a foreign responder gets.
func (c *foreign) wanted() request {
	c.t.Helper()
	m := c.recvMessage()
	r, ok := m.(request)
	if !ok {
		c.t.Fatalf("got %T, want a request", m)
	}
	return r
}

// serve answers the name query of an IPC process.
func (c *foreign) serve() {
	c.t.Helper()
	if m, ok := c.recvMessage().(query); !ok || m.name != layer.Hash(op) {
		c.t.Fatalf("got %+v", m)
	}
	c.send(queryReply{op})
}
