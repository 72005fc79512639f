// SPDX-License-Identifier: BSD-3-Clause

package control

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/proto"

	"o7gw/o7s/flow"
	"o7gw/o7s/irm"
	"o7gw/o7s/irm/irmpb"
	"o7gw/o7s/qos"
)

// raw connects without a Client.
func (d *daemon) raw(t testing.TB) *net.UnixConn {
	t.Helper()
	c, err := dialSocket(testContext(t), SocketPath(d.dir))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c.(*net.UnixConn)
}

func encode(t testing.TB, r *irmpb.Request) []byte {
	t.Helper()
	b, err := proto.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func helloMessage(t testing.TB) []byte {
	return encode(t, &irmpb.Request{Id: 1, Op: &irmpb.Request_Hello{Hello: &irmpb.Hello{Program: []byte("x")}}})
}

// disconnects reads until the daemon ends the connection.
func disconnects(t testing.TB, c *net.UnixConn) {
	t.Helper()
	c.SetReadDeadline(time.Now().Add(patience))
	for buf := make([]byte, MaxReply); ; {
		if _, err := c.Read(buf); err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				t.Error("the daemon keeps the connection")
			}
			return
		}
	}
}

// TestHostileClients: while they do their worst, another client works; then
// nothing of them is left.
func TestHostileClients(t *testing.T) {
	d := startDaemon(t, nil)
	good, server := d.dial(t), d.dial(t)
	listenOn(t, server, "n")
	listenOn(t, server, "m")
	go func() {
		for {
			f, err := server.Accept(context.Background(), "m")
			if err != nil {
				return
			}
			closeFlow(f)
		}
	}()
	eventually(t, "the accept waits", func() bool {
		return slices.ContainsFunc(d.irm.ListProcesses(), func(p irm.ProcessInfo) bool { return p.Accepts == 1 })
	})
	before, goroutines := openFiles(t), runtime.NumGoroutine()
	send := func(c *net.UnixConn, messages ...[]byte) {
		t.Helper()
		c.SetWriteDeadline(time.Now().Add(patience))
		for _, m := range messages {
			if _, err := c.Write(m); err != nil && !errors.Is(err, unix.EPIPE) && !errors.Is(err, unix.ECONNRESET) {
				t.Fatal(err)
			}
		}
	}
	hello := helloMessage(t)
	list := encode(t, &irmpb.Request{Id: 2, Op: &irmpb.Request_ListFlows{ListFlows: &irmpb.Empty{}}})
	listen := encode(t, &irmpb.Request{Id: 2, Op: &irmpb.Request_Listen{Listen: &irmpb.Named{Name: []byte("own")}}})
	for _, c := range []struct {
		name  string
		spoil func(c *net.UnixConn)
		ends  bool
	}{
		{"silent", func(c *net.UnixConn) {}, false},
		{"silent after hello", func(c *net.UnixConn) { send(c, hello) }, false},
		{"rubbish", func(c *net.UnixConn) { send(c, bytes.Repeat([]byte{0xff}, 100)) }, true},
		{"rubbish after hello", func(c *net.UnixConn) { send(c, hello, []byte("GET / HTTP/1.1\r\n")) }, true},
		{"half a message", func(c *net.UnixConn) { send(c, hello, list[:len(list)-1]) }, true},
		{"empty message", func(c *net.UnixConn) { send(c, hello, nil); c.CloseWrite() }, true},
		{"oversized", func(c *net.UnixConn) { send(c, hello, make([]byte, MaxRequest+1)) }, true},
		{"much oversized", func(c *net.UnixConn) { send(c, make([]byte, 150<<10)) }, true},
		{"no hello", func(c *net.UnixConn) { send(c, list) }, true},
		{"id used twice", func(c *net.UnixConn) { send(c, hello, listen, listen) }, true},
		{"half closed", func(c *net.UnixConn) { send(c, hello); c.CloseWrite() }, true},
		{"flood of descriptors", func(c *net.UnixConn) { send(c, hello); floodFiles(t, c) }, false},
		{"unknown request", func(c *net.UnixConn) { send(c, hello, encode(t, &irmpb.Request{Id: 3})) }, false},
		{"flow and its end at once", func(c *net.UnixConn) {
			send(c, hello)
			for id := uint64(2); id < 200; id += 2 {
				send(c, encode(t, &irmpb.Request{Id: id, Op: &irmpb.Request_Alloc{Alloc: &irmpb.Named{Name: []byte("m"), Qos: qosToPB(qos.Raw)}}}))
				send(c, encode(t, deallocRequest(id)))
			}
		}, false},
		{"deallocs of nothing", func(c *net.UnixConn) {
			send(c, hello)
			for id := range uint64(100) {
				send(c, encode(t, deallocRequest(id)))
			}
		}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			bad := d.raw(t)
			c.spoil(bad)
			mine, its := flows(t, good, server, "n")
			carries(t, mine, its, "works")
			closeFlow(mine)
			closeFlow(its)
			if c.ends {
				disconnects(t, bad)
			}
			bad.Close()
		})
	}
	eventually(t, "only the good processes are left", func() bool { return len(d.irm.ListProcesses()) == 2 })
	eventually(t, "no descriptor is left", func() bool { return openFiles(t) <= before })
	eventually(t, "no goroutine is left", func() bool { return runtime.NumGoroutine() <= goroutines })
}

