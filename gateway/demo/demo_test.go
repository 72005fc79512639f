// SPDX-License-Identifier: BSD-3-Clause

//go:build linux

package demo

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

const wholeDemo = "O7GW_TEST_WHOLE_DEMO"

func TestMain(m *testing.M) {
	switch {
	case IsHost():
		os.Exit(RunHost())
	case os.Getenv(wholeDemo) != "":
		os.Unsetenv(wholeDemo)
		if err := Run(context.Background(), Options{Out: os.Stdout, Log: slog.New(slog.DiscardHandler)}); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func needRoot(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: makes network namespaces")
	}
}

// The demo checks itself: page, ping, full-size packets, transfer both ways.
func TestHosts(t *testing.T) {
	needRoot(t)
	ignore := goleak.IgnoreCurrent()
	var b bytes.Buffer
	if err := Run(t.Context(), Options{Once: true, Out: &b, Log: slog.New(slog.DiscardHandler)}); err != nil {
		t.Fatalf("%v\n%s", err, &b)
	}
	for _, want := range []string{"Hello from host A", "20 of 20 answered", "Packets of the full 1468 bytes pass", "A to B"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("the demo does not say %q:\n%s", want, &b)
		}
	}
	goleak.VerifyNone(t, ignore)
	if left, _ := filepath.Glob(filepath.Join(os.TempDir(), tempPrefix()+"*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestLocal(t *testing.T) {
	ignore := goleak.IgnoreCurrent()
	var b bytes.Buffer
	if err := runLocal(t.Context(), Options{Once: true, Out: &b, Log: slog.New(slog.DiscardHandler)}); err != nil {
		t.Fatalf("%v\n%s", err, &b)
	}
	for _, want := range []string{"Hello from host A", "no general TCP forward", "packets came back"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("the demo does not say %q:\n%s", want, &b)
		}
	}
	goleak.VerifyNone(t, ignore)
}

var hostPID = regexp.MustCompile(`nsenter -t (\d+) `)

// A demo that is killed takes its hosts along; the next one removes its
// directory.
func TestKilled(t *testing.T) {
	needRoot(t)
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), wholeDemo+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	pids := map[int]bool{}
	var all strings.Builder
	for s := bufio.NewScanner(out); s.Scan(); {
		fmt.Fprintln(&all, s.Text())
		for _, m := range hostPID.FindAllStringSubmatch(s.Text(), -1) {
			pid, err := strconv.Atoi(m[1])
			if err != nil {
				t.Fatal(err)
			}
			pids[pid] = true
		}
		if strings.Contains(s.Text(), "its configuration") { // the last line
			break
		}
	}
	cmd.Process.Kill()
	cmd.Wait()
	if len(pids) != 2 {
		t.Fatalf("%d hosts:\n%s", len(pids), &all)
	}
	for pid := range pids {
		for i := 0; !errors.Is(syscall.Kill(pid, 0), syscall.ESRCH); i++ {
			if i == 500 {
				t.Fatalf("host %d outlives the demo", pid)
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
	pattern := filepath.Join(os.TempDir(), fmt.Sprintf("o7gw-demo-%d-*", cmd.Process.Pid))
	if left, _ := filepath.Glob(pattern); len(left) != 1 {
		t.Errorf("directories %v", left)
	}
	removeStale()
	if left, _ := filepath.Glob(pattern); len(left) != 0 {
		t.Errorf("still there: %v", left)
	}
}
