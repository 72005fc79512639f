// SPDX-License-Identifier: BSD-3-Clause

//go:build linux

package screen

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"o7gw/gateway/report"
)

// childEnv makes this test program a program that watches in its terminal.
const childEnv = "O7GW_TEST_WATCH"

func TestMain(m *testing.M) {
	if os.Getenv(childEnv) != "" {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		if err := Watch(ctx, os.Stdout, Options{Interval: 20 * time.Millisecond, Sessions: 5, Fetch: source()}); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println("ended well")
		return
	}
	goleak.VerifyTestMain(m)
}

// source returns reports whose traffic grows.
func source() func(context.Context) (report.Report, error) {
	n := uint64(0)
	return func(context.Context) (report.Report, error) {
		r := example()
		n += 1_000_000
		for i := range r.Objects {
			r.Objects[i].Book.RxBytes += n
		}
		return r, nil
	}
}

// pty is a terminal, and who sits in front of it.
type pty struct {
	t     *testing.T
	front *os.File
	back  *os.File

	mu   sync.Mutex
	seen bytes.Buffer
}

func newPTY(t *testing.T) *pty {
	t.Helper()
	front, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no pseudo terminals here: %v", err)
	}
	p := &pty{t: t, front: front}
	raw, err := front.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	number := 0
	raw.Control(func(fd uintptr) {
		if err = unix.IoctlSetPointerInt(int(fd), unix.TIOCSPTLCK, 0); err == nil {
			number, err = unix.IoctlGetInt(int(fd), unix.TIOCGPTN)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if p.back, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0); err != nil {
		t.Fatal(err)
	}
	p.resize(100, 30)
	var reading sync.WaitGroup
	reading.Go(func() {
		buf := make([]byte, 64<<10)
		for {
			n, err := front.Read(buf)
			if err != nil {
				return
			}
			p.mu.Lock()
			p.seen.Write(buf[:n])
			p.mu.Unlock()
		}
	})
	t.Cleanup(func() {
		p.back.Close()
		front.Close()
		reading.Wait()
	})
	return p
}

func (p *pty) resize(width, height uint16) {
	p.t.Helper()
	raw, _ := p.back.SyscallConn()
	raw.Control(func(fd uintptr) {
		if err := unix.IoctlSetWinsize(int(fd), unix.TIOCSWINSZ, &unix.Winsize{Col: width, Row: height}); err != nil {
			p.t.Fatal(err)
		}
	})
}

func (p *pty) mode() unix.Termios {
	p.t.Helper()
	var mode *unix.Termios
	raw, _ := p.back.SyscallConn()
	raw.Control(func(fd uintptr) {
		var err error
		if mode, err = unix.IoctlGetTermios(int(fd), unix.TCGETS); err != nil {
			p.t.Fatal(err)
		}
	})
	return *mode
}

func (p *pty) text() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.seen.String()
}

// until waits for something on the screen from now on, and returns what came
// up to it.
func (p *pty) until(what string) string {
	p.t.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		p.mu.Lock()
		s := p.seen.String()
		if at := strings.Index(s, what); at >= 0 {
			p.seen.Next(at + len(what))
			p.mu.Unlock()
			return s[:at+len(what)]
		}
		p.mu.Unlock()
	}
	p.t.Fatalf("never seen: %q, but\n%q", what, p.text())
	return ""
}

func (p *pty) press(keys string) {
	p.t.Helper()
	if _, err := p.front.WriteString(keys); err != nil {
		p.t.Fatal(err)
	}
}

// watching runs Watch in a terminal.
func watching(p *pty, o Options) (ended chan error) {
	ended = make(chan error, 1)
	go func() { ended <- Watch(context.Background(), p.back, o) }()
	return ended
}

