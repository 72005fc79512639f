// SPDX-License-Identifier: BSD-3-Clause

package integration

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"o7gw/integration/lab"
)

// rounds is how often each program is started and stopped.
const rounds = 100

// clean compares the devices, processes and files of a host with those of an
// earlier call.
func (w *world) clean(i int) func() {
	w.t.Helper()
	look := func() (links []string, pids int, files []string) {
		w.t.Helper()
		links, err := w.hosts[i].Links()
		if err != nil {
			w.t.Fatal(err)
		}
		all, err := w.hosts[i].Processes()
		if err != nil {
			w.t.Fatal(err)
		}
		filepath.WalkDir(w.dir, func(path string, _ os.DirEntry, err error) error {
			if err == nil {
				files = append(files, strings.TrimPrefix(path, w.dir))
			}
			return nil
		})
		return links, len(all), files
	}
	links, pids, files := look()
	return func() {
		w.t.Helper()
		l, p, f := look()
		if !slices.Equal(l, links) {
			w.t.Errorf("devices %v before, %v after", links, l)
		}
		if p != pids {
			w.t.Errorf("%d processes before, %d after", pids, p)
		}
		if !slices.Equal(f, files) {
			w.t.Errorf("files %v before, %v after", files, f)
		}
	}
}

func TestDaemonLeavesNothing(t *testing.T) {
	w := newWorld(t, 90*time.Second, 2)
	layer := lab.UDPLayer{Name: "udp", IP: addr4(0, 1), Serve: []string{"op"}}
	start := func() *lab.Daemon { return w.daemon(0, layer) }
	if err := start().Stop(w.ctx); err != nil { // makes the directory
		t.Fatal(err)
	}
	same := w.clean(0)
	for range rounds {
		d := start()
		if err := d.Stop(w.ctx); err != nil {
			t.Fatalf("%v\n%s", err, d.Output())
		}
	}
	same()
}

// Applications come and go, locally and from another host; the daemons and
// the server keep nothing of them.
func TestApplicationsLeaveNothing(t *testing.T) {
	w := newWorld(t, 90*time.Second, 2)
	a, b := w.udpPair(addr4, "op")
	server := w.start(1, "started", "oping", "-l", "-Q", "-n", "op")
	ping := func(from int) { w.mustRun(from, "oping", "-n", "op", "-Q", "-c", "1", "-i", "1ms") }
	for range 3 {
		ping(0)
		ping(1)
	}
	procs := []*lab.Proc{a.Proc, b.Proc, server}
	var before []lab.Usage
	for _, p := range procs {
		before = append(before, w.settled(p))
	}
	sameA, sameB := w.clean(0), w.clean(1)
	for range rounds {
		ping(0)
		ping(1)
	}
	for i, p := range procs {
		w.back(p, before[i])
		u := w.usage(p)
		if u.Resident > before[i].Resident+32<<20 || u.Threads > before[i].Threads+20 {
			t.Errorf("%s grows: %+v before, %+v after", p.Name, before[i], u)
		}
	}
	sameA()
	sameB()
}

func TestGatewayLeavesNothing(t *testing.T) {
	w := newWorld(t, 120*time.Second, 2)
	peer := w.gateway(1, 1, addr4(0, 2), addr4(0, 2), false)
	start := func() *lab.Proc { return w.gateway(0, 0, addr4(0, 1), addr4(0, 2), false) }
	if err := start().Stop(w.ctx); err != nil {
		t.Fatal(err)
	}
	same := w.clean(0)
	before := w.settled(peer)
	for range rounds {
		p := start()
		if err := p.Stop(w.ctx); err != nil {
			t.Fatalf("%v\n%s", err, p.Output())
		}
	}
	same()
	w.back(peer, before)
}
