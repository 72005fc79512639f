// SPDX-License-Identifier: BSD-3-Clause

package irm

import (
	"bufio"
	"context"
	"errors"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"

	"o7gw/o7s/bubble"
	"o7gw/o7s/ipcp"
	"o7gw/o7s/layer"
	"o7gw/o7s/qos"
)

// program is a fake program: started, it runs main until that returns.
type program struct {
	mu     sync.Mutex
	starts []time.Time
	fail   error
	main   func(ctx context.Context)
}

func (g *program) spawn(b ProgramBinding) (*Child, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.starts = append(g.starts, time.Now())
	if g.fail != nil {
		return nil, g.fail
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		g.main(ctx)
	}()
	return &Child{PID: 4711, Done: done, Stop: func(bool) { cancel() }}, nil
}

func (g *program) count() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.starts)
}

// server is the main of a program that serves one flow after the other, each
// for some time.
func server(i *IRM, start, each time.Duration) func(context.Context) {
	return func(ctx context.Context) {
		time.Sleep(start)
		p, err := i.Attach(ProcInfo{PID: 4711, Program: "/bin/srv", Creds: Creds{UID: 7}})
		if err != nil {
			return
		}
		defer p.Close()
		for {
			f, err := p.Accept(ctx, "")
			if err != nil {
				return
			}
			time.Sleep(each)
			f.Dealloc()
		}
	}
}

func autoNode(t *testing.T, g *program) *IRM {
	i := New(Options{Factory: new(fakeNet).factory, Spawn: g.spawn})
	err := i.BindProgram(ProgramBinding{Path: "/bin/srv", Name: "svc", Auto: true, Creds: Creds{UID: 7, Admin: true}})
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func TestAutostart(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		g := new(program)
		i := autoNode(t, g)
		defer i.Close(context.Background())
		g.main = server(i, 50*time.Millisecond, 0)
		c := attach(t, i, 5, "client")
		start := time.Now()
		var wg sync.WaitGroup
		for range 20 { // one instance, not twenty
			wg.Go(func() {
				f, err := c.Alloc(context.Background(), "svc", qos.Raw)
				if err != nil {
					t.Error(err)
					return
				}
				f.Dealloc()
			})
		}
		wg.Wait()
		if d := time.Since(start); d != 50*time.Millisecond {
			t.Errorf("first flows took %v", d)
		}
		if n := g.count(); n != 1 {
			t.Errorf("%d instances", n)
		}
	})
}

func TestAutostartOfAnIncomingRequest(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		g, net := new(program), new(fakeNet)
		a, b := New(Options{Factory: net.factory}), New(Options{Factory: net.factory, Spawn: g.spawn})
		defer a.Close(context.Background())
		defer b.Close(context.Background())
		inLayer(t, a, ipcp.UDP4, "net")
		inLayer(t, b, ipcp.UDP4, "net")
		g.main = server(b, 50*time.Millisecond, 0)
		err := b.BindProgram(ProgramBinding{Path: "/bin/srv", Name: "svc", Auto: true, Creds: Creds{UID: 7, Admin: true}})
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		f, err := attach(t, a, 5, "client").Alloc(context.Background(), "svc", qos.Raw)
		if err != nil {
			t.Fatal(err)
		}
		if d := time.Since(start); d != 50*time.Millisecond || g.count() != 1 {
			t.Errorf("took %v, %d instances", d, g.count())
		}
		f.Dealloc()
	})
}

// A server that is busy for long gets help, but not at every gap between two
// accepts, and not without limit.
func TestAutostartBesideBusyServers(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		g := new(program)
		i := autoNode(t, g)
		defer i.Close(context.Background())
		g.main = server(i, 0, time.Hour)
		c := attach(t, i, 5, "client")
		for k := range maxInstances {
			start := time.Now()
			f, err := c.Alloc(context.Background(), "svc", qos.Raw)
			if err != nil {
				t.Fatal(err)
			}
			want := busyGrace
			if k == 0 {
				want = 0
			}
			if d := time.Since(start); d != want || g.count() != k+1 {
				t.Errorf("flow %d took %v with %d instances", k, d, g.count())
			}
			f.Dealloc()
		}
		if _, err := c.Alloc(context.Background(), "svc", qos.Raw); !errors.Is(err, layer.ErrIPCP) {
			t.Errorf("beyond the limit: %v", err)
		}
		if n := g.count(); n != maxInstances {
			t.Errorf("%d instances", n)
		}
		time.Sleep(2 * time.Hour) // let them notice that they are to end
	})
}

