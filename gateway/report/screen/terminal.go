// SPDX-License-Identifier: BSD-3-Clause

//go:build linux

package screen

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// terminal is a terminal in which a live screen is shown.
type terminal struct {
	f     *os.File // of its own, so that its mode of blocking is nobody else's
	saved unix.Termios
	keys  chan key // closed when no more keys come
	stop  chan struct{}
	wg    sync.WaitGroup
}

// openTerminal turns the terminal that a file is into one for a live screen,
// until close.
func openTerminal(out *os.File) (*terminal, error) {
	raw, err := out.SyscallConn()
	if err != nil {
		return nil, err
	}
	t := &terminal{keys: make(chan key), stop: make(chan struct{})}
	if cerr := raw.Control(func(fd uintptr) {
		var saved *unix.Termios
		if saved, err = unix.IoctlGetTermios(int(fd), unix.TCGETS); err != nil {
			return
		}
		t.saved = *saved
		t.f, err = os.OpenFile(fmt.Sprintf("/proc/self/fd/%d", fd), os.O_RDWR|unix.O_NOCTTY, 0)
	}); cerr != nil {
		err = cerr
	}
	if err != nil {
		return nil, fmt.Errorf("open terminal: %w", err)
	}
	if err := t.f.SetReadDeadline(time.Time{}); err != nil { // read could not be ended
		t.f.Close()
		return nil, fmt.Errorf("open terminal: %w", err)
	}
	mode := t.saved
	mode.Lflag &^= unix.ICANON | unix.ECHO
	mode.Cc[unix.VMIN], mode.Cc[unix.VTIME] = 1, 0
	// Ctrl-C ends us by its signal. What would stop or kill the program with
	// the terminal as it is now does nothing.
	mode.Cc[unix.VSUSP], mode.Cc[unix.VQUIT] = 0, 0
	if err := t.set(&mode); err != nil {
		t.f.Close()
		return nil, err
	}
	t.f.WriteString(enter)
	t.wg.Go(t.read)
	return t, nil
}

func (t *terminal) control(f func(fd int) error) error {
	raw, err := t.f.SyscallConn()
	if err != nil {
		return err
	}
	if cerr := raw.Control(func(fd uintptr) { err = f(int(fd)) }); cerr != nil {
		return cerr
	}
	return err
}

func (t *terminal) set(mode *unix.Termios) error {
	return t.control(func(fd int) error { return unix.IoctlSetTermios(fd, unix.TCSETS, mode) })
}

// writeLimit bounds a write to a terminal that does not take it: one that was
// stopped with Ctrl-S, or whose other end hangs.
const writeLimit = 2 * time.Second

// close brings the terminal back.
func (t *terminal) close() {
	close(t.stop)
	t.f.SetReadDeadline(time.Now())
	t.wg.Wait()
	t.draw(leave)
	t.set(&t.saved)
	t.f.Close()
}

// draw writes; a terminal that takes nothing now misses it.
func (t *terminal) draw(s string) error {
	t.f.SetWriteDeadline(time.Now().Add(writeLimit))
	_, err := t.f.WriteString(s)
	if os.IsTimeout(err) {
		return nil
	}
	return err
}

// size returns columns and rows.
func (t *terminal) size() (width, height int) {
	width, height = 80, 24
	t.control(func(fd int) error {
		if ws, err := unix.IoctlGetWinsize(fd, unix.TIOCGWINSZ); err == nil && ws.Col > 0 && ws.Row > 0 {
			width, height = int(ws.Col), int(ws.Row)
		}
		return nil
	})
	return width, height
}

type key uint8

const (
	keyQuit key = iota
	keyUp
	keyDown
	keyPageUp
	keyPageDown
	keyTop
)

// keyNames are the keys as terminals send them.
var keyNames = []struct {
	text string
	key  key
}{
	{"q", keyQuit}, {"Q", keyQuit}, {"\x03", keyQuit}, {"\x04", keyQuit},
	{"\x1b[A", keyUp}, {"\x1bOA", keyUp}, {"k", keyUp}, {"\x1b[B", keyDown}, {"\x1bOB", keyDown}, {"j", keyDown}, {"\r", keyDown}, {"\n", keyDown},
	{"\x1b[5~", keyPageUp}, {"b", keyPageUp}, {"\x1b[6~", keyPageDown}, {" ", keyPageDown},
	{"\x1b[H", keyTop}, {"\x1b[1~", keyTop}, {"g", keyTop},
}

// read reads keys until close, or until the terminal is gone.
func (t *terminal) read() {
	defer close(t.keys)
	buf := make([]byte, 64)
	for {
		n, err := t.f.Read(buf)
		if err != nil {
			return
		}
		for _, k := range parseKeys(string(buf[:n])) {
			select {
			case t.keys <- k:
			case <-t.stop:
				return
			}
		}
	}
}

// parseKeys finds the keys in what a terminal sent; what it does not know
// is left out.
func parseKeys(s string) (keys []key) {
next:
	for s != "" {
		for _, k := range keyNames {
			if rest, ok := strings.CutPrefix(s, k.text); ok {
				keys = append(keys, k.key)
				s = rest
				continue next
			}
		}
		if strings.HasPrefix(s, "\x1b[") || strings.HasPrefix(s, "\x1bO") {
			// An unknown sequence, up to its last byte.
			end := strings.IndexFunc(s[2:], func(r rune) bool { return r >= '@' && r <= '~' })
			if end < 0 {
				return keys
			}
			s = s[2+end+1:]
			continue
		}
		s = s[1:]
	}
	return keys
}