// floodFiles sends descriptors of a file with messages that want none.
func floodFiles(t *testing.T, c *net.UnixConn) {
	t.Helper()
	f, err := os.Open("/dev/null")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	before := openFiles(t)
	fds := make([]int, 200)
	for i := range fds {
		fds[i] = int(f.Fd())
	}
	for n := range 50 {
		r := encode(t, &irmpb.Request{Id: uint64(100 + n), Op: &irmpb.Request_Status{Status: &irmpb.Empty{}}})
		if _, _, err := c.WriteMsgUnix(r, unix.UnixRights(fds...), nil); err != nil {
			t.Fatal(err)
		}
	}
	// All were read when the last is answered; the daemon is in this process.
	buf := make([]byte, MaxReply)
	for n := 0; n < 51; n++ {
		if _, err := c.Read(buf); err != nil {
			t.Fatal(err)
		}
	}
	if after := openFiles(t); after > before+10 {
		t.Errorf("%d descriptors before, %d after", before, after)
	}
}

// TestSlowReader: a client that asks and does not read is stopped by its own
// full buffer; others do not notice.
func TestSlowReader(t *testing.T) {
	d := startDaemon(t, nil)
	good := d.dial(t)
	bad := d.raw(t)
	if _, err := bad.Write(helloMessage(t)); err != nil {
		t.Fatal(err)
	}
	sent := 0
	bad.SetWriteDeadline(time.Now().Add(300 * time.Millisecond))
	for n := range uint64(200000) {
		r := encode(t, &irmpb.Request{Id: 2 + n, Op: &irmpb.Request_Status{Status: &irmpb.Empty{}}})
		if _, err := bad.Write(r); err != nil {
			break
		}
		sent++
		if n%1000 == 0 {
			if _, err := good.Status(testContext(t)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if sent == 200000 {
		t.Error("the daemon takes requests without end")
	}
	if _, err := good.Status(testContext(t)); err != nil {
		t.Fatal(err)
	}
	// It may still read what it asked for.
	bad.SetReadDeadline(time.Now().Add(patience))
	buf := make([]byte, MaxReply)
	for range 10 {
		n, err := bad.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		if err := proto.Unmarshal(buf[:n], new(irmpb.Reply)); err != nil {
			t.Fatal(err)
		}
	}
}

// TestTimeouts: who says nothing at first, or does not read what it asked
// for, is disconnected after a while; who waits for a flow in silence is not.
func TestTimeouts(t *testing.T) {
	lim := systemLimits()
	lim.hello, lim.reply = 50*time.Millisecond, 50*time.Millisecond
	d := startLimited(t, nil, lim)
	waiting := d.dial(t)
	listenOn(t, waiting, "n")
	accepted := make(chan error, 1)
	go func() {
		f, err := waiting.Accept(testContext(t), "n")
		if err == nil {
			closeFlow(f)
		}
		accepted <- err
	}()
	disconnects(t, d.raw(t))
	deaf := d.raw(t)
	deaf.SetWriteDeadline(time.Now().Add(patience))
	_, err := deaf.Write(helloMessage(t))
	for id := uint64(2); err == nil; id++ {
		_, err = deaf.Write(encode(t, &irmpb.Request{Id: id, Op: &irmpb.Request_Status{Status: &irmpb.Empty{}}}))
	}
	if !errors.Is(err, unix.EPIPE) && !errors.Is(err, unix.ECONNRESET) {
		t.Errorf("deaf client: %v", err)
	}
	f, err := d.dial(t).Alloc(testContext(t), "n", qos.Raw)
	if err != nil {
		t.Fatal(err)
	}
	closeFlow(f)
	if err := <-accepted; err != nil {
		t.Errorf("the patient one: %v", err)
	}
}

// TestFlowLimit: a user gets no more flows than his share, also such that
// cost the daemon only a record, until he gives one back.
func TestFlowLimit(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root, to become another user")
	}
	lim := systemLimits()
	lim.userFlows = 20
	d := startLimited(t, nil, lim)
	greedy := play(t, "greedy", d.dir, "own", 4242)
	if err := greedy.cmd.Wait(); err != nil {
		t.Errorf("%v: %s", err, greedy.out)
	}
	eventually(t, "nothing is left", func() bool { return len(d.irm.ListFlows()) == 0 })
}

// greedyRole takes flows to itself until it is refused.
func greedyRole() error {
	ctx := context.Background()
	c, err := Dial(ctx, os.Getenv("RUN_DIR"))
	if err != nil {
		return err
	}
	name := os.Getenv("NAME")
	if _, err := c.Listen(ctx, name); err != nil {
		return err
	}
	for n := range 10 {
		a, b := make(chan *flow.Attachment, 1), make(chan error, 1)
		go func() {
			f, err := c.Accept(ctx, name)
			a <- f
			b <- err
		}()
		f, err := c.Alloc(ctx, name, qos.Raw)
		if err != nil {
			return fmt.Errorf("flow %d: %w", n, err)
		}
		f.Ring.Close() // but the daemon is not told
		its := <-a
		if err := <-b; err != nil {
			return err
		}
		its.Ring.Close()
	}
	go c.Accept(ctx, name)
	if _, err = c.Alloc(ctx, name, qos.Raw); !errors.Is(err, errBusy) {
		return fmt.Errorf("flow above the limit: %w", errors.Join(err, errors.New("want EAGAIN")))
	}
	return nil
}

// TestNoRoomForDescriptors: a flow whose descriptors find no room is refused;
// the connection, and all else on it, lives on.
func TestNoRoomForDescriptors(t *testing.T) {
	d := startDaemon(t, nil)
	server := d.dial(t)
	listenOn(t, server, "n")
	go func() {
		for {
			f, err := server.Accept(context.Background(), "n")
			if err != nil {
				return
			}
			closeFlow(f)
		}
	}()
	full := play(t, "full", d.dir, "n", 0)
	if err := full.cmd.Wait(); err != nil {
		t.Errorf("%v: %s", err, full.out)
	}
	eventually(t, "nothing is left", func() bool { return len(d.irm.ListFlows()) == 0 })
}

// fullRole asks for flows without room for descriptors, then with.
func fullRole() error {
	ctx := context.Background()
	c, err := Dial(ctx, os.Getenv("RUN_DIR"))
	if err != nil {
		return err
	}
	defer c.Close()
	free, err := os.Open("/dev/null") // its number is the lowest free one
	if err != nil {
		return err
	}
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	for range 3 {
		few := unix.Rlimit{Cur: uint64(free.Fd()), Max: limit.Max}
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &few); err != nil {
			return err
		}
		if _, err := c.Alloc(ctx, os.Getenv("NAME"), qos.Raw); !errors.Is(err, unix.EMFILE) {
			return fmt.Errorf("without room: %w", errors.Join(err, errors.New("want EMFILE")))
		}
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
			return err
		}
		f, err := c.Alloc(ctx, os.Getenv("NAME"), qos.Raw)
		if err != nil {
			return fmt.Errorf("with room: %w", err)
		}
		closeFlow(f)
	}
	return nil
}

