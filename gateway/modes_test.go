// SPDX-License-Identifier: BSD-3-Clause

//go:build linux

package gateway

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"o7gw/gateway/config"
)

// modes are the objects, each alone.
var modes = map[string]string{
	"tunnel server": "[[tunnel]]\nname = \"t\"\ndevice = \"m0\"\nlisten = \"gw.test\"\naddress = [\"10.77.0.1/24\"]\n",
	"tunnel client": "[[tunnel]]\nname = \"t\"\ndevice = \"m0\"\nconnect = \"gw.test\"\naddress = [\"10.77.0.1/24\"]\n",
	"segment":       "[[segment]]\nname = \"s\"\ndevice = \"m0\"\nlisten = [\"hub.test\"]\nconnect = [\"gw.test\"]\n",
	"intercept":     "[[intercept]]\nname = \"i\"\ndevice = \"m0\"\nprefixes = [\"10.99.0.0/16\"]\nexits = [\"gw.test\"]\n",
	"names":         "[names]\nlisten = [\"127.0.0.1:5353\"]\n[[intercept]]\nname = \"i\"\ndevice = \"m0\"\nnames = true\n",
	"default route": "[[intercept]]\nname = \"i\"\ndevice = \"m0\"\nprefixes = [\"0.0.0.0/0\", \"::/0\"]\nexits = [\"gw.test\"]\nfrom = [\"192.168.1.0/24\"]\n",
	"expose":        "[[expose]]\nname = \"e\"\nservice = \"e\"\ntcp = { \"80\" = \"127.0.0.1:1\" }\nhealth = \"tcp\"\n[[expose]]\nname = \"f\"\nservice = \"f\"\nudp = { \"53\" = \"127.0.0.1:1\" }\n",
	"exit":          "[[exit]]\nname = \"x\"\nservice = \"x\"\nallow = [{ targets = [\"10.0.0.0/8\"] }]\n",
	"forward":       "[[forward]]\nname = \"f\"\nlisten = [\"tcp:127.0.0.1:8088\", \"udp:127.0.0.1:8088\"]\nservice = \"gw.test\"\n",
	"proxies":       "[socks]\n[http]\n[web]\n",
}

// holdings are what a process and its namespace hold.
type holdings struct {
	goroutines, descriptors int
	links, rules            []string
}

func look(t *testing.T) holdings {
	t.Helper()
	var h holdings
	h.goroutines = runtime.NumGoroutine()
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	h.descriptors = len(files)
	links, err := netlink.LinkList()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range links {
		h.links = append(h.links, l.Attrs().Name)
	}
	for _, family := range []int{unix.AF_INET, unix.AF_INET6} {
		rules, err := netlink.RuleList(family)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range rules {
			h.rules = append(h.rules, r.String())
		}
	}
	return h
}

// TestModesLeaveNothing starts and stops each mode 100 times.
func TestModesLeaveNothing(t *testing.T) {
	needRoot(t)
	rounds := 100
	if testing.Short() {
		rounds = 10
	}
	for name, objects := range modes {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			file, err := config.Parse(fmt.Appendf(nil, "run_dir = %q\n[udp4.lo]\nbootstrap = \"lo\"\nip = \"127.0.0.1\"\nhosts = { \"gw.test\" = \"127.0.0.9\" }\n%s", dir, objects), "mode.toml")
			if err != nil {
				t.Fatal(err)
			}
			run := func() {
				begin(t, file).Close()
			}
			run()
			before := look(t)
			for range rounds {
				run()
			}
			// What the run-time and the libraries still hold goes soon.
			var after holdings
			for range 200 {
				runtime.GC()
				if after = look(t); after.goroutines <= before.goroutines && after.descriptors <= before.descriptors {
					break
				}
				time.Sleep(20 * time.Millisecond)
			}
			if after.goroutines > before.goroutines {
				buf := make([]byte, 1<<16)
				t.Errorf("%d goroutines before, %d after\n%s", before.goroutines, after.goroutines, buf[:runtime.Stack(buf, true)])
			}
			if after.descriptors > before.descriptors {
				t.Errorf("%d descriptors before, %d after", before.descriptors, after.descriptors)
			}
			if !slices.Equal(after.links, before.links) || !slices.Equal(after.rules, before.rules) {
				t.Errorf("before %v\nafter  %v", before, after)
			}
			if left, err := os.ReadDir(dir); err != nil || strings.Contains(fmt.Sprint(left), ".json") {
				t.Errorf("files: %v, %v", left, err)
			}
		})
	}
}