func TestAutostartBackoff(t *testing.T) {
	for _, c := range []struct {
		title string
		fail  error
	}{{"cannot start", errors.New("no such file")}, {"crashes at once", nil}} {
		t.Run(c.title, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				g := &program{fail: c.fail, main: func(context.Context) {}}
				i := autoNode(t, g)
				defer i.Close(context.Background())
				p := attach(t, i, 5, "client")
				for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
					if _, err := p.Alloc(context.Background(), "svc", qos.Raw); err == nil {
						t.Fatal("flow to a broken program")
					}
				}
				g.mu.Lock()
				defer g.mu.Unlock()
				if n := len(g.starts); n < 5 || n > 12 {
					t.Errorf("%d starts in a minute", n)
				}
				for k := 2; k < len(g.starts); k++ {
					if was, is := g.starts[k-1].Sub(g.starts[k-2]), g.starts[k].Sub(g.starts[k-1]); is < was {
						t.Errorf("pause %v after %v", is, was)
					}
				}
			})
		})
	}
}

// A real program: it ends when the node ends, and is killed if it would not.
func TestAutostartRealProgram(t *testing.T) {
	for _, c := range []struct {
		title, script string
		want          syscall.Signal
	}{
		{"ends", "echo ready; while :; do sleep 0.01; done", syscall.SIGTERM},
		{"has to be killed", "trap '' TERM; echo ready; while :; do sleep 0.01; done", syscall.SIGKILL},
	} {
		t.Run(c.title, func(t *testing.T) {
			cmds, ready := make(chan *exec.Cmd, 1), make(chan string, 1)
			spawn := func(b ProgramBinding) (*Child, error) {
				cmd := exec.Command(b.Path, b.Args...)
				out, err := cmd.StdoutPipe()
				if err == nil {
					err = cmd.Start()
				}
				if err != nil {
					return nil, err
				}
				done := make(chan struct{})
				go func() {
					defer close(done)
					line, _ := bufio.NewReader(out).ReadString('\n')
					ready <- line
					cmd.Wait()
				}()
				cmds <- cmd
				return &Child{PID: cmd.Process.Pid, Done: done, Stop: func(kill bool) {
					s := syscall.SIGTERM
					if kill {
						s = syscall.SIGKILL
					}
					cmd.Process.Signal(s)
				}}, nil
			}
			i := New(Options{Factory: new(fakeNet).factory, Spawn: spawn})
			err := i.BindProgram(ProgramBinding{
				Path: "/bin/sh", Args: []string{"-c", c.script}, Name: "svc", Auto: true, Creds: Creds{Admin: true},
			})
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(context.Background())
			failed := make(chan error, 1)
			client := attach(t, i, 5, "client")
			go func() {
				_, err := client.Alloc(ctx, "svc", qos.Raw)
				failed <- err
			}()
			if line := <-ready; line != "ready\n" {
				t.Fatalf("program said %q", line)
			}
			cancel()
			// At once, or after the second in which it might have accepted.
			if err := <-failed; !errors.Is(err, context.Canceled) && !errors.Is(err, layer.ErrIPCP) {
				t.Errorf("alloc: %v", err)
			}
			if c.want == syscall.SIGKILL {
				err = i.Close(ctx)
			} else {
				err = i.Close(context.Background())
			}
			cmd := <-cmds
			if cmd.ProcessState == nil {
				t.Fatal("program is left")
			}
			sig := cmd.ProcessState.Sys().(syscall.WaitStatus).Signal()
			if sig != c.want || (c.want == syscall.SIGKILL) != errors.Is(err, context.Canceled) {
				t.Errorf("ended by %v, close: %v", sig, err)
			}
		})
	}
}