func TestLive(t *testing.T) {
	p := newPTY(t)
	before := p.mode()
	ended := watching(p, Options{Interval: 10 * time.Millisecond, Sessions: 20, Fetch: source()})
	p.until(enter)
	first := p.until("Tunnel b")
	if strings.Contains(first, "\x1b]") || strings.Contains(first, "\u009b") {
		t.Errorf("a peer's name is obeyed: %q", first)
	}
	if during := p.mode(); during.Lflag&(unix.ICANON|unix.ECHO) != 0 || during.Lflag&unix.ISIG == 0 {
		t.Errorf("mode %x", during.Lflag)
	}
	p.until("bit/s") // whatever the unit: it depends on the machine
	p.until("█")     // the rates of the past

	// Smaller: no line is longer, and no more lines.
	p.resize(40, 8)
	syscall.Kill(os.Getpid(), syscall.SIGWINCH)
	for {
		s := p.until(below)
		begin := strings.LastIndex(s, home)
		rows := strings.Split(strings.TrimSuffix(s[begin+len(home):], below), "\r\n")
		if len(rows) != 8 {
			continue // one from before
		}
		for _, row := range rows {
			row = strings.NewReplacer("\r", "", toEnd, "", reverse, "", bold, "", red, "", ordinary, "").Replace(row)
			if n := len([]rune(row)); n > 40 {
				t.Errorf("%d columns: %q", n, row)
			}
		}
		break
	}
	p.press("jjjj\x1b[6~")
	p.until("Tunnel a")
	p.press("\x1b[H")
	p.until("Gateway 7")
	p.press("xyq")
	if err := <-ended; err != nil {
		t.Error(err)
	}
	p.until(leave)
	if after := p.mode(); after != before {
		t.Errorf("mode %+v, before %+v", after, before)
	}
}

// TestLiveSurvives: a gateway that is not there for a while, and a terminal
// that goes away.
func TestLiveSurvives(t *testing.T) {
	p := newPTY(t)
	n := 0
	ok := source()
	ended := watching(p, Options{Interval: 5 * time.Millisecond, Fetch: func(ctx context.Context) (report.Report, error) {
		if n++; n%10 > 5 {
			return report.Report{}, errors.New("no gateway " + hostile)
		}
		return ok(ctx)
	}})
	p.until("trying again")
	p.until("q quits, arrows scroll")
	p.front.Close()
	if err := <-ended; err != nil && !errors.Is(err, syscall.EIO) {
		t.Error(err)
	}
}

// TestSignals: Ctrl-C, and being told to end, leave the terminal as it was.
func TestSignals(t *testing.T) {
	for name, end := range map[string]func(p *pty, child *os.Process){
		"Ctrl-C":  func(p *pty, _ *os.Process) { p.press("\x03") },
		"Ctrl-D":  func(p *pty, _ *os.Process) { p.press("\x04") },
		"SIGTERM": func(_ *pty, child *os.Process) { child.Signal(syscall.SIGTERM) },
		"Ctrl-Z and Ctrl-\\ do nothing": func(p *pty, _ *os.Process) {
			p.press("\x1a\x1c")
			p.until(below)
			p.until(below)
			p.press("q")
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPTY(t)
			before := p.mode()
			cmd := exec.Command("/proc/self/exe")
			cmd.Env = append(os.Environ(), childEnv+"=1", "TERM=xterm")
			cmd.Stdin, cmd.Stdout, cmd.Stderr = p.back, p.back, p.back
			cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			p.until(enter)
			p.until("Tunnel a")
			end(p, cmd.Process)
			if err := cmd.Wait(); err != nil {
				t.Errorf("%v: %q", err, p.text())
			}
			p.until(leave)
			p.until("ended well")
			if after := p.mode(); after != before {
				t.Errorf("mode %+v, before %+v", after, before)
			}
		})
	}
}

func TestPlain(t *testing.T) {
	var b bytes.Buffer
	ctx, cancel := context.WithCancel(context.Background())
	n := 0
	ok := source()
	if err := Watch(ctx, &b, Options{Interval: time.Millisecond, Fetch: func(ctx context.Context) (report.Report, error) {
		if n++; n == 3 {
			cancel()
		}
		return ok(ctx)
	}}); err != nil {
		t.Error(err)
	}
	s := b.String()
	if n := strings.Count(s, "\nGateway 7, "); n < 2 || strings.Contains(s, "\x1b") || strings.Count(s, " Receives ") != n-1 {
		t.Errorf("%d reports:\n%s", n, s)
	}
	if err := Watch(context.Background(), &b, Options{Fetch: func(context.Context) (report.Report, error) { return report.Report{}, os.ErrNotExist }}); err != os.ErrNotExist {
		t.Error(err)
	}
	if err := Watch(context.Background(), full{}, Options{Fetch: source()}); err != syscall.ENOSPC {
		t.Error(err)
	}
}

// full is a file on a full disk.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, syscall.ENOSPC }
