// SPDX-License-Identifier: BSD-3-Clause

package bubble_test

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"o7gw/o7s/bubble"
)

// each runs work on several goroutines of a bubble.
func each(t *testing.T, work func(k int)) {
	bubble.Test(t, func(*testing.T) {
		var wg sync.WaitGroup
		for k := range 4 {
			wg.Go(func() { work(k) })
		}
		wg.Wait()
	})
}

// TestTimersAtOnce kills the program under the race detector with synctest.Test.
func TestTimersAtOnce(t *testing.T) {
	t.Run("functions", func(t *testing.T) {
		each(t, func(int) {
			for range 5000 {
				time.AfterFunc(0, func() {})
			}
		})
	})
	t.Run("channels", func(t *testing.T) {
		each(t, func(int) {
			for range 5000 {
				<-time.NewTimer(0).C
			}
		})
	})
}

// TestLateLook is the same for timers that nobody waited for when their time came.
func TestLateLook(t *testing.T) {
	bubble.Test(t, func(*testing.T) {
		var timers []*time.Timer
		for range 20000 {
			timers = append(timers, time.NewTimer(time.Millisecond))
		}
		time.Sleep(time.Second)
		var wg sync.WaitGroup
		for k := range 4 {
			wg.Go(func() {
				for i := k; i < len(timers); i += 4 {
					<-timers[i].C
				}
			})
		}
		wg.Wait()
	})
}

// TestProcessorsAreBack: also after tests that overlap.
func TestProcessorsAreBack(t *testing.T) {
	prior := runtime.GOMAXPROCS(0)
	t.Run("group", func(t *testing.T) {
		for range 3 {
			t.Run("one", func(t *testing.T) {
				t.Parallel()
				bubble.Test(t, func(*testing.T) { time.Sleep(time.Hour) })
			})
		}
	})
	if n := runtime.GOMAXPROCS(0); n != prior {
		t.Errorf("%d processors, before %d", n, prior)
	}
}

// TestEverybodyUsesIt: no test of the repository has a bubble without it.
func TestEverybodyUsesIt(t *testing.T) {
	call := []byte("synctest" + ".Test(")
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && d.Name() != ".." && strings.HasPrefix(d.Name(), "."):
			return filepath.SkipDir
		case d.IsDir() || !strings.HasSuffix(path, "_test.go"):
			return nil
		}
		text, err := os.ReadFile(path)
		if bytes.Contains(text, call) {
			t.Errorf("%s: use bubble.Test, not %s…)", path, call)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}