// TestHostileDaemon: what a daemon that is none sends ends calls with an error.
func TestHostileDaemon(t *testing.T) {
	ok := func(id uint64) []byte { b, _ := proto.Marshal(&irmpb.Reply{Id: id}); return b }
	for _, c := range []struct {
		name  string
		reply func(id uint64) []byte
	}{
		{"rubbish", func(uint64) []byte { return bytes.Repeat([]byte{0xff}, 64) }},
		{"foreign id", func(id uint64) []byte { return ok(id + 7) }},
		{"too long", func(uint64) []byte { return make([]byte, MaxReply+1) }},
		{"flow without files", func(id uint64) []byte {
			b, _ := proto.Marshal(&irmpb.Reply{Id: id, Result: &irmpb.Reply_Flow{Flow: &irmpb.Flow{Id: 1}}})
			return b
		}},
		{"no flow", ok},
		{"hang-up", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := runDir(t)
			l, err := net.ListenUnix("unixpacket", &net.UnixAddr{Name: SocketPath(dir), Net: "unixpacket"})
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			done := make(chan error, 1)
			go func() {
				done <- func() error {
					conn, err := l.AcceptUnix()
					if err != nil {
						return err
					}
					defer conn.Close()
					buf := make([]byte, MaxRequest)
					for reply := ok; ; reply = c.reply {
						n, err := conn.Read(buf)
						if err != nil {
							return nil
						}
						r := new(irmpb.Request)
						if err := proto.Unmarshal(buf[:n], r); err != nil {
							return err
						}
						if r.GetDealloc() != nil {
							continue
						}
						if reply == nil {
							return nil
						}
						if _, err := conn.Write(reply(r.GetId())); err != nil {
							return err
						}
					}
				}()
			}()
			client, err := Dial(testContext(t), dir)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := client.Alloc(testContext(t), "n", qos.Raw); err == nil || errors.Is(err, io.EOF) {
				t.Errorf("alloc: %v", err)
			}
			client.Close()
			if err := <-done; err != nil && !errors.Is(err, unix.EPIPE) && !errors.Is(err, unix.ECONNRESET) {
				t.Error(err)
			}
		})
	}
}
