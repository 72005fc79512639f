// SPDX-License-Identifier: BSD-3-Clause

package config

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"o7gw/o7s/bubble"
	"o7gw/o7s/ipcp"
	"o7gw/o7s/irm"
	"o7gw/o7s/layer"
)

const twoUppers = `
[name.core]
[unicast."core.b"]
enrol = "core"
autobind = true
reg = ["svc"]
conn = ["core.a", "core.c"]
[broadcast.bc]
enrol = "news"
conn = ["news.a"]
`

// parsed reads a file in a test.
func parsed(t *testing.T, text string) *File {
	t.Helper()
	f, err := Parse([]byte(text), "join.toml")
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// lines returns a log and what was written in it at info or above.
func lines() (*slog.Logger, *bytes.Buffer) {
	var b bytes.Buffer
	return slog.New(slog.NewTextHandler(&b, &slog.HandlerOptions{Level: slog.LevelInfo})), &b
}

func TestJoinAtOnce(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		j := &journal{}
		log, out := lines()
		begin := time.Now()
		if err := parsed(t, twoUppers).Apply(t.Context(), j, log); err != nil || time.Since(begin) != 0 {
			t.Fatalf("%v after %v", err, time.Since(begin))
		}
		equal(t, "steps", j.steps(), []string{
			"name core spillover",
			"ipcp 1", "enroll 1 core", "name core.b spillover", "bind 1 core.b", "name layer-of-core spillover", "bind 1 layer-of-core",
			"name svc spillover", "register svc 1",
			"connect 1 core.a Management raw", "connect 1 core.a Data Transfer raw",
			"connect 1 core.c Management raw", "connect 1 core.c Data Transfer raw",
			"ipcp 2", "enroll 2 news", "connect 2 news.a Data Transfer raw",
		})
		if s := out.String(); strings.Contains(s, "WARN") || !strings.Contains(s, "1 names, 2 IPCPs.") {
			t.Error(s)
		}
	})
}

// TestJoinLater: who is not there yet fails nothing; all follows in order when
// he comes, and is told once.
func TestJoinLater(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		j := &journal{absent: map[string]int{"enroll 1": 10, "connect 1 core.a Management": 3, "connect 2": 2}}
		log, out := lines()
		begin := time.Now()
		if err := parsed(t, twoUppers).Apply(t.Context(), j, log); err != nil || time.Since(begin) != 0 {
			t.Fatalf("%v after %v", err, time.Since(begin))
		}
		synctest.Wait()
		equal(t, "steps at first", j.steps(), []string{"name core spillover", "ipcp 1", "ipcp 2", "enroll 2 news"})
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		equal(t, "steps", j.steps(), []string{
			"name core spillover",
			"ipcp 1", "ipcp 2", "enroll 2 news", "connect 2 news.a Data Transfer raw",
			"enroll 1 core", "name core.b spillover", "bind 1 core.b", "name layer-of-core spillover", "bind 1 layer-of-core",
			"name svc spillover", "register svc 1",
			// One member that is away keeps the other not waiting.
			"connect 1 core.c Management raw", "connect 1 core.c Data Transfer raw",
			"connect 1 core.a Management raw", "connect 1 core.a Data Transfer raw",
		})
		s := out.String()
		if strings.Count(s, "WARN") != 3 || strings.Count(s, "worked after") != 3 || !strings.Contains(s, "2 of them wait for other members") {
			t.Error(s)
		}
	})
}

// TestJoinBackoff: attempts get rarer, but go on; the end of the IRM ends them.
func TestJoinBackoff(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		life, end := context.WithCancel(context.Background())
		j := &journal{absent: map[string]int{"enroll": 1 << 30}, life: life}
		if err := parsed(t, "[unicast.u]\nenrol = \"core\"\n").Apply(t.Context(), j, discard); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		early := j.tried("enroll")
		time.Sleep(100 * time.Second)
		synctest.Wait()
		if late := j.tried("enroll") - early; early < 5 || early > 9 || late < 15 || late > 28 {
			t.Errorf("%d attempts in the first 10 s, %d in 100 s after", early, late)
		}
		end()
		synctest.Wait() // else the bubble complains of a goroutine
	})
}

// TestJoinGivesUp: an error that does not go away fails the start, or is
// told if it comes later.
func TestJoinGivesUp(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		log, out := lines()
		j := &journal{failAt: 5} // the register
		err := parsed(t, "[unicast.u]\nenrol = \"core\"\nreg = [\"a\", \"b\"]\n").Apply(t.Context(), j, log)
		if !errors.Is(err, errInjected) || !strings.HasPrefix(err.Error(), "join.toml:1: unicast.u: ") || len(j.exists) != 0 {
			t.Errorf("%v, left %v", err, j.exists)
		}
		if s := out.String(); strings.Contains(s, "given up") {
			t.Error(s)
		}
		out.Reset()
		j = &journal{failAt: 5, absent: map[string]int{"enroll": 2}}
		if err := parsed(t, "[unicast.u]\nenrol = \"core\"\nreg = [\"a\", \"b\"]\n").Apply(t.Context(), j, log); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if s := out.String(); strings.Count(s, "given up: injected") != 1 {
			t.Error(s)
		}
	})
}

// TestJoinUndone: a failure in another table ends what goes on in the
// background before it takes it back.
func TestJoinUndone(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		j := &journal{absent: map[string]int{"enroll": 1 << 30}, failAt: 3}
		err := parsed(t, "[unicast.u]\nenrol = \"core\"\n[local.l]\nbootstrap = \"x\"\n").Apply(t.Context(), j, discard)
		if !errors.Is(err, errInjected) || len(j.exists) != 0 {
			t.Errorf("%v, left %v", err, j.exists)
		}
		synctest.Wait()
	})
}

// TestJoinSlow: a start does not wait long for somebody who lets it wait; but
// a signal ends even that.
func TestJoinSlow(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		j := &slow{journal: journal{}, enroll: time.Minute}
		begin := time.Now()
		if err := parsed(t, twoUppers).Apply(t.Context(), j, discard); err != nil || time.Since(begin) != 2*patience {
			t.Errorf("%v after %v", err, time.Since(begin))
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if !slices.Contains(j.steps(), "connect 1 core.c Data Transfer raw") {
			t.Errorf("not done in the end: %q", j.steps())
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := parsed(t, twoUppers).Apply(ctx, &slow{enroll: time.Minute}, discard); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("ended: %v", err)
		}
	})
}

// slow takes its time to enrol.
type slow struct {
	journal
	enroll time.Duration
}

func (s *slow) Enroll(ctx context.Context, id int, dst string) (ipcp.Info, error) {
	select {
	case <-time.After(s.enroll):
		return s.journal.Enroll(ctx, id, dst)
	case <-ctx.Done():
		return ipcp.Info{}, ctx.Err()
	}
}

func TestHopeless(t *testing.T) {
	for err, want := range map[error]bool{
		layer.ErrIPCP: false, layer.ErrPermission: false, layer.ErrTimedOut: false, layer.ErrInvalid: false, layer.ErrNoAnswer: false,
		irm.ErrNotFound: true, layer.ErrIPCPState: true,
	} {
		if hopeless(err) != want {
			t.Errorf("%v", err)
		}
	}
}
