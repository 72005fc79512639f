// SPDX-License-Identifier: BSD-3-Clause

package control

import (
	"fmt"
	"os"
	"runtime"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"o7gw/o7s/flow"
	"o7gw/o7s/qos"
)

// TestManyFlows: ten thousand flows over one connection to another process,
// all in use; the daemon, a third process, has no descriptor of them. With the
// race detector there are fewer, since it takes a while.
func TestManyFlows(t *testing.T) {
	count := 10000
	if raceEnabled {
		count = 1000
	}
	var r unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &r); err != nil || r.Max < uint64(count)+500 {
		t.Skipf("%d open files are allowed: too few (%v)", r.Max, err)
	}
	dir := runDir(t)
	d := play(t, "daemon", dir, "", 0)
	d.says(t, "ready")
	play(t, "echo", dir, "echo", 0).says(t, "ready")
	client, err := Dial(testContext(t), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	all := make([]*flow.Attachment, count)
	begin := time.Now()
	var wg sync.WaitGroup
	workers := 4 * runtime.NumCPU()
	for w := range workers {
		wg.Go(func() {
			for n := w; n < count; n += workers {
				f, err := client.Alloc(testContext(t), "echo", qos.Raw)
				if err != nil {
					t.Errorf("flow %d: %v", n, err)
					return
				}
				all[n] = f
			}
		})
	}
	wg.Wait()
	if t.Failed() {
		return
	}
	t.Logf("%d flows made in %v", count, time.Since(begin))
	if entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", d.cmd.Process.Pid)); err != nil || len(entries) > 50 {
		t.Errorf("the daemon has %d descriptors, %v", len(entries), err)
	}
	begin = time.Now()
	for n, f := range all {
		if err := write(f, []byte{byte(n), byte(n >> 8)}); err != nil {
			t.Fatal(err)
		}
	}
	buf := make([]byte, 16)
	for n, f := range all {
		if k, err := read(f, buf); err != nil || k != 2 || int(buf[0])|int(buf[1])<<8 != n {
			t.Fatalf("flow %d: %v, %v", n, buf[:k], err)
		}
	}
	t.Logf("all echoed in %v", time.Since(begin))
	begin = time.Now()
	for _, f := range all {
		closeFlow(f)
	}
	if _, err := client.Status(testContext(t)); err != nil {
		t.Fatal(err)
	}
	t.Logf("all closed in %v", time.Since(begin))
}
